/** The page as it is built and as `soup view` serves it, in Chromium: one visit, from the first picture to the last. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import { soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';
import { largeEncoder } from './large-encoder.ts';

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
    // Frames that took long, with the scripts that ran in them.
    const slow: PerformanceEntry[] = [];
    Object.assign(window, { slow });
    const note = (list: PerformanceObserverEntryList) => slow.push(...list.getEntries().map((entry) => entry.toJSON()));
    for (const type of ['longtask', 'long-animation-frame']) new PerformanceObserver(note).observe({ type });
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

async function drop(name: string, bytes: Buffer | string): Promise<void> {
  const transfer = await page.evaluateHandle(
    ([name, base64]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(base64!), (c) => c.charCodeAt(0))], name!));
      return data;
    },
    [name, Buffer.from(bytes).toString('base64')],
  );
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
}

async function findings(): Promise<string[]> {
  await page.evaluate(readFileSync(AXE, 'utf8')); // a script of ours in the page is refused by its policy
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
}

interface Slow {
  readonly entryType: 'longtask' | 'long-animation-frame';
  readonly startTime: number;
  readonly duration: number;
  readonly scripts?: readonly { readonly duration: number; readonly invoker: string; readonly sourceURL: string }[];
}

const now = () => page.evaluate(() => performance.now());

/** Tasks of over 50 ms since a moment, and the scripts of ours in frames that took so long. */
async function slowSince(since: number) {
  const all = (await page.evaluate(() => (window as unknown as { slow: unknown[] }).slow)) as Slow[];
  const late = all.filter(({ startTime }) => startTime >= since);
  // What this file evaluates in the page has no address.
  const scripts = late.flatMap(({ scripts = [] }) => scripts).filter(({ sourceURL }) => sourceURL.startsWith(origin));
  const tasks = late.filter(({ entryType }) => entryType === 'longtask').map(({ duration }) => duration);
  return { tasks, scripts: scripts.filter(({ duration }) => duration > 50) };
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
  const since = await now();
  const { x, y, width, height } = (await slider('noto').boundingBox())!;
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.1, y + height / 2, { steps: 20 });
  await page.mouse.up();
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

  // A task may be the browser's own painting, which is on the processor here; a script is ours.
  const { tasks, scripts } = await slowSince(since);
  if (tasks.length > 0) console.log(`tasks of over 50 ms while weights were turned: ${tasks.join(', ')} ms`);
  expect(scripts).toEqual([]);
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
    // Until it is drawn, or fails, another picture is shown: the newest there is.
    const isIdle = document.querySelector<HTMLElement>('.track')!.dataset.busy === 'false';
    return document.querySelector('[role=alert]') || (isIdle && drawn !== old && quality === 'full');
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
  await drop('picture.png', png);
  await page.waitForFunction(
    (key) => document.querySelector<HTMLElement>('figure.stage')!.dataset.drawn === key,
    wanted,
    {
      timeout: 60_000,
    },
  );
});

