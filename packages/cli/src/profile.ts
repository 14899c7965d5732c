/** Where the GPU's time went: by kernel as a table, and every one of them as a trace that Chrome and Perfetto draw. */
import type { KernelTime } from '@diffusion-soup/core';
import { writeFileAtomic } from './atomic-file.js';
import { table } from './table.js';

export interface KernelRow {
  /** Which network. */
  readonly part: string;
  readonly kernel: string;
  /** Of what it writes. */
  readonly shape: readonly number[];
  readonly count: number;
  readonly ms: number;
}

interface Run {
  readonly part: string;
  readonly times: readonly KernelTime[];
}

export function createProfile() {
  const runs: Run[] = [];
  return {
    onKernels: (part: string, times: readonly KernelTime[]): void => void runs.push({ part, times }),
    /** Kernels with their shapes, those that took longest first. */
    rows: (): KernelRow[] => summary(runs),
    write: (path: string): Promise<void> => writeFileAtomic(path, JSON.stringify(traceOf(runs))),
  };
}

export type Profile = ReturnType<typeof createProfile>;

function summary(runs: readonly Run[]): KernelRow[] {
  const rows = new Map<string, KernelRow>();
  for (const { part, times } of runs) {
    for (const { kernel, shape, beginMs, endMs } of times) {
      const key = `${part} ${kernel} ${shape.join()}`;
      const { count = 0, ms = 0 } = rows.get(key) ?? {};
      rows.set(key, { part, kernel, shape, count: count + 1, ms: ms + endMs - beginMs });
    }
  }
  return [...rows.values()].sort((a, b) => b.ms - a.ms);
}

const MOST_ROWS = 24;

/** The table's lines; the last one says what was left out and what all took. */
export function profileTable(rows: readonly KernelRow[]): string[] {
  const total = rows.reduce((sum, { ms }) => sum + ms, 0);
  const percent = (ms: number) => `${((ms / total) * 100).toFixed(1)} %`;
  const shown = rows.slice(0, MOST_ROWS);
  const rest = rows.slice(MOST_ROWS).reduce((sum, { ms }) => sum + ms, 0);
  return [
    ...table(
      [
        ['network', 'kernel', 'writes', 'runs', 'ms', 'share'],
        ...shown.map(({ part, kernel, shape, count, ms }) => [
          ...[part, kernel, shape.join(' x '), `${count}`, ms.toFixed(2), percent(ms)],
        ]),
        ...(rest > 0 ? [['', 'others', '', '', rest.toFixed(2), percent(rest)]] : []),
      ],
      'lllrrr',
    ),
    `${total.toFixed(1)} ms on the GPU`,
  ];
}

/**
 * The Trace Event Format's complete events, in microseconds: a line per network.
 * (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
 */
function traceOf(runs: readonly Run[]): object {
  const parts = [...new Set(runs.map(({ part }) => part))];
  const start = Math.min(...runs.flatMap(({ times }) => times.map(({ beginMs }) => beginMs)));
  const names = parts.map((name, tid) => ({ ph: 'M', name: 'thread_name', pid: 1, tid, args: { name } }));
  const events = runs.flatMap(({ part, times }) =>
    times.map(({ kernel, shape, beginMs, endMs }) => ({
      ...{ ph: 'X', name: kernel, cat: part, pid: 1, tid: parts.indexOf(part) },
      ...{ ts: (beginMs - start) * 1000, dur: (endMs - beginMs) * 1000, args: { writes: shape.join(' x ') } },
    })),
  );
  return { displayTimeUnit: 'ms', traceEvents: [...names, ...events] };
}
