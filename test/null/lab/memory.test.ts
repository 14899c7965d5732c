/** Copies, membership and losses as numbers: known cases, and the emoji that count as trained on. */
import {
  clipScore,
  clipScorer,
  denoisingLosses,
  fraction,
  type Image,
  membership,
  nearestOf,
  nearestPicture,
  scorerOfPictures,
  timestepsAt,
  underNoise,
} from '@diffusion-soup/core';
import { describe, expect, test } from 'vitest';
import { clipGroups } from '../../../packages/cli/src/lab/clip-report.ts';
import { emojiTraining } from '../../../packages/cli/src/lab/emoji.ts';
import { knownRows, nearnessRows, type SetLosses } from '../../../packages/cli/src/lab/memory-numbers.ts';
import {
  bestIngredient,
  lossCells,
  lossSummaries,
  unseenSummaries,
} from '../../../packages/cli/src/lab/paper-numbers.ts';
import { openTraining, sampleOf } from '../../../packages/cli/src/lab/training.ts';
import { alphasCumprod } from '../../../packages/core/src/sampler/training-noise.ts';

const scheduler = {
  ...{ className: 'DDIMScheduler', numTrainTimesteps: 1000, betaStart: 0.00085, betaEnd: 0.012 },
  ...{ betaSchedule: 'scaled_linear', rescaleBetasZeroSnr: false, predictionType: 'v_prediction' },
} as unknown as Parameters<typeof timestepsAt>[0];

describe('the denoising loss', () => {
  const x = Float32Array.from([1, -2, 0.5, 3]);
  const noise = Float32Array.from([0.3, 0.1, -1, 2]);

  test.each([
    ['epsilon', (_: number, e: number) => e],
    ['sample', (x0: number) => x0],
    ['v_prediction', (x0: number, e: number) => Math.sqrt(0.36) * e - Math.sqrt(0.64) * x0],
  ] as const)('asks for %s', (type, target) => {
    const made = underNoise(x, noise, 0.36, type);
    for (const [i, x0] of x.entries()) {
      expect(made.noisy[i]).toBeCloseTo(0.6 * x0 + 0.8 * noise[i]!, 6);
      expect(made.target[i]).toBeCloseTo(target(x0, noise[i]!), 6);
    }
  });

  test('is the mean square of each case, whatever the batch; the network is asked as in training', async () => {
    const asked: { images: number; timesteps: number[] }[] = [];
    const unet = {
      async predict(
        { images }: { images: number },
        sample: Float32Array,
        timesteps: Float32Array,
        context: Float32Array,
      ) {
        asked.push({ images, timesteps: [...timesteps] });
        const each = sample.length / images;
        return { output: sample.map((value, i) => 0.5 * value + context[Math.floor(i / each)]!) };
      },
    };
    const cases = [100, 500, 900].map((timestep, i) => ({
      ...{ latents: x.map((value) => value + i), noise, timestep },
      context: Float32Array.of(i / 10),
    }));
    const size = { height: 1, width: 1 };
    const losses = await denoisingLosses(unet as never, scheduler, size, cases, { batch: 2 });
    const alphaBars = alphasCumprod(scheduler as never);
    for (const [i, { latents, timestep }] of cases.entries()) {
      const [a, s] = [Math.sqrt(alphaBars[timestep]!), Math.sqrt(1 - alphaBars[timestep]!)];
      const errors = [...latents].map((x0, k) => {
        const noisy = a * x0 + s * noise[k]!;
        return (0.5 * noisy + i / 10 - (a * noise[k]! - s * x0)) ** 2;
      });
      expect(losses[i]).toBeCloseTo(errors.reduce((sum, e) => sum + e) / 4, 5);
    }
    expect(asked).toEqual([
      { images: 2, timesteps: [100, 500] },
      { images: 1, timesteps: [900] },
    ]);
    await expect(denoisingLosses(unet as never, scheduler, size, [{ ...cases[0]!, timestep: 1000 }])).rejects.toThrow(
      'the timestep 1000: expected whole numbers from 0 to 999',
    );
  });

  test('is asked at the middles of equal parts', () => {
    expect(timestepsAt(scheduler, 2)).toEqual([250, 749]);
  });
});

