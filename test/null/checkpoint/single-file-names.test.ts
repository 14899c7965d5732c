/**
 * Names of single files: the published models' by what diffusers' own scripts make of them, and random models' by a
 * round trip. single-file-names.json was made with scripts/convert_diffusers_to_original_stable_diffusion.py of
 * diffusers 58eb52c: lines of the name in the single file and the names in the folder, their number, the SHA-256 of
 * all lines, sorted, each with a line's end, and some of them. loaders/single_file_utils.py takes them back.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { openSingleFile, type TensorInfo } from '@diffusion-soup/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clipConfig,
  layoutOf,
  type Model,
  SD15,
  SD21,
  shapesOf,
  unetConfig,
  vaeConfig,
} from '../../support/sd-models.ts';
import { hollowFile, type Shapes, type UNetSizes } from '../../support/sd-shapes.ts';

interface Golden {
  readonly count: number;
  readonly sha256: string;
  readonly some: readonly string[];
}

const golden = JSON.parse(readFileSync(new URL('./single-file-names.json', import.meta.url), 'utf8')) as Record<
  'unet' | 'vae' | 'clip' | 'open-clip',
  Golden
>;

const inFolder = (tensors: ReadonlyMap<string, TensorInfo>): Shapes =>
  new Map([...tensors].map(([name, { shape }]) => [name, shape]));

const sorted = (shapes: Shapes) => [...shapes].sort(([a], [b]) => (a < b ? -1 : 1));

describe.each([
  ['1.5', SD15, 'clip', 196],
  ['2.1', SD21, 'open-clip', 280],
] as [string, Model, 'clip' | 'open-clip', number][])('Stable Diffusion %s', (version, model, text, textTensors) => {
  it.each([
    ['unet', 'unet', 686],
    ['vae', 'vae', 248],
    ['text_encoder', text, textTensors],
  ] as const)('%s: names as the published script writes them', (part, kind, count) => {
    const lines = layoutOf(model)
      .filter(({ parts }) => parts[0]!.component === part)
      .map(({ name, parts }) => [name, ...parts.map(({ key }) => key)].join(' '))
      .sort();
    expect(lines).toEqual(expect.arrayContaining([...golden[kind].some]));
    expect(lines.length).toBe(count);
    expect(golden[kind].count).toBe(count);
    expect(
      createHash('sha256')
        .update(`${lines.join('\n')}\n`)
        .digest('hex'),
    ).toBe(golden[kind].sha256);
  });

  it('is read with the configs of the published folder', async () => {
    const single = await openSingleFile(hollowFile(layoutOf(model)));
    const v = version === '2.1';
    const size = v ? 768 : 512;
    expect(single.version).toBe(v ? 2 : 1);
    expect(await single.unetConfig()).toEqual(unetConfig(model.unet, { sample_size: size / 8 }));
    expect(await single.vaeConfig()).toEqual(vaeConfig(model.vae, { sample_size: size }));
    const ids = { bos_token_id: 0, eos_token_id: 2, pad_token_id: 1, projection_dim: v ? 512 : 768 };
    expect(await single.textEncoderConfig()).toEqual(clipConfig(model.clip, model.act, ids));
    expect(await single.schedulerConfig()).toMatchObject({
      className: v ? 'DDIMScheduler' : 'PNDMScheduler',
      predictionType: v ? 'v_prediction' : 'epsilon',
      betaStart: 0.00085,
      betaEnd: 0.012,
      betaSchedule: 'scaled_linear',
      stepsOffset: 1,
      setAlphaToOne: false,
    });
    expect(single.notes.length).toBe(v ? 1 : 0);
  });
});

/** Channels that are whole heads and whole groups, few of them. */
const channels = fc.integer({ min: 1, max: 4 }).map((n) => 64 * n);

const levels = fc.integer({ min: 1, max: 5 }).chain((depth) => {
  const each = <T>(value: fc.Arbitrary<T>) => fc.array(value, { minLength: depth, maxLength: depth });
  const some = fc.integer({ min: 1, max: 3 });
  const attention = fc.boolean();
  return fc.record({
    channels: each(channels),
    layers: each(some),
    downAttention: each(attention),
    upAttention: each(attention),
    depth: each(some),
  });
});

const unets: fc.Arbitrary<UNetSizes> = fc
  .tuple(levels, channels, fc.boolean(), fc.integer({ min: 1, max: 16 }))
  .map(([sizes, context, linear, latents]) => {
    const last = sizes.channels.length - 1;
    // Where there is no attention nobody can say how deep it would be.
    const attends = (i: number) => sizes.downAttention[i] || sizes.upAttention[last - i] || i === last;
    const depth = sizes.depth.map((n, i) => (attends(i) ? n : 1));
    return { ...sizes, depth, context, linear, inChannels: latents, outChannels: latents };
  });

const models: fc.Arbitrary<Model> = fc.record({
  unet: unets,
  vae: fc.record({
    channels: fc.array(channels, { minLength: 1, maxLength: 5 }),
    layers: fc.integer({ min: 1, max: 3 }),
    latents: fc.integer({ min: 1, max: 16 }),
  }),
  clip: fc.record({
    vocabulary: fc.integer({ min: 1, max: 1000 }),
    positions: fc.integer({ min: 1, max: 100 }),
    channels,
    layers: fc.integer({ min: 1, max: 22 }),
  }),
  act: fc.constantFrom('quick_gelu' as const, 'gelu' as const),
});

it('any model comes back with its names, shapes and configs', async () => {
  await fc.assert(
    fc.asyncProperty(models, async (model) => {
      const single = await openSingleFile(hollowFile(layoutOf(model)));
      const shapes = shapesOf(model);
      for (const part of ['unet', 'vae', 'text_encoder'] as const) {
        expect(sorted(inFolder((await single.weights(part))!.tensors))).toEqual(sorted(shapes[part]));
      }
      const { sampleSize: _, ...unet } = unetConfig(model.unet);
      expect(await single.unetConfig()).toMatchObject(unet);
      const { sampleSize: __, ...vae } = vaeConfig(model.vae);
      expect(await single.vaeConfig()).toMatchObject(vae);
      const { layers, hiddenSize, hiddenAct } = clipConfig(model.clip, model.act);
      expect(await single.textEncoderConfig()).toMatchObject({ layers, hiddenSize, hiddenAct });
      expect(single.ignored).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
