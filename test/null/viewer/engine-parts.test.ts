/** What the engine is made of, without a GPU: which soups a loaded model can become, what is told how often, what is kept. */
import type { Image, ModelFolder, OpenRecipe, Settings } from '@diffusion-soup/core';
import { afterEach, expect, test, vi } from 'vitest';
import { openEasel } from '../../../packages/viewer/src/engine/canvas.ts';
import type { Tell } from '../../../packages/viewer/src/engine/desk.ts';
import { memoryBudget } from '../../../packages/viewer/src/engine/device.ts';
import { DrawnPictures } from '../../../packages/viewer/src/engine/drawn.ts';
import { reweighed } from '../../../packages/viewer/src/engine/pot.ts';
import { createPace, tellLoading, throttled } from '../../../packages/viewer/src/engine/progress.ts';
import type { EngineEvent } from '../../../packages/viewer/src/messages.ts';

afterEach(() => void vi.unstubAllGlobals());

const folder = (name: string, ...components: string[]) =>
  ({ name, components: new Set(components) }) as unknown as ModelFolder;
const [base, noto, ink, third] = [
  folder('base', 'unet', 'vae'),
  ...['noto', 'ink', 'third'].map((name) => folder(name, 'unet')),
];
const whole = folder('whole', 'unet', 'vae', 'text_encoder');

function soup(weights: readonly (readonly [ModelFolder | undefined, number, object?])[], of = base): OpenRecipe {
  const ingredients = weights.map(([folder, weight, blocks]) => ({
    folder: folder!,
    weight,
    ...(blocks && { blocks }),
  }));
  return { ingredients, ...(of && { base: of }) } as OpenRecipe;
}

test.each([
  [
    'other weights',
    soup([
      [noto, 1],
      [ink, 1],
    ]),
    soup([
      [noto, 2],
      [ink, 3],
    ]),
    [2, 3],
  ],
  [
    'in another order',
    soup([
      [noto, 1],
      [ink, 1],
    ]),
    soup([
      [ink, 3],
      [noto, 2],
    ]),
    [2, 3],
  ],
  [
    'one that weighs nothing',
    soup([
      [noto, 1],
      [ink, 1],
    ]),
    soup([[ink, 3]]),
    [0, 3],
  ],
  [
    'one more than there is',
    soup([[noto, 1]]),
    soup([
      [noto, 1],
      [ink, 1],
    ]),
    undefined,
  ],
  [
    'one twice',
    soup([[noto, 1]]),
    soup([
      [noto, 1],
      [noto, 2],
    ]),
    undefined,
  ],
  ['another base', soup([[noto, 1]]), soup([[noto, 1]], whole), undefined],
  [
    'without what lends its VAE',
    soup([
      [noto, 1],
      [whole, 1],
    ]),
    soup([[noto, 1]]),
    undefined,
  ],
  [
    'with what lends its VAE',
    soup([
      [noto, 1],
      [whole, 1],
    ]),
    soup([[whole, 1]]),
    [0, 1],
  ],
])('a model can become a soup of %s', (_, loaded, wanted, weights) => {
  expect(reweighed(loaded, wanted)?.weights).toEqual(weights);
});

test('a table of blocks means the same with ingredients beside that weigh nothing', () => {
  const table = { MID: 1 };
  const three = soup([
    [noto, 1],
    [ink, 1],
    [third, 1],
  ]);
  // The only table of two is a share of both, which it is not of three.
  expect(
    reweighed(
      three,
      soup([
        [noto, 1],
        [ink, 1, table],
      ]),
    ),
  ).toBeUndefined();
  expect(
    reweighed(
      three,
      soup([
        [noto, 1, {}],
        [ink, 1, table],
      ]),
    )?.blocks,
  ).toEqual([{}, table, {}]);
  // Nor may one alone become one of two.
  expect(
    reweighed(
      soup([
        [noto, 1],
        [ink, 1],
      ]),
      soup([[ink, 1, table]]),
    )?.blocks,
  ).toEqual([{}, table]);
  expect(reweighed(three, soup([[noto, 1]]))?.blocks).toEqual([undefined, undefined, undefined]);
});

