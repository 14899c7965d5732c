import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

/** They measure time, or drive a terminal or a browser that should not have to wait for others. */
const ALONE = ['tui/**/*.test.{ts,tsx}', 'browser/**/*.test.ts', 'cli/batch-time.test.ts'];
/** Arithmetic alone: nothing that one file does can be felt in the next, so that they share a process. */
const ARITHMETIC = ['null/**/*.test.ts'];

/** Much of what tests do is waiting, for processes and for the GPU: at least two files at once, however few cores. */
const together = Math.max(2, availableParallelism() - 1);

// Packages are tested from their sources: no build between an edit and a test.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    pool: 'forks',
    testTimeout: 300_000,
    hookTimeout: 300_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['**/*.test.{ts,tsx}'],
          exclude: [...ALONE, ...ARITHMETIC, '**/node_modules/**'],
          maxWorkers: together,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'arithmetic',
          include: ARITHMETIC,
          setupFiles: ['support/properties.ts'],
          isolate: false,
          maxWorkers: together,
          sequence: { groupOrder: 2 },
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 3 } } },
    ],
  },
});
