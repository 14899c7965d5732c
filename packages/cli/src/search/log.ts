/**
 * The log of a search: a line of JSON for the set-up, then one for every soup that was scored. A search that is started
 * again with the same log goes on where it was stopped.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { CheckpointError, type Evaluation, formatFraction, parseFraction, UsageError } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { printable } from '../text.js';

/** What the scores depend on, beside the weights. */
export type Setup = Readonly<Record<string, unknown>>;

const KIND = 'soup-search-1';

export interface SearchLog {
  readonly known: readonly Evaluation[];
  add(evaluation: Evaluation): Promise<void>;
}

/** Reads a log, or begins one; without a path nothing is kept. */
export async function openLog(path: string | undefined, setup: Setup): Promise<SearchLog> {
  if (path === undefined) return { known: [], add: async () => {} };
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw diskError(path, error, 'read');
  });
  const append = (value: unknown): Promise<void> =>
    appendFile(path, `${JSON.stringify(value)}\n`).catch((error: unknown) => {
      throw diskError(path, error);
    });
  const add = ({ weights, score }: Evaluation) => append({ weights: weights.map(formatFraction), score });
  if (text === '') {
    await append({ kind: KIND, setup });
    return { known: [], add };
  }
  const lines = text.split('\n');
  // What a killed process has left of its last line is not a line; ours begin on their own.
  if (lines.at(-1) !== '') await appendFile(path, '\n');
  const whole = lines.slice(0, -1).filter((line, i, all) => line !== '' && (i < all.length - 1 || isJson(line)));
  const [first, ...rest] = whole;
  checkSetup(path, first ?? '', setup);
  return { known: rest.filter(isJson).map((line, i) => evaluationOf(path, line, i + 2)), add };
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

function checkSetup(path: string, line: string, setup: Setup): void {
  const header = isJson(line) ? (JSON.parse(line) as { kind?: unknown; setup?: Setup } | null) : undefined;
  if (header?.kind !== KIND || typeof header.setup !== 'object' || header.setup === null) {
    throw new CheckpointError(`${printable(path)} is no log of a search. Give --log another name.`, { file: path });
  }
  const now = JSON.parse(JSON.stringify(setup)) as Setup; // without what JSON leaves out
  for (const key of new Set([...Object.keys(now), ...Object.keys(header.setup)])) {
    const [before, after] = [JSON.stringify(header.setup[key]), JSON.stringify(now[key])];
    if (before === after) continue;
    throw new UsageError(
      `${printable(path)} is of another search: its "${printable(key)}" is ${printable(before ?? 'missing')}, and now it is ` +
        `${printable(after ?? 'missing')}. Give --log another name, or delete the file.`,
      { file: path, key },
    );
  }
}

function evaluationOf(path: string, line: string, number: number): Evaluation {
  const { weights, score } = JSON.parse(line) as { weights?: unknown; score?: unknown };
  if (!Array.isArray(weights) || !weights.every((weight) => typeof weight === 'string') || typeof score !== 'number') {
    throw new CheckpointError(`${printable(path)}: line ${number} is no evaluation. Delete the file to start anew.`, {
      file: path,
      line: number,
    });
  }
  return { weights: weights.map(parseFraction), score };
}
