/** The page as it is built and as `soup view` serves it, in Chromium: one visit, from the first picture to the last. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { openShelf } from '../../packages/cli/src/view/listing.ts';
import { pageFiles } from '../../packages/cli/src/view/page.ts';
import { startView, type View } from '../../packages/cli/src/view/server.ts';
import { launchChromium } from '../support/browser.ts';
import { PANTRY } from '../support/files.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

const VIEWER = new URL('../../packages/viewer', import.meta.url).pathname;
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const TOKEN = 'a'.repeat(32);
const SOUP =
  '#soup=noto:2+twemoji:1+fluent:1&base=base&prompt=red%20apple&seed=7&steps=2&sampler=ddim&guidance=2&size=64x64';

let folder: string;
let view: View;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let origin: string;
const complaints: string[] = [];
const strangers: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'page-'));
  vi.stubEnv('NODE_ENV', 'production'); // else it is no production build, and has no service worker
  await build({
    root: VIEWER,
    configFile: `${VIEWER}/vite.config.ts`,
    logLevel: 'error',
    build: { outDir: folder, emptyOutDir: true },
  });
  view = await startView({ port: 0, token: TOKEN, page: pageFiles(folder), shelf: () => openShelf(PANTRY) });
  origin = `http://127.0.0.1:${view.port}`;
  browser = await launchChromium();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  // The engine as the page sees it: so that a test can lose the device as a driver would.
  await context.addInitScript(() => {
    const engines: Worker[] = [];
    Object.assign(window, { engines });
    window.Worker = class extends Worker {
      constructor(...given: ConstructorParameters<typeof Worker>) {
        super(...given);
        engines.push(this);
      }
    };
    Reflect.deleteProperty(window, 'showSaveFilePicker'); // no dialog of the system's can be answered here
  });
  page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  context.on('request', (request) => {
    const { protocol, origin: theirs } = new URL(request.url());
    if (protocol.startsWith('http') && theirs !== origin) strangers.push(request.url());
  });
});

afterAll(async () => {
  await browser?.close();
  await view?.close();
  rmSync(folder, { recursive: true, force: true });
});

const stage = () => page.locator('figure.stage');
const shown = () => stage().getAttribute('data-drawn');
const slider = (name: string) => page.getByRole('slider', { name: `Weight of ${name}`, exact: true });
const button = (name: string) => page.getByRole('button', { name, exact: true });

/** Once a finished picture is shown that is not this one. */
async function drawn(before?: string | null): Promise<string> {
  await page.waitForFunction(
    (old) => {
      const { drawn, quality } = document.querySelector<HTMLElement>('figure.stage')!.dataset;
      const isIdle = document.querySelector<HTMLElement>('.track')!.dataset.busy === 'false';
      if (document.querySelector('.failure')) throw new Error(document.querySelector('.failure')!.textContent!);
      return isIdle && drawn !== undefined && drawn !== old && quality === 'full';
    },
    before,
    { timeout: 120_000, polling: 100 },
  );
  return (await shown())!;
}

/** Of what is seen: the still over the canvas where there is one. */
const pixels = () =>
  page.evaluate(async () => {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => requestAnimationFrame(resolve));
    const bitmap = await createImageBitmap([...document.querySelectorAll<HTMLCanvasElement>('.plate canvas')].at(-1)!);
    const copy = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
    copy.drawImage(bitmap, 0, 0);
    return [...copy.getImageData(0, 0, bitmap.width, bitmap.height).data];
  });

const farthest = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

async function findings(): Promise<string[]> {
  await page.evaluate(readFileSync(AXE, 'utf8')); // a script of ours in the page is refused by its policy
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
}

let first: { key: string; pixels: number[] };

test('a link is opened: its soup is drawn, and the token is gone from the address', async () => {
  await page.goto(`${origin}/${SOUP}&token=${TOKEN}`);
  const key = await drawn();
  expect(page.url()).toBe(`${origin}/`);
  expect(await page.getByTestId('formula').textContent()).toBe('1/4 fluent + 1/2 noto + 1/4 twemoji');
  first = { key, pixels: await pixels() };
  expect(first.pixels.length).toBe(64 * 64 * 4);
  expect(new Set(first.pixels).size).toBeGreaterThan(50); // a picture, not one colour
});

