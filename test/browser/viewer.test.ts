/** The page itself, in Chromium: weights and a prompt in, a picture on the canvas out. */
import type { Browser, Page } from 'playwright-core';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/browser.ts';

const VIEWER = new URL('../../packages/viewer', import.meta.url).pathname;

let browser: Browser;
let server: ViteDevServer;
let page: Page;
let origin: string;
const complaints: string[] = [];
const strangers: string[] = [];

beforeAll(async () => {
  server = await createServer({
    root: VIEWER,
    configFile: `${VIEWER}/vite.config.ts`,
    cacheDir: new URL('../node_modules/.vite-viewer', import.meta.url).pathname,
    logLevel: 'error',
    server: { port: 0, hmr: false },
  });
  await server.listen();
  origin = new URL(server.resolvedUrls!.local[0]!).origin;
  browser = await launchChromium();
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  page.on('request', (request) => {
    const { protocol, origin: theirs } = new URL(request.url());
    if (protocol.startsWith('http') && theirs !== origin) strangers.push(request.url());
  });
  await page.goto(origin);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

const weight = (name: string, value: number) => page.getByLabel(`weight of ${name}`).fill(`${value}`);

/** Draws and gives back the pixels. */
async function draw(): Promise<number[]> {
  const before = await page.locator('canvas').getAttribute('data-drawn');
  await page.getByRole('button', { name: 'Draw' }).click();
  await page.waitForFunction(
    (old) =>
      document.querySelector('canvas')?.dataset.drawn !== (old ?? undefined) || document.querySelector('[role=alert]'),
    before,
    { timeout: 240_000 },
  );
  expect(await page.getByRole('alert').count()).toBe(0);
  return page.evaluate(() => {
    const canvas = document.querySelector('canvas')!;
    return [...canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data];
  });
}

test('draws the soup of two shards, and another picture for other weights and the same seed', async () => {
  await weight('twemoji', 0);
  await weight('fluent', 0);
  await page.getByLabel('Steps').fill('2');
  expect(await page.locator('.formula').textContent()).toBe('0.50 noto + 0.50 ink');
  const even = await draw();
  expect(even.length).toBe(128 * 128 * 4);
  expect(new Set(even).size).toBeGreaterThan(50); // a picture, not one colour
  await weight('ink', 0.2);
  const uneven = await draw();
  expect(uneven.some((value, i) => Math.abs(value - even[i]!) > 16)).toBe(true);
  await weight('ink', 1);
  expect(await draw()).toEqual(even); // re-averaging takes nothing with it
  expect(complaints).toEqual([]);
  expect(strangers).toEqual([]);
}, 600_000);