describe('membership', () => {
  const group = (...losses: number[]) => losses.map((loss) => [loss, loss + 0.2]);

  test('is certain where members always have the lower loss, and chance where losses are alike', () => {
    const certain = membership({ members: group(1, 2), others: group(3, 4, 5) });
    expect(certain.raw).toEqual({ mean: 1, low: 1, high: 1, n: 5 });
    expect(certain.calibrated).toBeUndefined();
    expect(membership({ members: group(1, 2), others: group(1, 2) }).raw.mean).toBe(0.5);
    expect(membership({ members: group(9, 8), others: group(1, 2) }).raw.mean).toBe(0);
  });

  test('calibrated by a reference, it is about what was learned and not about what is easy', () => {
    // Members are harder, but it is they that have become easier.
    const own = { members: group(5, 6), others: group(1, 2) };
    const base = { members: group(6, 7), others: group(1, 2.5) };
    const found = membership(own, base);
    expect(found.raw.mean).toBe(0);
    expect(found.calibrated!.mean).toBe(1);
    expect(() => membership(own, { ...base, members: [] })).toThrow('2 pictures cannot be calibrated by 0');
  });

  test('of each set is calibrated by the base on the same set', () => {
    const losses: SetLosses[] = [
      { set: 'a', rival: 'base', kind: 'base', members: group(6, 7), others: group(1, 2.5) },
      { set: 'a', rival: 'a', kind: 'ingredient', members: group(5, 6), others: group(1, 2) },
      { set: 'b', rival: 'b', kind: 'ingredient', members: group(5), others: [] },
    ];
    const rows = knownRows(losses);
    expect(rows.map(({ set, rival, calibrated }) => [set, rival, calibrated?.mean])).toEqual([
      ['a', 'base', undefined],
      ['a', 'a', 1],
    ]);
  });
});

test('losses are compared in pairs, over concepts', () => {
  const of = (rival: string, kind: SetLosses['kind'], set: string, ...losses: number[]): SetLosses => ({
    ...{ rival, kind, set, others: [] },
    members: losses.map((loss) => [loss - 1, loss + 1]),
  });
  const losses = [
    ...[of('base', 'base', 'x', 4, 6), of('base', 'base', 'y', 8, 10)],
    ...[of('x', 'ingredient', 'x', 1, 3), of('x', 'ingredient', 'y', 5, 7)],
    ...[of('soup', 'soup', 'x', 2, 4), of('soup', 'soup', 'y', 4, 6)],
  ];
  expect(lossCells(losses).map(({ loss }) => loss.mean)).toEqual([5, 9, 2, 6, 3, 5]);
  const summaries = lossSummaries(losses);
  expect(summaries.map(({ rival, loss }) => [rival, loss.mean])).toEqual([
    ['base', 7],
    ['x', 4],
    ['soup', 4],
  ]);
  // base: (4+8)/2 - (2+4)/2 = 3 and (6+10)/2 - (4+6)/2 = 3
  expect(summaries[0]!.aboveSoup).toEqual({ mean: 3, low: 3, high: 3, n: 2 });
  expect(bestIngredient(summaries)!.rival).toBe('x');

  expect(unseenSummaries(losses)).toEqual([]);
  const unseen = unseenSummaries(losses.map((one) => ({ ...one, others: one.set === 'x' ? one.members : [[1]] })));
  expect(unseen.map(({ loss }) => [loss.mean, loss.n])).toEqual([
    [11 / 3, 3],
    [5 / 3, 3],
    [7 / 3, 3],
  ]);
  expect(unseen[0]!.aboveSoup!.mean).toBeCloseTo(4 / 3, 9);
});

describe('nearest pictures', () => {
  test('a copy stands out, one among many does not', () => {
    expect(nearestPicture([5, 0, 5, 5])).toEqual({ index: 1, distance: 0, ratio: 0 });
    expect(nearestPicture([2, 2, 2]).ratio).toBe(1);
    expect(nearestPicture([9, 1, 3, 2], 3)).toEqual({ index: 1, distance: 1, ratio: 0.5 });
    expect(nearestOf([3, 1, 1, 2], 3)).toEqual([1, 2, 3]);
    expect(() => nearestPicture([])).toThrow('no nearest of no pictures');
  });

  test('are averaged over prompts, each with its seeds', () => {
    const copy = (distance: number, set: string, caption: string) => ({
      distance,
      ratio: distance / 10,
      set,
      caption,
      id: '',
    });
    const drawing = (prompt: string) => ({ prompt }) as never;
    const drawn = [
      {
        ...{ name: 'soup', kind: 'soup' as const },
        drawings: ['a', 'a', 'b'].map(drawing),
        copies: [{ pixels: copy(1, 'x', 'a') }, { pixels: copy(3, 'y', 'c') }, { pixels: copy(6, 'x', 'b') }],
      },
    ];
    const unseen = [{ set: 'x', copies: [{ pixels: copy(8, 'x', 'a') }] }];
    const rows = nearnessRows({ prompts: ['a', 'b'] }, { drawn, unseen });
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatchObject({ by: 'pixels', sameCaption: 2 / 3, sets: { x: 2, y: 1 } });
    expect(rows[0]!.distance).toMatchObject({ mean: 4, n: 2 });
    expect(rows[1]).toMatchObject({ kind: 'unseen', distance: { mean: 8 } });
  });
});

