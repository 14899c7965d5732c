#!/usr/bin/env node
/** The process around `run`: signals, a closed pipe, and the exit. */
import { paintFirstFrame } from './tui/first-frame.js';

paintFirstFrame(process);
// Only now, since it takes a while.
const { run } = await import('./run.js');

const stop = new AbortController();

function onSignal(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', exitCode: number): void {
  if (stop.signal.aborted) process.exit(exitCode); // asked twice: at once
  process.stderr.write(signal === 'SIGINT' ? '\nsoup: stopping; press Ctrl-C again to quit at once\n' : '');
  stop.abort(signal);
}
process.on('SIGINT', () => onSignal('SIGINT', 130));
process.on('SIGTERM', () => onSignal('SIGTERM', 143));
process.on('SIGHUP', () => onSignal('SIGHUP', 129));

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Whoever read us has left, as `head` does when it has seen enough.
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

const exitCode = await run(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: stop.signal,
});

// Dawn keeps the process alive, so it has to be ended; but not before a pipe has taken everything.
for (const stream of [process.stdout, process.stderr]) {
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}
process.exit(exitCode);
