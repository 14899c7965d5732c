/** One version for all packages, and what is written into files is that one. */
import { readdirSync, readFileSync } from 'node:fs';
import { version } from '@diffusion-soup/core';
import { expect, test } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;
const packages = ['.', ...readdirSync(`${ROOT}packages`).map((name) => `packages/${name}`)];

test.each(packages)('%s', (folder) => {
  expect(JSON.parse(readFileSync(`${ROOT}${folder}/package.json`, 'utf8')).version).toBe(version);
});
