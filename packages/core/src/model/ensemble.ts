/**
 * The score ensemble: at every step the weighted mean of what the ingredients predict. As scores are gradients of log
 * densities, it samples the weighted geometric mean of the ingredients' densities at every noise level (a log-linear
 * pool, or product of experts; Hinton 2002, Neural Computation 14; Du et al. 2023, arXiv 2302.11552). A soup is its
 * first-order approximation in the weights, at the cost of one network (Biggs et al. 2024, arXiv 2406.08431).
 *
 * It is made of the same blend as the soup: there the weights are averaged, here the predictions are.
 */
import type { UNetConfig } from '../checkpoint/configs.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { type Blend, blendOf } from '../soup/blend.js';
import { isAffine } from '../soup/mix.js';
import type { UNet } from './components.js';
import { createShelf, type ShelfOptions, type UNetShelf } from './unet-shelf.js';

export interface Member {
  /** The ingredient alone. */
  readonly blend: Blend;
  /** Its weight; the weights add up to 1. */
  readonly share: number;
}

/**
 * The ingredients of a blend, each alone, without those of no weight. Throws a UsageError when the blend is not one mean
 * for all tensors: then there is no mean of predictions that it would stand for.
 */
export function membersOf(blend: Blend): Member[] {
  const keys = [...blend.ingredients[0]!.tensors.keys()];
  const mix = blend.mix(keys[0]!);
  const text = JSON.stringify(mix);
  const other = keys.find((key) => JSON.stringify(blend.mix(key)) !== text);
  if (other !== undefined) {
    throw new UsageError(
      `an ensemble has one weight for each ingredient, but ${other} is mixed by others: leave block weights and the ` +
        'method out',
      { tensor: other },
    );
  }
  if (!isAffine(mix)) {
    throw new UsageError("an ensemble's weights add up to 1: leave --no-normalize out", { weights: mix.p });
  }
  return blend.ingredients.flatMap((weights, i) =>
    mix.p[i] === 0 ? [] : [{ blend: alone(weights, blend), share: mix.p[i]! / mix.q }],
  );
}

const alone = (weights: Blend['ingredients'][number], { dtype, allowNonFinite }: Blend): Blend => ({
  ...blendOf([weights]),
  ...(dtype && { dtype }),
  ...(allowNonFinite && { allowNonFinite }),
});

/** A UNet like any other to whoever asks it. Those of its members that do not fit the budget are loaded in turn. */
export function createEnsemble(gpu: Gpu, config: UNetConfig, blend: Blend, options?: ShelfOptions): UNet {
  let members = membersOf(blend);
  const shelf = createShelf(gpu, config, members[0]!.blend, options);
  return {
    ...ensembleUNet(shelf, () => members),
    get bytes() {
      return shelf.bytes; // which grows
    },
    async load(from, { signal, onProgress } = {}) {
      // The same ingredient stays the same blend, so that the shelf knows it.
      const known = new Map(members.map((member) => [member.blend.ingredients[0], member.blend]));
      members = membersOf(from).map((member) => ({
        ...member,
        blend: known.get(member.blend.ingredients[0]) ?? member.blend,
      }));
      for (const [i, member] of members.entries()) {
        const report = (done: number, total: number) => onProgress?.(i * total + done, members.length * total);
        await shelf.load(member.blend, { signal, onProgress: report });
      }
    },
    destroy: () => shelf.destroy(),
  };
}

/** The mean of predictions of networks on a shelf. */
export function ensembleUNet(shelf: UNetShelf, members: () => readonly Member[]): UNet {
  return {
    config: shelf.config,
    get bytes() {
      return shelf.bytes;
    },
    async load() {
      throw new UsageError('the networks of this ensemble are loaded where their shelf is');
    },
    async predict(...asked) {
      const sums = new Map<string, Float64Array>();
      for (const { blend, share } of members()) {
        const results = await shelf.predict(blend, ...asked);
        for (const [name, values] of Object.entries(results)) {
          const sum = sums.get(name) ?? new Float64Array(values.length);
          sums.set(name, sum);
          for (let i = 0; i < values.length; i++) sum[i]! += share * values[i]!;
        }
      }
      const means = [...sums].map(([name, sum]) => [name, new Float32Array(sum)] as const);
      return Object.fromEntries(means) as Awaited<ReturnType<UNet['predict']>>;
    },
    submit: undefined, // means are taken on the host
    predictFootprint: shelf.predictFootprint,
    destroy() {},
  };
}
