/** The log, which keeps from the screen what others say, and the folder where the application keeps its things. */
import { closeSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';

type Env = Readonly<Record<string, string | undefined>>;

/** As the XDG base directory specification has it. */
export const stateFolder = (env: Env): string =>
  join(env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'diffusion-soup');

/** A log that has grown beyond this begins anew. */
const LARGEST_LOG = 1_000_000;

export interface Log {
  readonly path: string | undefined;
  /** For a child process; -1 when there is no log. */
  readonly file: number;
  write(...what: readonly unknown[]): void;
  close(): void;
}

/** A log that cannot be written is done without: the application is of use on a read-only disk, too. */
export function openLog(env: Env): Log {
  const folder = stateFolder(env);
  const path = join(folder, 'tui.log');
  let file: number;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const isLarge = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LARGEST_LOG;
    file = openSync(path, isLarge ? 'w' : 'a', 0o600);
  } catch {
    return {
      path: undefined,
      file: openSync(process.platform === 'win32' ? 'NUL' : '/dev/null', 'w'),
      write() {},
      close() {},
    };
  }
  return {
    path,
    file,
    write(...what) {
      const text = what.map((one) => (typeof one === 'string' ? one : inspect(one))).join(' ');
      writeSync(file, `${new Date().toISOString()} ${text.trimEnd()}\n`);
    },
    close: () => closeSync(file),
  };
}
