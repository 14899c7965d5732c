/** What lies on the disk, and names as processes that were killed have left them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { TemporaryNames } from '../../packages/cli/src/temporary.ts';

/** Every file below a folder with its content. */
export function filesBelow(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path, 'latin1')]));
}

const NEVER = '4194305'; // no process has this number: it is above the kernel's limit

/** Our names as another process would have them: one that has ended, one that runs, or one of another machine. */
export function ofDeadProcess(
  names: TemporaryNames,
  owner: 'dead' | 'reused' | 'parent' | 'elsewhere' = 'dead',
): TemporaryNames {
  const change = (path: string): string => {
    const [, start, system, pid, started, end] = /^(.*\.)([0-9a-f]{8})-(\d+)-(\d+)(-.*)$/s.exec(path)!;
    const as = {
      dead: [system, NEVER, started],
      reused: [system, pid, Number(started) - 1],
      parent: [system, process.ppid, startOf(process.ppid)],
      elsewhere: ['00000000', pid, started],
    }[owner];
    return `${start}${as.join('-')}${end}`;
  };
  return { tmp: change(names.tmp), old: change(names.old), ledger: change(names.ledger) };
}

const startOf = (pid: number): string =>
  readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')[19]!;
