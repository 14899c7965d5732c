/** Runs the command line, in this process from its sources or as a process of its own from its build. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../packages/cli/src/run.ts';
import { PANTRY } from './files.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
export const MAIN = join(ROOT, 'packages/cli/dist/main.js');

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SoupOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stop?: AbortController;
  /** Called with all of stderr, whenever something is written to it. */
  readonly onStderr?: (all: string) => void;
  readonly terminal?: boolean;
}

export async function soup(args: readonly string[], options: SoupOptions = {}): Promise<Result> {
  const { env = {}, stop = new AbortController(), onStderr, terminal = false } = options;
  let [stdout, stderr] = ['', ''];
  const shape = terminal ? { isTTY: true, columns: 80, rows: 24 } : {};
  const code = await run(args, {
    stdout: {
      ...shape,
      write(text) {
        stdout += text;
      },
    },
    stderr: {
      ...shape,
      write(text) {
        stderr += text;
        onStderr?.(stderr);
      },
    },
    env: { SOUP_PANTRY: PANTRY, ...env },
    signal: stop.signal,
  });
  return { code, stdout, stderr };
}

/** Starts the built `soup`; the build is brought up to date first, as `npm test` has done already. */
export function startSoup(
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; node?: readonly string[] } = {},
) {
  const { env, node = [] } = options;
  const child: ChildProcess = spawn(process.execPath, [...node, MAIN, ...args], {
    env: { ...process.env, SOUP_PANTRY: PANTRY, ...env },
  });
  const result = { stdout: '', stderr: '' };
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (result.stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (result.stderr += text));
  const ended = new Promise<Result>((resolve) => {
    child.on('close', (code, signal) => resolve({ code: code ?? -1, ...result, ...(signal && { signal }) }));
  });
  return { child, result, ended };
}

/** Files that run side by side want it at once: one builds, the others wait. */
const BUILDING = join(ROOT, 'node_modules/.building-cli');
const LONGEST_BUILD_MS = 180_000;

export function buildCli(): void {
  for (const end = Date.now() + LONGEST_BUILD_MS; ; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)) {
    try {
      mkdirSync(BUILDING);
      break;
    } catch (error) {
      // What a killed process left is taken over after a while.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || Date.now() > end) break;
    }
  }
  try {
    buildWhatChanged();
  } finally {
    rmSync(BUILDING, { recursive: true, force: true });
  }
}

function buildWhatChanged(): void {
  const newest = (folder: string): number =>
    Math.max(...readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, String(name))).mtimeMs));
  for (const name of ['core', 'cli']) {
    const folder = join(ROOT, 'packages', name);
    const built = join(folder, 'dist/index.js');
    if (existsSync(built) && statSync(built).mtimeMs > newest(join(folder, 'src'))) continue;
    execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc')], { cwd: folder });
  }
}

/** A new folder for what a test writes. */
export function scratch(): { path: string; in(name: string): string; files(): string[]; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'soup-cli-'));
  return {
    path,
    in: (name) => join(path, name),
    files: () =>
      readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => entry.name)
        .sort(),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

export const copyModel = (from: string, to: string): void => cpSync(from, to, { recursive: true });