describe('CLIP', () => {
  const clip = {
    embedImages: async (images: readonly Image[]) => images.map(({ width }) => Float32Array.of(width, 1)),
    embedTexts: async (texts: readonly string[]) => texts.map((text) => Float32Array.of(text.length, -1)),
  };
  const picture = (width: number) => ({ width, height: 1, pixels: new Uint8Array(4 * width) });

  test('scores are 2.5 times the cosine, and never negative', async () => {
    expect([0.3, -0.2, 1].map(clipScore)).toEqual([0.75, 0, 2.5]);
    const scorer = clipScorer(clip);
    const scores = await scorer.score([
      { image: picture(3), prompt: 'ab' },
      { image: picture(1), prompt: 'a' },
    ]);
    expect(scores[0]).toBeCloseTo((2.5 * (3 * 2 - 1)) / Math.sqrt(10 * 5), 6);
    expect(scores[1]).toBe(0);
    const score = scorerOfPictures(scorer, async ([w]) => [{ image: picture(Number(w!.n)), prompt: 'ab' }]);
    expect(await score([fraction(3n)])).toBeCloseTo(scores[0]!, 6);
  });

  test('the soup is compared on the same prompts', () => {
    const row = (group: string, prompt: string, cosine: number) => ({ group, prompt, cosine, id: '' });
    const groups = clipGroups([
      ...[row('base', 'a', 0.1), row('base', 'b', 0.2), row('base', 'b', 0.4)],
      ...[row('soup', 'a', 0.2), row('soup', 'b', 0.4), row('soup', 'b', 0.4)],
    ]);
    expect(groups[0]!.cosine.mean).toBeCloseTo(0.2, 9);
    expect(groups[0]!.soupLess!.mean).toBeCloseTo(2.5 * 0.1, 9);
    expect(groups[1]!.soupLess).toBeUndefined();
  });
});

describe('the emoji that the shards were trained on', () => {
  test('are those of the sets by name; what is doubtful is on neither side', async () => {
    const size = { width: 128, height: 128 };
    const { sets, notes } = await emojiTraining(['noto', 'twemoji', 'fluent', 'ink'], size);
    expect(notes.join(' ')).toContain('By name the four sets have 1563 concepts in common');
    expect(sets.map(({ members }) => members.length)).toEqual([1186, 1186, 1186, 1186]);
    for (const { members, heldOut } of sets) {
      expect(heldOut.length).toBeGreaterThan(20);
      const captions = new Set(members.map(({ caption }) => caption));
      expect(heldOut.filter(({ caption }) => captions.has(caption))).toEqual([]);
    }
    // Samples grow, and are of the same concepts in every set.
    const few = sets.map(({ members }) => sampleOf(members, 5, 42n).map(({ caption }) => caption));
    expect(new Set(few.map(String)).size).toBe(1);
    expect(
      sampleOf(sets[0]!.members, 9, 42n)
        .map(({ caption }) => caption)
        .slice(0, 5),
    ).toEqual(few[0]);

    const ink = sets[3]!.members.find(({ caption }) => caption === 'red apple')!;
    const { width, height, pixels } = await ink.image();
    expect([width, height]).toEqual([128, 128]);
    const at = (x: number, y: number) => pixels[(y * 128 + x) * 4]!;
    // White all round, black and white within; nothing transparent.
    for (let i = 0; i < 128; i++) for (const x of [0, 7, 120, 127]) expect([at(x, i), at(i, x)]).toEqual([255, 255]);
    expect(pixels.some((byte, i) => i % 4 === 0 && byte === 0)).toBe(true);
    expect(pixels.every((byte, i) => i % 4 !== 3 || byte === 255)).toBe(true);
  });

  test('of other models have to be given', async () => {
    await expect(openTraining(undefined, ['noto', 'mine'], { width: 8, height: 8 })).rejects.toThrow(
      'it is not known what mine was trained on: give its pictures with --training FOLDER, in FOLDER/mine/',
    );
  });
});
