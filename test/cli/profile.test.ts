/** Where the GPU's time went. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createProfile, profileTable } from '../../packages/cli/src/profile.ts';
import { scratch, soup } from '../support/cli.ts';

const time = (kernel: string, beginMs: number, endMs: number) => ({ kernel, shape: [2, 3], beginMs, endMs });

test('rows are summed by network, kernel and shape; the longest comes first', () => {
  const profile = createProfile();
  profile.onKernels('UNet', [time('matmul', 10, 11), time('add', 11, 11.5)]);
  profile.onKernels('UNet', [time('matmul', 20, 22)]);
  profile.onKernels('VAE decoder', [time('matmul', 30, 31)]);
  expect(profile.rows().map(({ part, kernel, count, ms }) => [part, kernel, count, ms])).toEqual([
    ['UNet', 'matmul', 2, 3],
    ['VAE decoder', 'matmul', 1, 1],
    ['UNet', 'add', 1, 0.5],
  ]);
  expect(profileTable(profile.rows())).toEqual([
    'network      kernel  writes  runs    ms   share',
    'UNet         matmul  2 x 3      2  3.00  66.7 %',
    'VAE decoder  matmul  2 x 3      1  1.00  22.2 %',
    'UNet         add     2 x 3      1  0.50  11.1 %',
    '4.5 ms on the GPU',
  ]);
});

test('soup generate --profile draws the same picture, and times every kernel of it', async () => {
  const folder = scratch();
  try {
    const draw = async (name: string, ...more: string[]) => {
      const args = ['generate', 'noto', '-p', 'cat', '--seed', '1', '--steps', '2', '--size', '32', '--json'];
      const { stdout, stderr, code } = await soup([...args, '-o', join(folder.path, name), ...more]);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout);
    };
    const file = join(folder.path, 'trace.json');
    const { profile } = await draw('timed.png', '--profile', file);
    expect((await draw('plain.png')).profile).toBeUndefined();
    const pixels = (name: string) => readFileSync(join(folder.path, name));
    expect(pixels('timed.png').equals(pixels('plain.png'))).toBe(true);

    expect(new Set(profile.map(({ part }: { part: string }) => part)).size).toBe(3);
    const conv = profile.find(
      ({ part, kernel }: { part: string; kernel: string }) => part === 'UNet' && kernel === 'conv2d',
    );
    expect(conv.count % 2).toBe(0);
    expect(conv.ms).toBeGreaterThan(0);
    const { traceEvents } = JSON.parse(readFileSync(file, 'utf8'));
    const complete = traceEvents.filter(({ ph }: { ph: string }) => ph === 'X');
    const counts = profile.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    expect(complete).toHaveLength(counts);
    for (const { ts, dur } of complete) expect([ts >= 0, dur >= 0, Number.isFinite(dur)]).toEqual([true, true, true]);
    expect(traceEvents.filter(({ ph }: { ph: string }) => ph === 'M')).toHaveLength(3);
  } finally {
    folder.remove();
  }
});