test('progress is told ten times a second, and the last word always', () => {
  let now = 0;
  const told: number[] = [];
  const say = throttled(
    (x: number) => told.push(x),
    () => now,
  );
  for (let x = 0; x < 100; x++, now += 10) say(x === 98, x);
  expect(told).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 98]);
});

test('the time left follows from the last few seconds', () => {
  let now = 0;
  const left = createPace(() => now);
  expect(left(0, 1000)).toBeUndefined();
  now = 100;
  expect(left(10, 1000)).toBeUndefined(); // too soon to tell
  for (let second = 1; second <= 10; second++) {
    now = second * 1000;
    left(second * 10, 1000);
  }
  expect(left(100, 1000)).toBeCloseTo(90);
  for (let second = 11; second <= 16; second++) {
    now = second * 1000;
    left(100 + (second - 10) * 100, 1000);
  }
  expect(left(700, 1000)).toBeCloseTo(3); // faster now
  expect(left(0, 50)).toBeUndefined(); // another part
});

test('loading says what it loads, from where, and the end of each part', () => {
  const told: Partial<EngineEvent>[] = [];
  let origin: 'network' | 'cache' = 'network';
  const load = tellLoading(((event) => told.push(event)) as Tell, () => origin);
  load('text_encoder', 1, 2);
  load('text_encoder', 2, 2);
  origin = 'cache';
  load('unet', 5, 10);
  load('unet', 6, 10);
  load('unet', 10, 10);
  expect(told.map((event) => Object.values(event).slice(1, 5))).toEqual([
    ['text encoder', 'network', 1, 2],
    ['text encoder', 'network', 2, 2],
    ['UNet', 'cache', 5, 10],
    ['UNet', 'cache', 10, 10],
  ]);
});

test('pictures are kept until newer ones need the room', () => {
  const drawn = (bytes: number) => ({
    image: { width: 1, height: 1, pixels: new Uint8Array(bytes) } satisfies Image,
    settings: {} as Settings,
    blend: { portions: [] },
    machine: { adapter: '', precision: 'f32' as const },
  });
  const pictures = new DrawnPictures(100);
  for (const key of ['a', 'b', 'a', 'c']) pictures.keep(key, drawn(40));
  expect(() => pictures.get('b')).toThrow('Draw it again');
  expect(pictures.get('a').image.pixels.length).toBe(40);
  pictures.keep('huge', drawn(1000)); // the newest is kept, however large
  expect(pictures.get('huge').image.pixels.length).toBe(1000);
  expect(() => pictures.get('c')).toThrow();
});

test('the memory to use is a part of what the machine has', () => {
  expect(memoryBudget(8)).toBeGreaterThan(4 * 2 ** 30);
  expect(memoryBudget(2)).toBeLessThan(2 * 2 ** 30);
  expect(memoryBudget(undefined)).toBe(memoryBudget(8));
});

test('a canvas without WebGPU is painted through pixels, and there may be none', () => {
  vi.stubGlobal(
    'ImageData',
    class {
      constructor(
        readonly data: Uint8ClampedArray,
        readonly width: number,
      ) {}
    },
  );
  const put: unknown[] = [];
  const context = { putImageData: (...args: unknown[]) => put.push(args) };
  const canvas = { width: 8, height: 8, getContext: (type: string) => (type === '2d' ? context : null) };
  const easel = openEasel(canvas as unknown as OffscreenCanvas, {} as never);
  expect(easel.painting).toBe('pixels');
  expect(easel.paintDecoded({} as never)).toBe(false);
  easel.paintImage({ width: 2, height: 1, pixels: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
  expect([canvas.width, canvas.height]).toEqual([2, 1]);
  expect(put).toEqual([[{ data: Uint8ClampedArray.of(1, 2, 3, 4, 5, 6, 7, 8), width: 2 }, 0, 0]]);
  expect(openEasel(undefined, {} as never).painting).toBe('none');
});