test('weights are turned by mouse, by keys and by numbers; the picture changes, and undo brings it back', async () => {
  const box = (await slider('noto').boundingBox())!;
  // One press: on a software GPU every value between would take its seconds.
  await page.mouse.click(box.x + box.width * 0.1, box.y + box.height / 2);
  const second = await drawn(first.key);
  expect(farthest(await pixels(), first.pixels)).toBeGreaterThan(0);
  await slider('fluent').focus();
  await page.keyboard.press('End');
  expect(await slider('fluent').getAttribute('aria-valuetext')).toMatch(/^2, \d+ percent of the soup$/);
  const number = page.getByLabel('Weight of twemoji as a number');
  await number.fill('1/');
  expect(await number.getAttribute('aria-invalid')).toBe('true');
  await number.fill('1/3');
  await number.press('Enter');
  await drawn(second);
  for (let i = 0; i < 3; i++) await button('Undo').click();
  await page.waitForFunction(
    (key) => document.querySelector<HTMLElement>('figure.stage')!.dataset.drawn === key,
    first.key,
  );
  expect(farthest(await pixels(), first.pixels)).toBe(0); // remembered, not drawn again
});

test('the blend pad goes by keys, and the tetrahedron stands for four', async () => {
  const pad = page.getByRole('application');
  const label = await pad.getAttribute('aria-label');
  expect(label).toMatch(/25 percent fluent, 50 percent noto, 25 percent twemoji/);
  await pad.focus();
  await page.keyboard.press('Shift+ArrowUp');
  expect(await pad.getAttribute('aria-label')).not.toBe(label);
  await page.getByRole('switch', { name: 'ink' }).focus();
  await page.keyboard.press('Space');
  expect(await page.locator('.space-canvas').count()).toBe(1);
  await button('Undo').click();
  await button('Undo').click();
  await page.waitForFunction(
    (old) => document.querySelector<HTMLElement>('figure.stage')!.dataset.drawn === old,
    first.key,
  );
});

test('a lost device is told in a sentence, and one click goes on', async () => {
  const before = await shown();
  await page.getByLabel('Seed', { exact: true }).fill('8');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector<HTMLElement>('.track')!.dataset.busy === 'true');
  await page.evaluate(() =>
    (window as unknown as { engines: Worker[] }).engines[0]!.postMessage({ type: 'lose', id: 1e9 }),
  );
  const failure = page.getByRole('alert');
  // Within a drawing a loss is told; just before one it is mended by itself.
  await page.waitForFunction((old) => {
    const { drawn, quality } = document.querySelector<HTMLElement>('figure.stage')!.dataset;
    return document.querySelector('[role=alert]') || (drawn !== undefined && drawn !== old && quality === 'full');
  }, before);
  if (await failure.count()) {
    expect(await failure.textContent()).toMatch(/^The browser lost the graphics card/);
    await button('Draw again').click();
    await failure.waitFor({ state: 'detached' });
  }
  await drawn(before);
  expect(await page.getByTestId('formula').textContent()).toBe('1/4 fluent + 1/2 noto + 1/4 twemoji');
});

test('a picture is saved with what it was made of, and dropped on the page it is made again', async () => {
  const wanted = await shown();
  await button('Save').click();
  const [download] = await Promise.all([page.waitForEvent('download'), button('Picture').click()]);
  expect(download.suggestedFilename()).toBe('red-apple-8.png');
  const png = readFileSync(await download.path());
  await button('Close').click();
  await page.getByRole('combobox', { name: 'Prompt' }).fill('rocket');
  const transfer = await page.evaluateHandle((base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));
    return data;
  }, png.toString('base64'));
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
  await page.waitForFunction(
    (key) => document.querySelector<HTMLElement>('figure.stage')!.dataset.drawn === key,
    wanted,
    {
      timeout: 60_000,
    },
  );
});

test.each(['light', 'dark'] as const)('axe finds nothing serious, %s', async (colorScheme) => {
  await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
  expect(await findings()).toEqual([]);
});

test.each([
  ['a phone', 360, 740],
  ['zoomed to 200 %', 640, 450],
])('nothing is cut off on %s', async (_, width, height) => {
  await page.setViewportSize({ width, height });
  const [needed, there] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(needed).toBeLessThanOrEqual(there!);
});

test('without a network the page comes back, with its soup', async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  await page.waitForTimeout(800); // the state is written half a second after the last change
  const wanted = await shown();
  expect(complaints).toEqual([]);
  await context.setOffline(true);
  await page.reload();
  expect(await drawn()).toBe(wanted);
  await context.setOffline(false);
});

test('nobody else was asked for anything', () => {
  expect(strangers).toEqual([]);
});
