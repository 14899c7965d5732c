/** Ingredients on the device for tests: tensors of chosen halves, what averages them, and what whole numbers say of them. */
import type { Gpu, Mix } from '@diffusion-soup/core';
import { Usage } from '../../packages/core/src/gpu/flags.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import { averageOf, type Blend } from '../../packages/core/src/soup/blend.ts';
import { createResidents } from '../../packages/core/src/soup/residents.ts';
import type { Piece, Target } from '../../packages/core/src/soup/staging.ts';
import { exactHalf, stepsOf } from './exact.ts';
import { weightsOf } from './safetensors.ts';

/** A tensor (rows, channels, taps) of each ingredient, and how it lies on the device. */
export interface Tensor {
  readonly rows: number;
  readonly channels: number;
  readonly taps: number;
  readonly width: 0 | 1 | 4 | 32;
  readonly packed: boolean;
  readonly halves: readonly Uint16Array[];
  /** Rows of a piece. */
  readonly cut?: number;
}

const elementsOf = ({ rows, channels, taps }: Tensor): number => rows * channels * taps;

/** All halves with exponent fields up to `field`, in an order of its own for each step, repeated. */
function halvesUpTo(field: number, count: number, step: number): Uint16Array {
  const all = (field + 1) * 2048;
  return Uint16Array.from({ length: count }, (_, i) => {
    const at = (i * step) % all;
    return (at >> 1) | ((at & 1) << 15);
  });
}

const STEPS = [1, 7919, 104729, 15485863, 13, 17, 19, 23, 29];
export const tensorOf = (
  rows: number,
  channels: number,
  taps: number,
  {
    width,
    field = 12,
    ingredients = 4,
    cut,
    packed = true,
  }: Partial<Tensor> & {
    readonly width: Tensor['width'];
    readonly field?: number;
    readonly ingredients?: number;
  },
): Tensor => ({
  ...{ rows, channels, taps, width, packed, cut },
  halves: STEPS.slice(0, ingredients).map((step) => halvesUpTo(field, rows * channels * taps, step)),
});

/** Where an element of the file is on the device. */
function placeOf({ rows, channels, taps, width }: Tensor, element: number): number {
  if (width === 0) return element;
  const tap = element % taps;
  const channel = Math.floor(element / taps) % channels;
  const row = Math.floor(element / taps / channels);
  const block = Math.floor(channel / width);
  const of = width === 32 ? block * taps + tap : (tap * channels) / width + block;
  return (of * rows + row) * width + (channel % width);
}

const bytesOf = (tensor: Tensor): number => Math.ceil((elementsOf(tensor) * (tensor.packed ? 2 : 4)) / 16) * 16;

/** Tensors in one buffer, and what averages them. */
export async function residentsOf(on: Gpu, tensors: readonly Tensor[]) {
  const ingredients = await Promise.all(
    tensors[0]!.halves.map((_, k) =>
      weightsOf(
        `ingredient ${k}`,
        tensors.map(({ halves }, i) => ({
          ...{ name: `${i}`, dtype: 'F16' as const, shape: [halves[k]!.length] },
          bytes: new Uint8Array(halves[k]!.buffer),
        })),
      ),
    ),
  );
  const blend = (mix: Mix): Blend => ({ ingredients, mix: () => mix });
  const ends: number[] = [];
  for (const tensor of tensors) ends.push((ends.at(-1) ?? 0) + Math.ceil(bytesOf(tensor) / 256) * 256);
  const buffer = on.createBuffer(ends.at(-1)!, Usage.STORAGE | Usage.COPY_SRC, 'averages');
  const targets = tensors.map((tensor, i): Target => ({ buffer, offset: ends[i - 1] ?? 0, size: bytesOf(tensor) }));
  const pieces = tensors.flatMap((tensor, i): Piece[] => {
    const average = { ...averageOf(blend({ p: ingredients.map(() => 1), q: 1 }), `${i}`), result: 'F16' as const };
    const { rows, cut = rows, channels, taps, width, packed } = tensor;
    return Array.from({ length: Math.ceil(rows / cut) }, (_, n) => ({
      ...{
        average,
        firstRow: n * cut,
        rows: Math.min(cut, rows - n * cut),
        allRows: rows,
        channels,
        taps,
        width,
        packed,
      },
      target: targets[i]!,
    }));
  });
  const residents = (await createResidents(on, pieces))!;
  return {
    async average(mix: Mix, which = tensors.map((_, i) => i)): Promise<void> {
      const wanted = new Map(which.map((i) => [targets[i]!, averageOf(blend(mix), `${i}`)]));
      await residents.average(wanted);
    },
    async read(i: number): Promise<Uint16Array | Float32Array> {
      const bytes = (await readBuffer(on, buffer, buffer.size, 'test')).slice(targets[i]!.offset);
      const { packed } = tensors[i]!;
      return packed
        ? new Uint16Array(bytes, 0, elementsOf(tensors[i]!))
        : new Float32Array(bytes, 0, elementsOf(tensors[i]!));
    },
    destroy() {
      residents.destroy();
      on.destroyBuffer(buffer);
    },
  };
}

/** The first element that is not what whole numbers say. */
export function difference(tensor: Tensor, { p, q }: Mix, found: Uint16Array | Float32Array): string | undefined {
  const terms = tensor.halves.map((halves, k) => ({ halves, p: p[k]! }));
  for (let i = 0; i < elementsOf(tensor); i++) {
    const expected = exactHalf(
      terms.reduce((sum, { halves, p }) => sum + p * stepsOf(halves[i]!), 0),
      q,
    );
    const actual = found[placeOf(tensor, i)]!;
    const isRight = tensor.packed ? actual === expected.bits : Object.is(actual, expected.value);
    if (!isRight)
      return `element ${i}: ${terms.map(({ halves }) => halves[i])}: ${actual}, not ${JSON.stringify(expected)}`;
  }
  return undefined;
}
