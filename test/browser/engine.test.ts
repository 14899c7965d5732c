/** The page's engine in Chromium on SwiftShader: pictures as in Node, and everything that may go wrong on the way. */
import { generate, loadModel, openModelFolder } from '@diffusion-soup/core';
import type { Browser, Page } from 'playwright-core';
import type { ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EngineEvent } from '../../packages/viewer/src/messages.ts';
import { launchChromium, servePage } from '../support/browser.ts';
import { diskFolder, PANTRY } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';
import type { Seen, Wish } from './engine-page.ts';

const NAMES = ['base', 'noto', 'ink'];
const PICTURE = { prompt: 'cat face', negative: '', seed: '7', sampler: 'euler', guidance: 4 } as const;
const SIZE = 32;

let browser: Browser;
let server: ViteDevServer;
let page: Page;
let origin: string;
const complaints: string[] = [];
const requests: string[] = [];

beforeAll(async () => {
  const served = await servePage();
  server = served.server;
  origin = new URL(served.url).origin;
  browser = await launchChromium();
  page = await browser.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(`${served.url}engine.html`);
  await page.waitForFunction(() => 'until' in window);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

// Handles of files are in the type, though in none of these orders: too deep for the types of `evaluate`.
const order = (wish: Wish): Promise<number> => page.evaluate((wish) => window.order(wish as Wish), wish as object);
const until = (id: number, type?: EngineEvent['type']): Promise<Seen[]> =>
  page.evaluate(([id, type]) => window.until(id, ...(type ? [type] : [])), [id, type] as const);
const ended = (id: number) => until(id);
const types = (events: readonly Seen[]) => events.map(({ type }) => type);
const one = <T extends Seen['type']>(events: readonly Seen[], type: T) =>
  events.find((event) => event.type === type) as Extract<Seen, { type: T }>;

function drawing(key: string, weights: Readonly<Record<string, number>>, steps = 2, previewEvery = 0): Wish {
  const portions = Object.entries(weights).map(([name, weight]) => ({ name, weight: `${weight}` }));
  const picture = { ...PICTURE, steps, width: SIZE, height: SIZE };
  return { type: 'draw', key, blend: { portions, base: 'base' }, picture, quality: 'full', previewEvery };
}
const draw = async (...args: Parameters<typeof drawing>) => ended(await order(drawing(...args)));
const pixels = (key: string) => page.evaluate((key) => [...window.pictures.get(key)!.pixels], key);

/** As it is shown. */
const canvas = () => page.evaluate(() => window.shown());

const furthest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

async function pictureInNode(weights: Readonly<Record<string, number>>): Promise<Uint8Array> {
  const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(
    Object.entries(weights).map(async ([name, weight]) => ({ folder: await open(name), weight })),
  );
  const model = await loadModel(await testGpu('f32'), ingredients, { base: await open('base') });
  const request = { ...PICTURE, seed: 7n, steps: 2, width: SIZE, height: SIZE };
  for await (const event of generate(model, request)) if (event.type === 'image') return event.image.pixels;
  throw new Error('no picture');
}

test('it starts, and says what it found', async () => {
  const events = await ended(await order({ type: 'start', page: page.url() }));
  expect(types(events)).toEqual(['machine', 'done']);
  expect(one(events, 'machine')).toMatchObject({ precision: 'f32', painting: 'gpu' });
  expect(one(events, 'machine').adapter).toMatch(/swiftshader/i);
  const models = NAMES.map((name) => ({ name, place: { type: 'pantry', path: `pantry/${name}` } as const }));
  const known = one(await ended(await order({ type: 'models', models })), 'models').models;
  expect(known.map(({ name, problem }) => [name, problem])).toEqual(NAMES.map((name) => [name, undefined]));
});

test('a picture is that of Node, and on the canvas', async () => {
  const events = await draw('even', { noto: 1, ink: 1 }, 2, 1);
  expect(types(events).at(-1)).toBe('done');
  expect(new Set(types(events))).toEqual(new Set(['loading', 'cache', 'step', 'image', 'memory', 'done']));
  const parts = events.flatMap((event) =>
    event.type === 'loading' && event.bytes === event.total ? [event.part] : [],
  );
  expect([...new Set(parts)]).toEqual(['text encoder', 'UNet', 'VAE']);
  expect(one(events, 'image')).toMatchObject({ key: 'even', quality: 'full' });
  const picture = await pixels('even');
  expect(picture.length).toBe(SIZE * SIZE * 4);
  expect(new Set(picture).size).toBeGreaterThan(50);
  expect(furthest(picture, await pictureInNode({ noto: 1, ink: 1 }))).toBeLessThanOrEqual(3);
  expect(furthest(await canvas(), picture)).toBeLessThanOrEqual(1);
});

test('other weights are averaged where the ingredients lie, and the same weights give the same picture', async () => {
  requests.length = 0;
  await draw('uneven', { noto: 1, ink: 0.2 });
  await draw('noto', { noto: 1, ink: 0 });
  const [even, uneven] = [await pixels('even'), await pixels('uneven')];
  expect(furthest(even, uneven)).toBeGreaterThan(8);
  expect(furthest(uneven, await pixels('noto'))).toBeGreaterThan(8);
  await draw('even again', { noto: 1, ink: 1 });
  expect(await pixels('even again')).toEqual(even);
  expect(requests.filter((url) => url.includes('/unet/'))).toEqual([]);
  await ended(await page.evaluate(() => window.showAgain('uneven')));
  expect(await canvas()).toEqual(uneven);
});

test('the newest drawing wins, and one can be cancelled', async () => {
  const first = await order(drawing('long', { noto: 1, ink: 1 }, 200));
  await until(first, 'step');
  const [second, third] = [
    await order(drawing('second', { noto: 2, ink: 1 }, 200)),
    await order(drawing('third', { noto: 2, ink: 1 }, 200)),
  ];
  expect(types(await ended(first)).at(-1)).toBe('cancelled');
  expect(types(await ended(second))).toEqual(['cancelled']);
  await until(third, 'step');
  await order({ type: 'cancel', target: third });
  const events = await ended(third);
  expect(types(events).at(-1)).toBe('cancelled');
  expect(types(events)).not.toContain('image');
});

test('a wrong order fails with a sentence, and the engine goes on', async () => {
  const events = await draw('wrong', { nobody: 1 });
  expect(one(events, 'failed')).toMatchObject({ kind: 'bad-input', sentence: expect.stringContaining('nobody') });
  const wish = drawing('none', { noto: 1, ink: 1 });
  const picture = { ...PICTURE, steps: 1, width: SIZE, height: SIZE };
  const none = await ended(await order({ ...wish, picture: { ...picture, steps: 0 } } as Wish));
  expect(one(none, 'failed')).toMatchObject({ kind: 'bad-input', sentence: expect.stringContaining('steps is 0') });
  const huge = await ended(await order({ ...wish, picture: { ...picture, width: 8192, height: 8192 } } as Wish));
  expect(one(huge, 'failed')).toMatchObject({ kind: expect.stringMatching(/^(limits|out-of-memory)$/) });
  expect(one(huge, 'failed').remedy).toMatch(/smaller picture/);
});

test('a lost device fails the drawing, and the next one opens another', async () => {
  const id = await order(drawing('lost', { noto: 1, ink: 1 }, 200));
  await until(id, 'step');
  await order({ type: 'lose' });
  const failed = one(await ended(id), 'failed');
  expect(failed.kind).toBe('device-lost');
  expect(failed.sentence).not.toMatch(/command/);
  const events = await draw('after the loss', { noto: 1, ink: 1 });
  expect(types(events).at(-1)).toBe('done');
  expect(await pixels('after the loss')).toEqual(await pixels('even'));
  expect(furthest(await canvas(), await pixels('even'))).toBeLessThanOrEqual(1);
});

test('memory stays what it is over many blends, and is given back', async () => {
  const used: number[] = [];
  for (let i = 0; i < 8; i++) {
    const events = await draw(`blend ${i}`, { noto: 1 + i, ink: 1 }, 1);
    used.push(one(events, 'memory').used);
  }
  expect(used[0]).toBeGreaterThan(1e6);
  expect(new Set(used)).toEqual(new Set([used[0]]));
  const last = await canvas();
  const released = await ended(await order({ type: 'release' }));
  expect(one(released, 'memory').used).toBe(0);
  expect(await canvas()).toEqual(last); // what was painted stays
  expect(types(await draw('after the release', { noto: 1, ink: 1 })).at(-1)).toBe('done');
  expect(await pixels('after the release')).toEqual(await pixels('even'));
});

test('what needs no drawing: costs, the picture as a file, what it says, the cache', async () => {
  const blend = { portions: [{ name: 'noto', weight: '1' }], base: 'base' };
  const { survey } = one(await ended(await order({ type: 'survey', blend })), 'survey');
  expect(survey.bytes).toBe(survey.fromNetwork + survey.fromCache + survey.fromDisk);
  expect(survey.confirm).toBe(false);
  const saved = one(await ended(await order({ type: 'picture-file', key: 'even' })), 'picture-file');
  const bytes = Uint8Array.from(Object.values(saved.png));
  expect(await page.evaluate((png) => window.restore(png), [...bytes])).toMatchObject({
    picture: { prompt: PICTURE.prompt, seed: PICTURE.seed, steps: 2 },
    portions: [expect.objectContaining({ name: 'noto' }), expect.objectContaining({ name: 'ink' })],
  });
  const forgotten = await ended(await order({ type: 'picture-file', key: 'never drawn' }));
  expect(one(forgotten, 'failed').kind).toBe('bad-input');
  expect(one(await ended(await order({ type: 'cache', action: 'info' })), 'cache').used).toBeGreaterThan(0);
});

test('nobody else is asked, and nothing complains', () => {
  expect(requests.filter((url) => url.startsWith('http') && new URL(url).origin !== origin)).toEqual([]);
  expect(complaints).toEqual([]);
});
