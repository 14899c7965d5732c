/** What the page is told when something goes wrong: the kind, a sentence, a remedy, and nothing of the command line. */
import {
  CheckpointError,
  ConfigError,
  DeviceError,
  DiskError,
  IncompatibleError,
  SoupError,
  UsageError,
} from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { createMemory } from '../../../packages/core/src/gpu/memory.ts';
import { Failure, failureOf } from '../../../packages/viewer/src/engine/failure.ts';

function overBudget(): unknown {
  try {
    createMemory(2 ** 30).reserve(2 ** 31, 'unet weights');
  } catch (error) {
    return error;
  }
  throw new Error('the budget was not kept');
}

const quota = () => new DOMException('full', 'QuotaExceededError');

test.each([
  [new Failure('no-webgpu', 'None here', 'Take another.'), 'no-webgpu', 'None here.', 'Take another.'],
  [
    new DeviceError('The GPU device was lost while running UNet: gone. Start the command again.', {
      failure: 'lost',
      doing: 'running UNet',
    }),
    'device-lost',
    'The browser lost the graphics card while running UNet.',
    /go on/,
  ],
  [
    new DeviceError('The GPU ran out of memory while running VAE.', { failure: 'out-of-memory', doing: 'running VAE' }),
    'out-of-memory',
    'The graphics card ran out of memory while running VAE.',
    /smaller picture/,
  ],
  [
    new DeviceError('a buffer', { failure: 'limit', label: 'UNet weights', size: 3 * 2 ** 30, limit: 2 ** 28 }),
    'limits',
    'UNet weights needs 3.0 GiB at once; this graphics card, or the browser, allows 256 MiB.',
    /smaller/,
  ],
  [
    overBudget(),
    'out-of-memory',
    'This needs 2.0 GiB more of GPU memory, but 0 bytes of 1.0 GiB are in use.',
    /close what else/,
  ],
  [new RangeError('Array buffer allocation failed'), 'out-of-memory', /no more memory/, /smaller/],
  [quota(), 'quota', /store more/, /Clear the cache/],
  [new DiskError('cannot write', {}, { cause: quota() }), 'quota', /store more/, /Clear the cache/],
  [new DiskError('https://x.test/a cannot be reached: no connection.'), 'offline', /cannot be reached/, /connection/],
  [
    new DiskError('http://x.test/a: the server answered 500.', { status: 500 }),
    'offline',
    /answered 500/,
    /connection/,
  ],
  [new DiskError('soup.safetensors cannot be written'), 'disk', 'soup.safetensors cannot be written.', /may be read/],
  [new DOMException('no', 'NotAllowedError'), 'disk', /may not use/, /try again/],
  [new DOMException('no', 'NotFoundError'), 'disk', /not where it was/, 'Open it again.'],
  [
    new CheckpointError('No vae in ink. Name the model that the fine-tunes started from with --base.'),
    'bad-file',
    'No vae in ink.',
    'Use another copy of the file.',
  ],
  [
    new CheckpointError('a.safetensors changed while it was read. Load it again.'),
    'bad-file',
    /changed/,
    'Load it again.',
  ],
  [new ConfigError('unet/config.json: odd'), 'bad-file', 'unet/config.json: odd.', /another copy/],
  [new IncompatibleError('ink has other shapes'), 'incompatible', 'ink has other shapes.', /Switch off/],
  [new UsageError('steps is 0; give a whole number from 1 to 1000'), 'bad-input', /^steps is 0/, /Change it/],
] as const)('%o', (error, kind, sentence, remedy) => {
  const told = failureOf(error);
  expect(told.kind).toBe(kind);
  expect(told.sentence).toMatch(sentence);
  expect(told.remedy).toMatch(remedy);
  for (const text of [told.sentence, told.remedy]) expect(text).toMatch(/^\S.*[.!?]$/);
});

test.each([
  new Error('undefined is not a function'),
  new SoupError('odd'),
  new DeviceError('refused'),
  'a string',
  undefined,
])('what nobody foresaw is internal: %o', (error) => {
  const told = failureOf(error);
  expect(told).toMatchObject({ kind: 'internal', remedy: expect.stringContaining('reload') });
  if (error instanceof Error) expect(told.sentence).toContain(error.message);
});

test('names of files cannot be more than names', () => {
  const { sentence } = failureOf(new CheckpointError(`evil\u202e\u001b[31m${'x'.repeat(5000)}`));
  expect(sentence).toMatch(/^evil\\u\{202e\}\\u\{1b\}\[31mx+/);
  expect(sentence.length).toBeLessThan(700);
});
