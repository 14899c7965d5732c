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
const SOUP = '#soup=noto:2+twemoji:1+fluent:1&base=base&prompt=red%20apple&seed=7&steps=1&sampler=ddim&guidance=1';

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
  await build({
    root: VIEWER,
    configFile: `${VIEWER}/vite.config.ts`,
    logLevel: 'error',
    build: { outDir: folder, emptyOutDir: true },
  });
  view = await startView({ port: 0, token: TOKEN, page: pageFiles(folder), shelf: () => openShelf(PANTRY) });
  origin = `http://127.0.0.1:${view.port}`;
  browser = await launchChromium();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
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

async function findings(): Promise<string[]> {
  await page.addScriptTag({ path: AXE }).catch(() => page.evaluate(readFileSync(AXE, 'utf8')));
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
}

test('a link is opened: its soup is drawn, and the token is gone from the address', async () => {
  await page.goto(`${origin}/${SOUP}&token=${TOKEN}`);
  await drawn();
  expect(page.url()).toBe(`${origin}/`);
  expect(await page.getByTestId('formula').textContent()).toBe('1/4 fluent + 1/2 noto + 1/4 twemoji');
  const first = await pixels();
  expect(first.length).toBe(128 * 128 * 4);
  expect(new Set(first).size).toBeGreaterThan(50); // a picture, not one colour
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

test('nobody else was asked for anything, and nothing complained', () => {
  expect(complaints).toEqual([]);
  expect(strangers).toEqual([]);
});
