/** `npm run bench`, `bench:merge` and `bench:batch`: from a bare checkout to what kernels, models, merging and batches take. */
import { join } from 'node:path';
import { HELP, parseOptions, UsageError } from '../test/bench/options.mjs';
import { command, quietEnv, root, run, runQuietly } from './run.mjs';
import { exitWith, setup } from './setup.mjs';

/** Scripts that read their own options. */
const OWN = ['merge', 'batch'];

async function bench(/** @type {string[]} */ args) {
  const own = OWN.find((name) => name === args[0]);
  const refused = own ? undefined : explain(args);
  if (refused !== undefined) return refused;
  const { env: driver } = await setup();
  const env = { ...process.env, ...quietEnv, ...driver };
  const built = await runQuietly(
    process.execPath,
    [command('turbo'), 'run', 'build', '--filter=@diffusion-soup/cli...', '--output-logs=errors-only', '--no-color'],
    { env, logName: 'build' },
  );
  if (built !== 0) return built;
  const [script, ...rest] = own ? [`test/bench/${own}.mjs`, ...args.slice(1)] : ['test/bench/main.mjs', ...args];
  return run(process.execPath, [join(root, script), ...rest], { env });
}

/** The exit code where there is nothing to measure. */
function explain(/** @type {string[]} */ args) {
  try {
    if (!parseOptions(args).help) return undefined;
    console.log(HELP);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${HELP}`);
    return 2;
  }
}

bench(process.argv.slice(2)).then((code) => process.exit(code), exitWith);
