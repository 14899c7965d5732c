/** `soup view` as a process: what it prints, what it serves, and how it ends. */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseRecipe, recipeJson } from '@diffusion-soup/core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Listing } from '../../packages/cli/src/view/listing.ts';
import { buildCli, scratch, soup, startSoup } from '../support/cli.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 200_000 });

const room = scratch();
beforeAll(buildCli);
afterAll(() => room.remove());

async function started(...args: string[]) {
  const { child, result, ended } = startSoup(['view', '--no-open', '--port', '0', ...args]);
  while (!result.stdout.includes('\n') && child.exitCode === null) await sleep(20);
  return { child, result, ended };
}

test('prints its address, serves page and pantry, and ends with Ctrl-C', async () => {
  const { child, result, ended } = await started();
  const [, origin, token] = /^(http:\/\/127\.0\.0\.1:\d+)\/#token=([\w-]{22,})\n$/.exec(result.stdout) ?? [];
  expect(origin, result.stdout + result.stderr).toBeDefined();
  const page = await fetch(`${origin}/`);
  expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<div id="app">')]);
  const headers = { authorization: `Bearer ${token}` };
  const { models } = (await (await fetch(`${origin}/models.json`, { headers })).json()) as Listing;
  expect(models.map(({ name, role }) => `${name}: ${role}`)).toEqual([
    ...['base: base', 'fluent: shard', 'ink: shard', 'noto: shard', 'paragon: model', 'twemoji: shard'],
  ]);
  expect((await fetch(`${origin}/models/base/tokenizer/merges.txt`, { headers })).status).toBe(200);
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  await expect(fetch(`${origin}/`)).rejects.toThrow();
});

test('--json is one line; a recipe comes with names of the listing; SIGTERM ends it', async () => {
  const recipe = room.in('my soup.yaml');
  writeFileSync(recipe, 'ingredients: {noto: 2, ink: 1/3}\nbase: base\n');
  const { child, result, ended } = await started('--json', recipe);
  const { url, port, token } = JSON.parse(result.stdout);
  expect(url).toBe(`http://127.0.0.1:${port}/#token=${token}`);
  const answer = await fetch(`http://127.0.0.1:${port}/models.json`, { headers: { authorization: `Bearer ${token}` } });
  const listing = (await answer.json()) as Required<Listing>;
  expect(listing.recipe.name).toBe('my soup.yaml');
  expect(recipeJson(parseRecipe(listing.recipe.text, { file: listing.recipe.name }))).toMatchObject({
    ingredients: [
      { model: 'noto', weight: 2 },
      { model: 'ink', weight: '1/3' },
    ],
    base: 'base',
  });
  child.kill('SIGTERM');
  const end = await ended;
  expect([end.code, end.stdout.trim().split('\n').length]).toEqual([143, 1]);
});

test('a port that is taken, a port that is none, and a recipe that is not there', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as AddressInfo;
  const taken = await soup(['view', '--no-open', '--port', String(port)]);
  other.close();
  expect(taken).toMatchObject({ code: 2, stderr: expect.stringContaining(`port ${port} of 127.0.0.1 is taken`) });
  expect((await soup(['view', '--port', '65536'])).code).toBe(2);
  expect(await soup(['view', 'nothing'])).toMatchObject({ code: 3, stdout: '' });
});
