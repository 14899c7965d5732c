/** Chromium on SwiftShader makes the same bytes of the same recipes as Dawn in Node, and as every other adapter. */
import type { Browser, Page } from 'playwright-core';
import type { ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium, servePage } from '../support/browser.ts';
import { EXPECTED } from '../support/soup-hashes.ts';

let browser: Browser;
let server: ViteDevServer;
let page: Page;

beforeAll(async () => {
  const served = await servePage();
  server = served.server;
  browser = await launchChromium();
  page = await browser.newPage();
  await page.goto(`${served.url}page.html`);
  await page.waitForFunction(() => 'soupHashes' in window);
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

test('soups are the same bytes in the browser', async () => {
  expect(await page.evaluate(() => window.soupHashes('/pantry'))).toEqual(EXPECTED);
}, 300_000);
