/**
 * Milliseconds that this process has worked for: what a computation takes, however busy the machine is. On a machine of its
 * own no less than the clock says.
 */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
