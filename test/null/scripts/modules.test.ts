import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { modulesState, sameInstall, stampModules } from '../../../scripts/setup/modules.mjs';

const lock = {
  packages: {
    '': {},
    'packages/core': { version: '0.1.0' },
    'node_modules/@diffusion-soup/core': { link: true },
    'node_modules/zod': { version: '4.6.7' },
    'node_modules/sharp-win32': { version: '1.0.0', optional: true },
  },
};
const installed = { packages: { 'node_modules/zod': { version: '4.6.7' } } };

describe('sameInstall', () => {
  it('forgives what only other platforms need', () => expect(sameInstall(lock, installed)).toBe(true));
  it('sees another version', () => {
    expect(sameInstall(lock, { packages: { 'node_modules/zod': { version: '4.6.6' } } })).toBe(false);
    const other = { packages: { ...installed.packages, 'node_modules/sharp-win32': { version: '0.9.0' } } };
    expect(sameInstall(lock, other)).toBe(false);
  });
  it('sees an absence', () => expect(sameInstall(lock, {})).toBe(false));
});

describe('modulesState', () => {
  let root = '';
  const write = (path: string, value: unknown) => writeFileSync(join(root, path), JSON.stringify(value));
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'soup-modules-'));
    write('package-lock.json', lock);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it('goes from missing to ready, and to stale when the lock file changes', () => {
    expect(modulesState(root)).toBe('missing');
    mkdirSync(join(root, 'node_modules'));
    expect(modulesState(root)).toBe('missing');
    write('node_modules/.package-lock.json', installed);
    expect(modulesState(root)).toBe('ready');
    write('package-lock.json', { packages: { ...lock.packages, 'node_modules/ink': { version: '1.0.0' } } });
    expect(modulesState(root)).toBe('stale');
    stampModules(root);
    expect(modulesState(root)).toBe('ready');
  });
});
