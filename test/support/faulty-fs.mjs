/**
 * A file system in which the n-th call goes wrong: it fails, writes less than it was given, or is the last thing that the
 * process does. Only calls on paths below `folder` count. As a preload it takes its settings from the environment:
 *
 *     SOUP_FAULTS='{"folder":"/tmp/x","at":7,"what":"kill"}' node --import ./faulty-fs.mjs main.js merge ...
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Faults
 * @property {string} folder
 * @property {number} [at] the call that goes wrong, from 0; none, to count them only
 * @property {'fail' | 'short' | 'kill'} [what]
 * @property {boolean} [forGood] all calls after it fail as well
 * @property {string} [code] of the error, as ENOSPC
 * @property {string} [log] a file that gets a line for each call
 */

const PROMISES = ['access', 'chmod', 'copyFile', 'link', 'lstat', 'mkdir', 'open', 'readdir', 'readFile', 'readlink'];
PROMISES.push('realpath', 'rename', 'rm', 'rmdir', 'stat', 'statfs', 'symlink', 'truncate', 'unlink', 'utimes');
PROMISES.push('writeFile');
const SYNC = PROMISES.filter((name) => name !== 'statfs').map((name) => `${name}Sync`);
const CALLBACKS = ['open']; // as streams use it
const HANDLE = ['datasync', 'read', 'readFile', 'stat', 'sync', 'truncate', 'write', 'writeFile', 'writev'];

/** What is called can change the disk. */
export const isWriting = (/** @type {string} */ call) =>
  /^(rename|rm|mkdir|write|sync|datasync|close|unlink|link|symlink|copyFile|open w)/.test(call);

/** @param {Faults} faults */
export async function breakFileSystem(faults) {
  const folder = resolve(fs.realpathSync(faults.folder));
  /** @type {string[]} */
  const calls = [];
  /** @type {(() => void)[]} */
  const undo = [];
  /** @type {WeakMap<object, string>} */
  const paths = new WeakMap();

  const isWatched = (/** @type {unknown} */ path) =>
    typeof path === 'string' && (resolve(path) === folder || resolve(path).startsWith(folder + sep));

  /** Counts a call, and says what becomes of it. @param {string} call @param {string} path @param {string} [to] */
  const strike = (call, path, to = '') => {
    const line = `${call} ${path}${to}`;
    const n = calls.push(line) - 1;
    if (faults.log) originals.write(log, `${line}\n`);
    const isNow = n === faults.at || (faults.forGood && faults.at !== undefined && n > faults.at);
    return isNow ? (faults.what ?? 'fail') : undefined;
  };
  const failure = (/** @type {string} */ call, /** @type {string} */ path) => {
    const { code = 'EIO' } = faults;
    const syscall = call.split(' ')[0];
    return Object.assign(new Error(`${code}: injected, ${syscall} '${path}'`), { code, errno: -1, syscall, path });
  };

  const originals = { rm: fs.rmSync, readdir: fs.readdirSync, write: fs.writeSync, open: fs.openSync };
  const log = faults.log ? originals.open(faults.log, 'a') : -1;
  const die = () => {
    process.kill(process.pid, 'SIGKILL');
    for (;;); // the signal is on its way
  };
  /** Dies in the middle of what takes time. @param {string} name @param {string} path */
  const dieIn = (name, path) => {
    if (name.startsWith('rm')) {
      for (const inner of originals.readdir(path, { recursive: true }).slice(0, 2)) {
        originals.rm(join(path, String(inner)), { recursive: true, force: true });
      }
    }
    die();
  };
  const targetOf = (/** @type {string} */ name, /** @type {unknown[]} */ [, to]) =>
    name.startsWith('rename') ? ` -> ${to}` : '';
  const nameOf = (/** @type {string} */ name, /** @type {unknown[]} */ args) => {
    if (!name.startsWith('open')) return name.replace(/Sync$/, '');
    const flags = args[1];
    const writes = typeof flags === 'string' ? /[wa+]/.test(flags) : typeof flags === 'number' && (flags & 3) !== 0;
    return writes ? 'open w' : 'open r';
  };

  /** @param {any} owner @param {string} name @param {(original: Function) => Function} wrap */
  const replace = (owner, name, wrap) => {
    const original = owner[name];
    if (typeof original !== 'function') return;
    owner[name] = Object.assign(wrap(original), original);
    undo.push(() => {
      owner[name] = original;
    });
  };

  /** @param {string} name @param {Function} original */
  const onHandle = (name, original) =>
    async function (/** @type {any[]} */ ...args) {
      const path = paths.get(this);
      if (path === undefined) return original.apply(this, args);
      const what = strike(name, path);
      if (what === undefined) return original.apply(this, args);
      if (name === 'close') await original.apply(this, args); // it is gone all the same
      const [bytes, offset = 0, length = bytes?.length] = args;
      const half = Math.floor(length / 2);
      if (name === 'write' && what === 'short') return original.call(this, bytes, offset, Math.max(1, half));
      if (name === 'write') originals.write(this.fd, bytes, offset, half);
      if (what === 'kill') die();
      if (what === 'fail') throw failure(name, path);
      return original.apply(this, args);
    };

  const probe = await fs.promises.open(fileURLToPath(import.meta.url), 'r');
  const FileHandle = Object.getPrototypeOf(probe);
  await probe.close();

  for (const name of PROMISES) {
    replace(fs.promises, name, (original) => async (/** @type {unknown[]} */ ...args) => {
      const path = args.slice(0, 2).find(isWatched);
      if (typeof path !== 'string') return original(...args);
      const call = nameOf(name, args);
      const what = strike(call, path, targetOf(name, args));
      if (what === 'kill') dieIn(name, path);
      if (what === 'fail') throw failure(call, path);
      const result = await original(...args);
      if (name === 'open') paths.set(result, path);
      return result;
    });
  }
  for (const name of SYNC) {
    replace(fs, name, (original) => (/** @type {unknown[]} */ ...args) => {
      const path = args.slice(0, 2).find(isWatched);
      if (typeof path !== 'string') return original(...args);
      const call = nameOf(name, args);
      const what = strike(call, path, targetOf(name, args));
      if (what === 'kill') dieIn(name, path);
      if (what === 'fail') throw failure(call, path);
      return original(...args);
    });
  }
  for (const name of CALLBACKS) {
    replace(fs, name, (original) => (/** @type {any[]} */ ...args) => {
      const [path] = args;
      if (!isWatched(path)) return original(...args);
      const call = nameOf(name, args);
      const what = strike(call, path);
      if (what === 'kill') die();
      if (what === 'fail') return process.nextTick(args.at(-1), failure(call, path));
      return original(...args);
    });
  }
  for (const name of HANDLE) replace(FileHandle, name, (original) => onHandle(name, original));
  syncBuiltinESMExports();
  return {
    calls,
    repair() {
      for (const one of undo.splice(0)) one();
      syncBuiltinESMExports();
    },
  };
}

if (process.env.SOUP_FAULTS) await breakFileSystem(JSON.parse(process.env.SOUP_FAULTS));
