/** `npm run bench`, `bench:merge` and `bench:batch`: from a bare checkout to what kernels, models, merging and batches take. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HELP, parseOptions, UsageError } from '../test/bench/options.mjs';
import { command, quietEnv, root, run, runQuietly } from './run.mjs';
import { exitWith, setup } from './setup.mjs';

/** Scripts that read their own options. */
const OWN = { merge: 'merge.mjs', batch: 'batch.mjs', page: 'page.mjs', peers: 'peers/main.mjs' };

async function bench(/** @type {string[]} */ args) {
  const own = OWN[/** @type {keyof typeof OWN} */ (args[0])];
  const refused = own ? undefined : explain(args);
  if (refused !== undefined) return refused;
  const { env: driver } = await setup({ browser: args[0] === 'page' });
  const env = { ...process.env, ...quietEnv, ...driver };
  const built = await runQuietly(
    process.execPath,
    [command('turbo'), 'run', 'build', '--filter=@diffusion-soup/cli...', '--output-logs=errors-only', '--no-color'],
    { env, logName: 'build' },
  );
  if (built !== 0) return built;
  if (args[0] === 'peers' && (await installPeers()) !== 0) return 7;
  const [script, ...rest] = own ? [own, ...args.slice(1)] : ['main.mjs', ...args];
  return run(process.execPath, [join(root, 'test/bench', script), ...rest], { env });
}

/** A quarter of a gigabyte that nothing else needs. */
async function installPeers() {
  const folder = join(root, 'test/bench/peers');
  if (existsSync(join(folder, 'node_modules'))) return 0;
  console.error('bench  installing ONNX Runtime Web and TensorFlow.js in test/bench/peers: npm ci …');
  const windows = process.platform === 'win32';
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
  return runQuietly(windows ? 'npm.cmd' : 'npm', args, { cwd: folder, logName: 'npm', shell: windows });
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
