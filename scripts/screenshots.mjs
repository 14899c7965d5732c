/**
 * Pictures of the page for the README, from a real run: `node scripts/screenshots.mjs` builds nothing, serves what
 * `npm run build` has built with `soup view`, waits for a finished picture, and writes docs/images/viewer-*.png.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './run.mjs';

const { chromium } = createRequire(join(root, 'test/'))('playwright-core');
const FOLDER = join(root, 'docs/images');
const SOUP = 'soup=fluent:1+ink:0.5+noto:1+twemoji:1.5&base=base';
const PICTURE = 'prompt=red%20apple&seed=42&steps=8&sampler=dpmpp-2m&guidance=4';
const SHOTS = [
  { name: 'light', width: 1280, height: 860, colorScheme: 'light' },
  { name: 'dark', width: 1280, height: 860, colorScheme: 'dark' },
  { name: 'phone', width: 390, height: 844, colorScheme: 'light' },
];
/** On a software adapter a picture takes minutes. */
const PATIENCE_MS = 900_000;

const view = spawn(
  process.execPath,
  [join(root, 'packages/cli/dist/main.js'), 'view', '--no-open', '--json', '--port', '0'],
  { env: { ...process.env, SOUP_PANTRY: join(root, 'pantry') }, stdio: ['ignore', 'pipe', 'inherit'] },
);
const [line] = await new Promise((resolve) =>
  createInterface({ input: view.stdout }).once('line', (...all) => resolve(all)),
);
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: [
    ...['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
    ...['--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'],
  ],
});
try {
  mkdirSync(FOLDER, { recursive: true });
  const page = await browser.newPage({ viewport: SHOTS[0] });
  await page.goto(`${JSON.parse(line).url}&${SOUP}&${PICTURE}`);
  await page.waitForFunction(() => document.querySelector('figure.stage')?.dataset.quality === 'full', undefined, {
    timeout: PATIENCE_MS,
  });
  for (const { name, width, height, colorScheme } of SHOTS) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.waitForTimeout(1000); // the canvases follow the new size
    await page.screenshot({ path: join(FOLDER, `viewer-${name}.png`) });
    console.log(join(FOLDER, `viewer-${name}.png`));
  }
} finally {
  await browser.close();
  view.kill('SIGINT');
}
