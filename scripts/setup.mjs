/**
 * Makes this machine ready: Node, npm packages, an adapter for WebGPU, and for the tests a browser and tmux.
 *
 *   node scripts/setup.mjs [--browser] [--tmux] [--no-system]
 *
 * It downloads only from the npm registry and the Debian archive, says what it does before it does it, and with
 * --no-system (or SOUP_SETUP=no) leaves the system alone and says what is missing.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { root, runQuietly } from './run.mjs';
import { modulesState, stampModules } from './setup/modules.mjs';
import { nodeComplaint, planSystem } from './setup/plan.mjs';
import { gatherFacts, probeAdapter } from './setup/probe.mjs';

const say = (/** @type {string} */ line) => console.error(`setup  ${line}`);

export class SetupError extends Error {}

/**
 * @param {import('./setup/plan.mjs').Wants} [wants]
 * @returns {Promise<{ adapter: string | null, env: Record<string, string> }>}
 *   env is for the processes started next: it names the driver to use when there is only Chromium's
 */
export async function setup(wants = {}, environment = process.env) {
  const complaint = nodeComplaint(process.version);
  if (complaint !== null) throw new SetupError(complaint);
  await installModules();

  const system = wants.system ?? !['no', '0', 'false'].includes((environment.SOUP_SETUP ?? '').toLowerCase());
  const facts = gatherFacts(root, environment);
  const env = await carryOut(planSystem(facts, { ...wants, system }));
  const done = facts.adapter === null ? probeAdapter(root, { ...environment, ...env }) : facts;
  if (done.adapter !== null) say(`adapter: ${done.adapter}`);
  else say(`There is still no GPU adapter. Dawn says: ${done.reason.split('\n').slice(0, 2).join(' / ') || 'nothing'}`);
  return { adapter: done.adapter, env };
}

async function installModules() {
  const state = modulesState(root);
  if (state === 'ready') return;
  say(`${state === 'missing' ? 'node_modules is missing' : 'package-lock.json has changed'}: npm ci …`);
  // The level is given because `npm test --silent` hands "silent" down, and then a failure would say nothing.
  const args = ['ci', '--loglevel=notice', '--no-audit', '--no-fund', '--fetch-timeout=60000'];
  const windows = process.platform === 'win32';
  const code = await runQuietly(windows ? 'npm.cmd' : 'npm', args, { logName: 'npm', shell: windows });
  if (code !== 0) throw new SetupError('npm ci failed: is the npm registry in reach?');
  stampModules(root);
}

/** @param {import('./setup/plan.mjs').Action[]} actions @returns {Promise<Record<string, string>>} */
async function carryOut(actions) {
  /** @type {Record<string, string>} */
  const env = {};
  let written = '';
  let adapterInstalled = false;
  for (const action of actions) {
    if (action.do === 'tell') action.lines.forEach(say);
    else if (action.do === 'write') {
      say(`${action.why}: ${action.file}`);
      writeFileSync(action.file, action.text);
      written = action.file;
    } else if (action.do === 'apt') {
      say(`${action.why}: apt-get ${action.args.join(' ')} …`);
      const code = await apt(action.args);
      if (action.brings !== 'adapter') continue;
      adapterInstalled = code === 0 && probeAdapter(root).adapter !== null;
      // A source that apt cannot read would break every later apt-get update of this machine.
      if (code !== 0 && written !== '') rmSync(written, { force: true });
    } else if (!adapterInstalled && existsSync(action.file)) {
      say(`${action.why}: VK_ICD_FILENAMES=${action.file}`);
      env.VK_ICD_FILENAMES = action.file;
    }
  }
  return env;
}

/** apt-get, asking nothing, waiting for other package managers, and trying thrice: mirrors and locks have bad moments. */
async function apt(/** @type {string[]} */ args) {
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3', '-o', 'Dpkg::Use-Pty=0'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  let code = 1;
  for (const pause of [0, 5_000, 15_000]) {
    if (pause > 0) say(`trying again in ${pause / 1000} s …`);
    await wait(pause);
    code = await runQuietly('apt-get', [...options, ...args], { env, logName: 'apt' });
    if (code === 0 || code >= 127) break;
  }
  return code;
}

/** @param {string[]} args @returns {import('./setup/plan.mjs').Wants} */
export function wantsOf(args) {
  const system = args.includes('--no-system') ? false : undefined;
  return { browser: args.includes('--browser'), tmux: args.includes('--tmux'), system };
}

/** One line for what we foresaw, the stack for what we did not. */
export function explain(/** @type {unknown} */ error) {
  console.error(error instanceof SetupError ? error.message : error);
}

/** A script's last resort. */
export function exitWith(/** @type {unknown} */ error) {
  explain(error);
  process.exit(1);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (!existsSync(join(root, 'package-lock.json'))) exitWith(new SetupError(`${root} holds no package-lock.json`));
  setup(wantsOf(process.argv.slice(2))).catch(exitWith);
}
