/** What `npm run bench` can be asked. Needs nothing that has to be built first. */
import { parseArgs } from 'node:util';

export const HELP = `Measures kernels and model steps on this machine's GPU. Not a test: nothing passes or fails.

npm run bench [-- options]

  --only PATTERN   rows whose name or tier matches this regular expression, in any case
  --time MS        how long to measure each row (default: 1000)
  --full           also what takes half a minute on a software adapter: attention over 4096 tokens
  --json           print JSON instead of the table; progress goes to stderr
  --help           print this

Others, each with a --help of its own: npm run bench -- peers (beside other libraries), page (in the browser), merge, batch.

Examples:
  npm run bench -- --only 'matmul|conv'
  npm run bench -- --only f16 --time 5000 --full
  npm run --silent bench -- --json > bench.json`;

export class UsageError extends Error {}

/** @param {string[]} args */
export function parseOptions(args) {
  const { only, time = '1000', full = false, json = false, help = false } = read(args);
  const ms = Number(time);
  if (!(ms > 0 && Number.isFinite(ms))) throw new UsageError(`--time is ${time}; give milliseconds above 0`);
  return { only: only === undefined ? undefined : pattern(only), time: ms, full, json, help };
}

/** @param {string[]} args */
function read(args) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: 'string' },
        time: { type: 'string' },
        full: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} text */
function pattern(text) {
  try {
    return new RegExp(text, 'i');
  } catch (error) {
    throw new UsageError(`--only: ${error instanceof Error ? error.message : error}`);
  }
}
