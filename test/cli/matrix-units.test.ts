/** Whether matrix units are used: asked once, in a process that may die. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { matrixUnitsOf } from '../../packages/cli/src/matrix-units.ts';
import { scratch } from '../support/cli.ts';

let home: ReturnType<typeof scratch>;
beforeEach(() => {
  home = scratch();
});
afterEach(() => home.remove());

const FEATURE = 'chromium-experimental-subgroup-matrix';
const CONFIG = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
const adapter = (description = 'driver 1', configs = [CONFIG], lanes = 32) =>
  ({
    features: new Set([FEATURE]),
    limits: { maxComputeWorkgroupStorageSize: 49152 },
    info: { vendor: 'x', description, subgroupMinSize: lanes, subgroupMaxSize: 32, subgroupMatrixConfigs: configs },
  }) as unknown as GPUAdapter;
const saying = (results: object) => vi.fn(async () => JSON.stringify(results));
const good = [
  { name: 'matmul 1', error: 1e-4 },
  { name: 'attention 1', error: 1e-4 },
];
const ask = (probe: () => Promise<string>, env: object = {}, which = adapter(), onAsking = vi.fn()) =>
  matrixUnitsOf(which, undefined, { XDG_CACHE_HOME: home.path, ...env }, { probe, onAsking });

test('a good verdict is kept, for this driver', async () => {
  const probe = saying(good);
  const told = vi.fn();
  const twice = [await ask(probe, {}, undefined, told), await ask(probe, {}, undefined, told)];
  expect(twice).toEqual([{ units: 'all' }, { units: 'all' }]);
  expect([probe.mock.calls.length, told.mock.calls.length]).toEqual([1, 1]);
  probe.mockClear();
  await ask(probe, {}, adapter('driver 2'));
  await ask(probe, { SOUP_MATRIX_UNITS: 'check' });
  expect(probe).toHaveBeenCalledTimes(2);
});

test('what is wrong is switched off, with the reason', async () => {
  const attention = await ask(saying([good[0]!, { name: 'attention 1', error: 1 }]));
  expect(attention).toEqual({
    units: 'products',
    warning: expect.stringMatching(/attention 1: attention goes without/),
  });
  const product = await ask(saying([{ name: 'matmul 1', error: Number.NaN }, good[1]!]), {}, adapter('other'));
  expect(product).toEqual({ units: 'none', warning: expect.stringMatching(/matmul 1: pictures are drawn without/) });
});

test('so is what kills the process, hangs, or says nothing', async () => {
  for (const [error, why] of [
    [{ signal: 'SIGABRT' }, /SIGABRT/],
    [{ killed: true, signal: 'SIGKILL' }, /longer than \d+ s/],
    [{ code: 1 }, /ended with 1:/],
    [{ code: 1, stderr: 'DeviceError: no\n' }, /ended with 1 \(DeviceError: no\):/],
  ] as const) {
    const dying = () => Promise.reject(Object.assign(new Error('x'), error));
    const verdict = await ask(dying, { SOUP_MATRIX_UNITS: 'check' });
    expect(verdict).toEqual({ units: 'none', warning: expect.stringMatching(why) });
  }
  expect((await ask(async () => 'garbage', { SOUP_MATRIX_UNITS: 'check' }))!.units).toBe('none');
});

test('a wish overrules, other matrices are not asked, a damaged verdict is none', async () => {
  const probe = saying(good);
  expect(await ask(probe, { SOUP_MATRIX_UNITS: 'products' })).toEqual({ units: 'products' });
  expect(await ask(probe, {}, adapter('d', [{ ...CONFIG, M: 8 }]))).toBeUndefined();
  expect(await ask(probe, {}, adapter('d', [CONFIG], 16))).toBeUndefined();
  expect(probe).not.toHaveBeenCalled();
  await ask(probe);
  const folder = join(home.path, 'diffusion-soup', 'matrix-units');
  for (const file of readdirSync(folder)) writeFileSync(join(folder, file), '{"units":"perhaps"}');
  expect(await ask(probe)).toEqual({ units: 'all' });
  expect(probe).toHaveBeenCalledTimes(2);
});
