/**
 * The reports in docs/lab, recomputed on a few of their measurements; and what must hold of the measures by themselves.
 */
import { readFileSync } from 'node:fs';
import {
  CancelledError,
  fidelityPath,
  type Gpu,
  type Interval,
  loadModel,
  type Model,
  type Networks,
  noiseResiduals,
  openModelFolder,
  openNetworks,
  type PathStep,
  type Residual,
  relativeGap,
  residualRatio,
} from '@diffusion-soup/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { diskFolder, PANTRY, REFERENCE } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';

const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'];
/** Adapters round differently, and each step stands on the last one. */
const TOLERANCE = 0.02;

interface FidelityData {
  readonly residual: { readonly path: Interval; readonly noise: Interval };
  readonly pictures: readonly { readonly prompt: string; readonly seed: string; readonly steps: readonly PathStep[] }[];
  readonly noise: readonly { readonly timestep: number; readonly residuals: readonly Residual[] }[];
}

const report = JSON.parse(readFileSync(new URL('../../docs/lab/fidelity.json', import.meta.url), 'utf8')) as {
  readonly setup: { readonly steps: number; readonly guidance: number; readonly prompts: readonly string[] };
  readonly data: FidelityData;
};
const folder = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
const near = (found: number, expected: number) => {
  expect(Math.abs(found / expected - 1), `${found} for ${expected}`).toBeLessThan(TOLERANCE);
};

describe('fidelity', () => {
  let gpu: Gpu;
  let model: Model;
  let networks: Networks;
  beforeAll(async () => {
    gpu = await testGpu();
    const base = await folder('base');
    const ingredients = await Promise.all(SHARDS.map(async (name) => ({ folder: await folder(name), weight: 1 })));
    networks = await openNetworks(gpu, { ingredients, base });
    model = await loadModel(gpu, ingredients, { base });
  });
  afterAll(async () => {
    await model.destroy();
    await networks.close();
  });

  test('the report is what is measured, on its first prompt', async () => {
    const { pictures, noise } = report.data;
    const [{ prompt, seed, steps }] = pictures as [(typeof pictures)[number]];
    const { steps: count, guidance } = report.setup;
    const at = steps.findIndex(({ blocks }) => blocks !== undefined);
    const stop = new AbortController();
    const found: PathStep[] = [];
    const request = { prompt, seed: BigInt(seed), steps: count, guidance, signal: stop.signal };
    const blocks = ['M00', 'OUT02'];
    const onStep = (step: PathStep) => {
      if (found.push(step) > at) stop.abort();
    };
    const path = fidelityPath(model, networks, request, { blocksAt: [at], blocks, onStep });
    await expect(path).rejects.toThrow(CancelledError);
    expect(found.map(({ timestep }) => timestep)).toEqual(steps.slice(0, at + 1).map(({ timestep }) => timestep));
    for (const [i, step] of found.entries()) near(residualRatio([step]), residualRatio([steps[i]!]));
    for (const block of blocks)
      near(residualRatio([found[at]!.blocks![block]!]), residualRatio([steps[at]!.blocks![block]!]));

    const { timestep, residuals } = noise[0]!;
    const again = await noiseResiduals(model, networks, { prompts: [prompt], timestep, seed: BigInt(seed) });
    near(residualRatio(again), residualRatio(residuals.slice(0, 1)));
  });

  test('on random inputs it is of the size that PyTorch finds', async () => {
    const known: { t: number; residual: number; relative: number }[] = JSON.parse(
      readFileSync(`${REFERENCE}/linearity.json`, 'utf8'),
    );
    for (const t of [50, 400]) {
      const prompts = ['cat face', 'guitar'];
      const found = await noiseResiduals(model, networks, { prompts, timestep: t, seed: 7n });
      const { residual, relative } = known.find((one) => one.t === t)!;
      // Other noise and other prompts: the order of magnitude is what can agree.
      expect(residualRatio(found) / residual).toBeGreaterThan(0.7);
      expect(residualRatio(found) / residual).toBeLessThan(1.5);
      expect(relativeGap(found) / relative).toBeGreaterThan(0.6);
      expect(relativeGap(found) / relative).toBeLessThan(1.6);
    }
  });

  test('a soup of one is its ensemble, and one block souped is less than all', async () => {
    const asked = { prompts: ['rocket'], timestep: 500, seed: 1n };
    const one = await openNetworks(gpu, {
      ingredients: [{ folder: await folder('ink'), weight: 1 }],
      base: await folder('base'),
    });
    const [alone] = await noiseResiduals(model, one, asked);
    expect([alone!.gap, alone!.change > 0]).toEqual([0, true]);
    await one.close();

    const [whole] = await noiseResiduals(model, networks, asked);
    const [middle] = await noiseResiduals(model, { ...networks, soup: networks.hybrid('M00') }, asked);
    expect(middle!.gap).toBeGreaterThan(0);
    expect(middle!.gap).toBeLessThan(whole!.gap);
    expect(middle!.change).toBe(whole!.change);
    const [none] = await noiseResiduals(model, { ...networks, soup: networks.hybrid('no block') }, asked);
    expect(none!.gap).toBe(0);
  });

  test('needs a base', async () => {
    const ingredients = [{ folder: await folder('ink'), weight: 1 }];
    await expect(openNetworks(gpu, { ingredients })).rejects.toThrow(/name it with --base/);
  });
});
