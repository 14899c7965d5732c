/** What this machine has: read from a few files, and from Dawn itself in a child process, which may well crash. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { backportsKnown, debianMirror } from './apt-sources.mjs';
import { chromiumDriver } from './plan.mjs';

const askDawn = `
import { create } from 'webgpu';
const adapter = await create([]).requestAdapter();
const { vendor, architecture, device, description } = adapter?.info ?? {};
console.log(JSON.stringify(adapter && (description || [vendor, architecture, device].filter(Boolean).join(' '))));
process.exit(0);
`;

/**
 * The adapter that answers, in words, or null with Dawn's reason.
 * @param {string} root  where node_modules/webgpu is
 * @param {NodeJS.ProcessEnv} env
 * @returns {{ adapter: string | null, reason: string }}
 */
export function probeAdapter(root, env = process.env) {
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', askDawn], {
    cwd: root,
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  const last = (child.stdout ?? '').trim().split('\n').at(-1) ?? '';
  const reason = child.error?.message ?? (child.stderr ?? '').trim();
  try {
    return { adapter: JSON.parse(last), reason };
  } catch {
    return { adapter: null, reason: reason || `Dawn ended with ${child.signal ?? child.status}` };
  }
}

/** @param {string[]} names  the first of them on the PATH, or null */
export function findProgram(names, env = process.env) {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    for (const name of names) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        if (statSync(file).isFile()) return file;
      } catch {}
    }
  }
  return null;
}

const readText = (/** @type {string} */ file) => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** /etc/os-release as an object. */
function osRelease() {
  const lines = readText('/etc/os-release').split('\n');
  return Object.fromEntries(lines.map((line) => line.match(/^(\w+)="?(.*?)"?$/)?.slice(1) ?? ['', '']));
}

function aptSources() {
  const folder = '/etc/apt/sources.list.d';
  let names = /** @type {string[]} */ ([]);
  try {
    names = readdirSync(folder).filter((name) => /\.(list|sources)$/.test(name));
  } catch {}
  return ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))].map(readText);
}

/** Debian's lavapipe driver file, so that tests can run on the same adapter everywhere. */
export function lavapipeDriver() {
  const folder = '/usr/share/vulkan/icd.d';
  try {
    const name = readdirSync(folder).find((name) => /^lvp_icd.*\.json$/.test(name));
    return name ? join(folder, name) : null;
  } catch {
    return null;
  }
}

const firstFile = (/** @type {string[]} */ files) =>
  files.find((file) => statSync(file, { throwIfNoEntry: false })?.isFile()) ?? null;

/** @param {string} root @returns {import('./plan.mjs').Facts & { reason: string }} */
export function gatherFacts(root, env = process.env) {
  const release = osRelease();
  const codename = release.VERSION_CODENAME ?? '';
  const sources = aptSources();
  return {
    platform: process.platform,
    distribution: release.ID ?? '',
    codename,
    root: process.getuid?.() === 0,
    apt: findProgram(['apt-get'], env) !== null,
    backports: backportsKnown(sources, codename),
    mirror: debianMirror(sources, codename),
    swiftShader: swiftShaderDriver(),
    browser: findBrowser(env) !== null,
    tmux: findProgram(['tmux'], env) !== null,
    redis: findProgram(['redis-server'], env) !== null,
    ...probeAdapter(root, env),
  };
}

export function swiftShaderDriver() {
  return firstFile([chromiumDriver, '/opt/google/chrome/vk_swiftshader_icd.json']);
}

function findBrowser(env = process.env) {
  const places = {
    darwin: ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'],
    win32: ['C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'],
  };
  const platform = process.platform;
  const installed = platform === 'darwin' || platform === 'win32' ? firstFile(places[platform]) : null;
  return installed ?? findProgram(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'], env);
}