test('a recipe is saved, dropped and merged: the download is what the command line writes', async () => {
  await button('Save').click();
  const [recipe] = await Promise.all([page.waitForEvent('download'), button('Recipe as YAML').click()]);
  expect(recipe.suggestedFilename()).toBe('soup.yaml');
  const yaml = readFileSync(await recipe.path(), 'utf8');
  await button('Close').click();
  const number = page.getByLabel('Weight of noto as a number');
  await number.fill('0.25');
  await number.press('Enter');
  await page.getByRole('switch', { name: 'twemoji' }).click();
  expect(await page.getByTestId('formula').textContent()).not.toBe('1/4 fluent + 1/2 noto + 1/4 twemoji');
  await drop('soup.yaml', yaml);
  await page.waitForFunction(
    () => document.querySelector('[data-testid=formula]')!.textContent === '1/4 fluent + 1/2 noto + 1/4 twemoji',
  );

  const out = join(folder, 'soup.safetensors');
  const file = join(folder, 'soup.yaml');
  writeFileSync(file, yaml);
  const written = await soup(['merge', file, '--out', out]);
  expect(written).toMatchObject({ code: 0 });
  const expected = createHash('sha256').update(readFileSync(out)).digest('hex');
  await button('Save').click();
  const [merged] = await Promise.all([
    page.waitForEvent('download', { timeout: 120_000 }),
    button('Merged model').click(),
  ]);
  expect(merged.suggestedFilename()).toBe('soup.safetensors');
  const bytes = readFileSync(await merged.path());
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(expected);
  expect(await page.getByTestId('hash').textContent()).toBe(expected);
  await button('Close').click();
  await drawn();
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

test('without a network the page comes back, with its soup, and with a folder that was picked', async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  // No dialog of the system's can be answered: the folder is one of the private file system, with a handle like any other.
  await page.evaluate(async () => {
    const headers = { authorization: `Bearer ${sessionStorage.getItem('token')}` };
    const root = await navigator.storage.getDirectory();
    const mine = await root.getDirectoryHandle('mine', { create: true });
    const unet = await mine.getDirectoryHandle('unet', { create: true });
    for (const name of ['config.json', 'diffusion_pytorch_model.safetensors']) {
      const { body } = await fetch(`models/ink/unet/${name}`, { headers });
      await body!.pipeTo(await (await unet.getFileHandle(name, { create: true })).createWritable());
    }
    Object.assign(window, { showDirectoryPicker: async () => mine });
  });
  const drawing = await shown();
  await page.locator('summary', { hasText: 'Add a model' }).click();
  await button('Folder…').click();
  await page.getByRole('switch', { name: 'mine' }).click();
  await drawn();
  expect(await shown()).toBe(drawing);
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  const remembered = () =>
    page.evaluate(async () => {
      const { picked = [] } = JSON.parse(localStorage.getItem('diffusion-soup') ?? '{}');
      const request = indexedDB.open('diffusion-soup');
      await new Promise((resolve) => {
        request.onupgradeneeded = () => request.transaction!.abort(); // the page has not written there yet
        request.onsuccess = request.onerror = resolve;
      });
      if (request.error) return [];
      const names = request.result.transaction('handles').objectStore('handles').getAllKeys();
      await new Promise((resolve) => {
        names.onsuccess = resolve;
      });
      request.result.close();
      return picked.length === 1 ? names.result : [];
    });
  await expect.poll(remembered, { timeout: 20_000 }).toEqual(['mine']);
  const wanted = await shown();
  expect(complaints).toEqual([]);
  await context.setOffline(true);
  // A page that is reloaded, or a tab that crashes, may have no time to put anything away.
  await page.evaluate(() => {
    for (const engine of (window as unknown as { engines: Worker[] }).engines) engine.terminate();
  });
  await page.reload();
  expect(await drawn()).toBe(wanted);
  const mine = page.getByRole('switch', { name: 'mine' });
  expect([await mine.isChecked(), await mine.isEnabled()]).toEqual([false, true]);
  await context.setOffline(false);
});

test('before much is loaded the page asks, with what it costs; no loads nothing, yes goes on', async () => {
  const { answer, bytes } = largeEncoder();
  const cautious = await browser.newContext({ serviceWorkers: 'block' });
  const other = await cautious.newPage();
  const asked: string[] = [];
  other.on('request', (request) => {
    if (request.method() === 'GET' && request.url().endsWith('.safetensors')) asked.push(request.headers().range ?? '');
  });
  await cautious.route('**/models/base/text_encoder/*', answer);
  await other.goto(`${origin}/${SOUP}&token=${TOKEN}`);
  const dialog = other.getByRole('dialog', { name: /^Load / });
  await dialog.waitFor({ timeout: 60_000 });
  const facts = await dialog
    .locator('dl > div')
    .evaluateAll((rows) =>
      Object.fromEntries(rows.map((row) => [...row.children].map(({ textContent }) => textContent))),
    );
  const said = (text: string) => {
    const [, value] = /^([\d.]+) MiB$/.exec(text)!;
    return Number(value) * 2 ** 20;
  };
  // Headers were read already: the first blocks of each file.
  expect(Object.keys(facts)).toEqual(['From the network', 'From the cache', 'GPU memory', 'GPU memory, at the least']);
  expect(said(facts['From the network']!)).toBeGreaterThan(bytes);
  expect(said(facts['From the cache']!)).toBeGreaterThan(1e6);
  const title = said((await dialog.getByRole('heading').textContent())!.replace(/Load |\?/g, ''));
  expect(said(facts['From the network']!) + said(facts['From the cache']!)).toBeCloseTo(title, -7);
  expect(said(facts['GPU memory']!)).toBeGreaterThan(said(facts['GPU memory, at the least']!));

  const before = asked.length;
  await dialog.getByRole('button', { name: 'Not now' }).click();
  await other.waitForTimeout(1000);
  expect(asked.length).toBe(before);
  expect(await dialog.isVisible()).toBe(false);
  await other.getByRole('button', { name: 'Draw', exact: true }).click();
  await dialog.getByRole('button', { name: 'Load' }).click();
  const deadline = Date.now() + 60_000;
  while (asked.length < before + 3 && Date.now() < deadline) await other.waitForTimeout(100);
  expect(asked.length).toBeGreaterThanOrEqual(before + 3);
  await cautious.close();
});

test('nobody else was asked for anything', () => {
  expect(strangers).toEqual([]);
});
