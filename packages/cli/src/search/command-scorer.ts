/** Any program as a scorer: the soup is written to a folder, the program prints a number. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CancelledError,
  type Fraction,
  formatFraction,
  type Scorer,
  SoupError,
  UsageError,
} from '@diffusion-soup/core';
import { printable } from '../text.js';

/** Characters of a program's output that are kept; the number comes last. */
const KEPT = 10_000;

export interface CommandScorer {
  /** A command line of the shell; {model} is the folder with the soup, {weights} are its weights, as 1/2,1/2. */
  readonly command: string;
  /** Writes the soup with these weights into a new folder. */
  readonly write: (weights: readonly Fraction[], folder: string) => Promise<void>;
  readonly signal: AbortSignal;
}

export function commandScorer({ command, write, signal }: CommandScorer): Scorer {
  if (!command.includes('{model}') && !command.includes('{weights}')) {
    throw new UsageError('the scorer names neither {model} nor {weights}, so that it could not know what to score');
  }
  return async (weights) => {
    const scratch = await mkdtemp(join(tmpdir(), 'soup-search-'));
    try {
      const folder = join(scratch, 'model');
      if (command.includes('{model}')) await write(weights, folder);
      const shown = weights.map(formatFraction).join(',');
      return await numberOf(command.replaceAll('{model}', `"${folder}"`).replaceAll('{weights}', shown), signal);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  };
}

async function numberOf(command: string, signal: AbortSignal): Promise<number> {
  const { code, stdout } = await execute(command, signal);
  const last = stdout.trim().split('\n').at(-1)?.trim() ?? '';
  if (code !== 0) throw new UsageError(`the scorer ended with exit code ${code}: ${printable(command)}`, { code });
  const value = last === '' ? Number.NaN : Number(last);
  if (Number.isFinite(value)) return value;
  throw new UsageError(`the scorer's last line is "${printable(last)}"; expected a number`, { found: last });
}

/** What the program says on stderr is for the user. */
function execute(command: string, signal: AbortSignal): Promise<{ code: number | null; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, { shell: true, stdio: ['ignore', 'pipe', 'inherit'], signal });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-KEPT);
    });
    child.on('error', (error) => {
      reject(
        signal.aborted
          ? new CancelledError('stopped on request', {}, { cause: signal.reason })
          : new SoupError(`the scorer cannot be started: ${error.message}`, {}, { cause: error }),
      );
    });
    child.on('close', (code) => resolve({ code, stdout }));
  });
}
