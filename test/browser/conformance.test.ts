/** The smaller reference model in Chromium on SwiftShader, which has no f16: the bounds of the f32 tier. */
import type { Browser, Page } from 'playwright-core';
import type { ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, servePage } from '../support/browser.ts';

let browser: Browser;
let server: ViteDevServer;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  const served = await servePage();
  server = served.server;
  browser = await launchChromium();
  page = await browser.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(`${served.url}page.html`);
  await page.waitForFunction(() => 'conformFolder' in window);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('there is an adapter', async () => {
  expect(await page.evaluate(() => window.adapterName())).toContain('swiftshader');
});

test('text encoder, UNet, VAE and samplers agree with the reference', async () => {
  const results = await page.evaluate(() => window.conformFolder('/reference/sd15-tiny'));
  const all = Object.values(results).flat();
  expect(all.filter(({ ok }) => !ok)).toEqual([]);
  // every tensor of the four files, and none skipped
  expect(Object.fromEntries(Object.entries(results).map(([kind, list]) => [kind, list.length]))).toEqual({
    text_encoder: 6,
    unet: 22,
    vae: 11,
    pipeline: 10,
  });
  expect(complaints).toEqual([]);
}, 900_000);
