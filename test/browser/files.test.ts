/** Models and files in Chromium: copies in its private file system, and merged files with the command line's hash. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import type { ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineEvent } from '../../packages/viewer/src/messages.ts';
import { launchChromium, servePage } from '../support/browser.ts';
import { scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';
import type { Seen, Wish } from './engine-page.ts';

const NAMES = ['base', 'noto', 'ink'];
const BLEND = {
  portions: [
    { name: 'noto', weight: '2' },
    { name: 'ink', weight: '1/2' },
  ],
  base: 'base',
};

let browser: Browser;
let server: ViteDevServer;
let page: Page;
let origin: string;
const folder = scratch();

beforeAll(async () => {
  const served = await servePage();
  server = served.server;
  origin = new URL(served.url).origin;
  browser = await launchChromium();
  page = await browser.newPage();
  await page.goto(`${served.url}engine.html`);
  await page.waitForFunction(() => 'until' in window);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  folder.remove();
});

const order = (wish: Wish): Promise<number> => page.evaluate((wish) => window.order(wish as Wish), wish as object);
const until = (id: number, type?: EngineEvent['type']): Promise<Seen[]> =>
  page.evaluate(([id, type]) => window.until(id, ...(type ? [type] : [])), [id, type] as const);
const done = async (wish: Wish): Promise<Seen[]> => until(await order(wish));
const one = <T extends Seen['type']>(events: readonly Seen[], type: T) => {
  expect(events.map(({ type }) => type)).toContain(type);
  return events.find((event) => event.type === type) as Extract<Seen, { type: T }>;
};

const models = (names: readonly string[]): Wish => ({
  type: 'models',
  models: names.map((name) => ({ name, place: { type: 'pantry', path: `pantry/${name}` } })),
});
const merge = async () => one(await done({ type: 'merge', blend: BLEND }), 'merged');
const survey = async () => one(await done({ type: 'survey', blend: BLEND }), 'survey').survey;

/** What lies in a folder of the private file system. */
const left = (name: string): Promise<string[]> =>
  page.evaluate(async (name) => {
    const root = await navigator.storage.getDirectory();
    const inside = await root.getDirectoryHandle(name, { create: true });
    const names: string[] = [];
    for await (const entry of (inside as unknown as { keys(): AsyncIterable<string> }).keys()) names.push(entry);
    return names;
  }, name);

test('merges what the command line merges, and knows the models without a network afterwards', async () => {
  await done({ type: 'start', page: `${origin}/` });
  const known = one(await done(models([...NAMES, 'nobody'])), 'models').models;
  expect(known.map(({ name, problem }) => [name, problem === undefined])).toEqual([
    ...NAMES.map((name) => [name, true]),
    ['nobody', false],
  ]);
  expect(known.map(({ size }) => size)).toEqual([128, 128, 128, 0]);
  await done(models(NAMES));

  const before = await survey();
  expect(before.bytes).toBeGreaterThan(25_000_000);
  expect(before.fromNetwork + before.fromCache + before.fromDisk).toBe(before.bytes);
  expect(before.fromNetwork).toBeGreaterThan(before.bytes / 2);
  expect(before.confirm).toBe(false);

  const out = folder.in('soup.safetensors');
  const written = await soup(['merge', 'noto:2+ink:1/2', '--base', 'base', '--out', out], {
    env: { SOUP_PANTRY: PANTRY },
  });
  expect(written.code).toBe(0);
  const expected = createHash('sha256').update(readFileSync(out)).digest('hex');
  const merged = await merge();
  expect(merged.bytes).toBe(readFileSync(out).length);
  expect(merged.hash).toBe(expected);
  expect(await survey()).toMatchObject({ bytes: before.bytes, fromNetwork: 0, fromCache: before.bytes });
  expect(one(await done({ type: 'cache', action: 'info' }), 'cache').used).toBeGreaterThan(before.bytes);

  // Stopped in the middle, nothing is left of it but what was whole before.
  const whole = await left('merged');
  const stopped = await order({ type: 'merge', blend: BLEND });
  await until(stopped, 'merging');
  await order({ type: 'cancel', target: stopped });
  expect((await until(stopped)).at(-1)!.type).toBe('cancelled');
  expect(await left('merged')).toEqual(whole);

  // Without a server: opened anew, from the copies.
  await done(models([]));
  await server.close();
  const offline = one(await done(models(NAMES)), 'models').models;
  expect(offline.map(({ problem }) => problem)).toEqual([undefined, undefined, undefined]);
  expect((await merge()).hash).toBe(expected);

  const cleared = one(await done({ type: 'cache', action: 'clear' }), 'cache');
  expect(cleared.used).toBe(0);
  await done(models([]));
  const gone = one(await done(models(NAMES)), 'models').models;
  expect(gone[0]!.problem).toMatch(/cannot be reached/);
}, 600_000);
