/**
 * `npm run bench -- page`: what a turned slider costs on the page of `soup view`, from the key to the coarse picture and to the
 * full one, in Chromium. On a machine without a graphics card that is SwiftShader, which is far slower than anything that
 * people have.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { columns, digits, environment, median, printEnvironment } from './report.mjs';

const HELP = `Measures how long the page takes from a turned slider to its pictures.

npm run bench -- page [options]

  --steps N     of the full picture (default: 4)
  --turns N     how often the slider is turned (default: 5)
  --gpu         the adapter that the browser prefers, instead of SwiftShader
  --json        print JSON instead of the table
  --help        print this

Chromium is looked for at $CHROMIUM, else /usr/bin/chromium.`;

const { values: options } = parseArgs({
  options: {
    steps: { type: 'string', default: '4' },
    turns: { type: 'string', default: '5' },
    gpu: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const SOFTWARE = ['--use-webgpu-adapter=swiftshader', '--use-vulkan=swiftshader', '--use-angle=swiftshader'];
const MAIN = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));
const PANTRY = process.env.SOUP_PANTRY ?? fileURLToPath(new URL('../../pantry', import.meta.url));
const NAMES = ['noto', 'twemoji', 'fluent', 'ink'];
/** A first picture compiles every shader. */
const PATIENCE_MS = 600_000;

async function startView() {
  const child = spawn(process.execPath, [MAIN, 'view', '--no-open', '--json', '--port', '0'], {
    env: { ...process.env, SOUP_PANTRY: PANTRY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) return { url: JSON.parse(line).url, child };
  throw new Error('soup view ended before it said where it is');
}

/** Waits until a picture of this quality is shown that is none of `before`. */
async function pictureAfter(page, before, quality) {
  await page.waitForFunction(
    ([before, quality]) => {
      const { drawn, quality: found } = document.querySelector('figure.stage').dataset;
      return drawn !== undefined && drawn !== before && (quality === 'coarse' || found === 'full');
    },
    [before, quality],
    { timeout: PATIENCE_MS, polling: 'raf' },
  );
}

async function main() {
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { url, child } = await startView();
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--enable-unsafe-webgpu', '--enable-features=Vulkan', ...(options.gpu ? [] : SOFTWARE)],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const soup = `soup=${NAMES.map((name) => `${name}:1`).join('+')}&base=base`;
    const picture = `prompt=red%20apple&seed=42&steps=${options.steps}&guidance=4`;
    process.stderr.write('bench  the first picture\n');
    const begun = performance.now();
    await page.goto(`${url}&${soup}&${picture}`);
    await pictureAfter(page, undefined, 'full');
    const firstMs = performance.now() - begun;
    const slider = page.getByRole('slider', { name: `Weight of ${NAMES[0]}`, exact: true });
    const [coarse, full] = [[], []];
    for (let turn = 0; turn < Number(options.turns); turn++) {
      process.stderr.write(`bench  turn ${turn + 1}\n`);
      const before = await page.locator('figure.stage').getAttribute('data-drawn');
      await slider.focus();
      const turned = performance.now();
      await page.keyboard.press(turn % 2 === 0 ? 'PageUp' : 'ArrowLeft');
      await pictureAfter(page, before, 'coarse');
      coarse.push(performance.now() - turned);
      await pictureAfter(page, before, 'full');
      full.push(performance.now() - turned);
    }
    const info = await page.evaluate(async () => {
      const { vendor, architecture, device, description } = (await navigator.gpu.requestAdapter()).info;
      return { vendor, architecture, device, description };
    });
    const facts = environment({ info }, { name: 'page' });
    const rows = [
      { name: `first visit to the first picture, ${options.steps} steps`, ms: firstMs, samples: 1 },
      { name: 'key to the coarse picture', ms: median(coarse), samples: coarse.length },
      { name: `key to the full picture, ${options.steps} steps`, ms: median(full), samples: full.length },
    ];
    if (options.json) console.log(JSON.stringify({ ...facts, browser: browser.version(), rows }, null, 2));
    else {
      const lines = rows.map(({ name, ms, samples }) => [name, digits(ms), String(samples)]);
      columns([['4 shards, 128 px', 'median ms', 'samples'], ...lines], 'lrr');
      printEnvironment(facts);
      console.log(`Chromium ${browser.version()}`);
    }
    return 0;
  } finally {
    await browser.close();
    child.kill('SIGINT');
  }
}

process.exit(await main());
