/** `npm start`: everything from a bare checkout to a picture. Arguments after `--` go to the demo. */
import { join } from 'node:path';
import { command, quietEnv, root, run, runQuietly } from './run.mjs';
import { exitWith, setup } from './setup.mjs';

async function start(/** @type {string[]} */ args) {
  const { env: driver } = await setup();
  const env = { ...process.env, ...quietEnv, ...driver };
  const built = await runQuietly(
    process.execPath,
    [command('turbo'), 'run', 'build', '--filter=@diffusion-soup/cli...', '--output-logs=errors-only', '--no-color'],
    { env, logName: 'build' },
  );
  if (built !== 0) return built;
  return run(process.execPath, [join(root, 'packages/cli/dist/main.js'), 'demo', ...args], { env });
}

start(process.argv.slice(2)).then((code) => process.exit(code), exitWith);
