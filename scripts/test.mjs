/**
 * `npm test`: sets the machine up, then lint, types and the tests, and one closing line: "N passed, N failed".
 * Arguments after `--` go to vitest: `npm test -- gpu/conv2d`.
 *
 * The tests run on lavapipe, Mesa's software Vulkan, because it is the one adapter that every machine can have.
 * SOUP_TEST_ADAPTER=any takes the adapter that Dawn prefers instead.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, quietEnv, root, run } from './run.mjs';
import { lavapipeDriver } from './setup/probe.mjs';
import { explain, setup } from './setup.mjs';
import { closingLine, countReport, countRunner, succeeded, sum } from './test-counts.mjs';

/** @param {string} title @param {() => Promise<import('./test-counts.mjs').Counts>} work */
async function runner(title, work) {
  console.log(`\n━━ ${title} ${'━'.repeat(Math.max(0, 60 - title.length))}\n`);
  const begun = performance.now();
  const counts = await work();
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`\n   ${title}: ${closingLine(counts)} (${seconds} s)`);
  return counts;
}

function testEnvironment(/** @type {Record<string, string>} */ driver) {
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, ...quietEnv, ...driver };
  const chosen = env.VK_ICD_FILENAMES ?? env.VK_DRIVER_FILES ?? env.SOUP_TEST_ADAPTER;
  const lavapipe = lavapipeDriver();
  return chosen === undefined && lavapipe !== null ? { ...env, VK_ICD_FILENAMES: lavapipe } : env;
}

/** @param {string[]} args @param {NodeJS.ProcessEnv} env */
async function vitest(args, env) {
  const folder = mkdtempSync(join(tmpdir(), 'diffusion-soup-test-'));
  const report = join(folder, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  try {
    const options = { cwd: join(root, 'test'), env };
    const code = await run(process.execPath, [command('vitest'), 'run', ...reporters, ...args], options);
    return countReport(readReport(report), code, Boolean(process.env.CI));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(/** @type {string} */ file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

async function test(/** @type {string[]} */ args) {
  const env = testEnvironment((await setup({ browser: true, tmux: true, redis: true })).env);
  const node = process.execPath;
  const check = [command('turbo'), 'run', 'check', '--continue', '--output-logs=errors-only'];
  const counts = sum([
    await runner('lint', async () =>
      countRunner(await run(node, [command('@biomejs/biome', 'biome'), 'check', '.'], { env })),
    ),
    await runner('types', async () => countRunner(await run(node, check, { env }))),
    await runner('tests', () => vitest(args, env)),
  ]);
  console.log(`\n${closingLine(counts)}`);
  return succeeded(counts) ? 0 : 1;
}

test(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    explain(error);
    console.log(`\n${closingLine(countRunner(1))}`);
    process.exit(1);
  },
);
