/** `npm run bench`: from a bare checkout to a table of what the kernels and the models take. */
import { join } from 'node:path';
import { HELP, parseOptions, UsageError } from '../test/bench/options.mjs';
import { command, quietEnv, root, run, runQuietly } from './run.mjs';
import { exitWith, setup } from './setup.mjs';

async function bench(/** @type {string[]} */ args) {
  try {
    if (parseOptions(args).help) {
      console.log(HELP);
      return 0;
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`bench: ${error.message}\n\n${HELP}`);
    return 2;
  }
  const { env: driver } = await setup();
  const env = { ...process.env, ...quietEnv, ...driver };
  const built = await runQuietly(
    process.execPath,
    [command('turbo'), 'run', 'build', '--filter=@diffusion-soup/cli...', '--output-logs=errors-only', '--no-color'],
    { env, logName: 'build' },
  );
  if (built !== 0) return built;
  return run(process.execPath, [join(root, 'test/bench/main.mjs'), ...args], { env });
}

bench(process.argv.slice(2)).then((code) => process.exit(code), exitWith);
