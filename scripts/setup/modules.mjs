/** Is node_modules what package-lock.json asks for? Answered in milliseconds, so that every `npm start` can ask. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const stampFile = (/** @type {string} */ root) => join(root, 'node_modules', '.soup-setup');
const lockHash = (/** @type {string} */ root) =>
  createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');

/**
 * Whether npm's own record of what it installed carries every version that the lock file asks for.
 * Optional packages are those of other platforms, so their absence is fine.
 * @typedef {{ packages?: Record<string, { version?: string, link?: boolean, optional?: boolean }> }} Lock
 * @param {Lock} lock @param {Lock} installed
 */
export function sameInstall(lock, installed) {
  const has = installed.packages ?? {};
  return Object.entries(lock.packages ?? {})
    .filter(([path, entry]) => path.includes('node_modules/') && !entry.link)
    .every(([path, entry]) => (path in has ? has[path].version === entry.version : entry.optional === true));
}

/** @param {string} root @returns {'ready' | 'missing' | 'stale'} */
export function modulesState(root) {
  const record = join(root, 'node_modules', '.package-lock.json');
  // npm writes this record last: without it an install was cut short.
  if (!existsSync(record)) return 'missing';
  const stamp = stampFile(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash(root)) return 'ready';
  // Somebody ran npm install by hand: if that brought the right versions, `npm ci` would only cost them time.
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  if (!sameInstall(lock, JSON.parse(readFileSync(record, 'utf8')))) return 'stale';
  stampModules(root);
  return 'ready';
}

export function stampModules(/** @type {string} */ root) {
  writeFileSync(stampFile(root), lockHash(root));
}
