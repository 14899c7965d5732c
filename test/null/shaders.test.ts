/** Every shader in every variant compiles and makes a pipeline, on Dawn's null backend: no GPU needed. */
import { checkKernel, type Gpu, type Precision, type Variant } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { activations } from '../../packages/core/src/gpu/activate.ts';
import { kernelSource } from '../../packages/core/src/gpu/kernel.ts';
import { type ShaderName, shaders } from '../../packages/core/src/gpu/shaders.gen.ts';
import { laneConstants } from '../../packages/core/src/ops/attention-lanes.ts';
import { sharedConstants } from '../../packages/core/src/ops/attention-shared.ts';
import { LONG_SHAPE, TENSOR_SHAPES, tensorConstants } from '../../packages/core/src/ops/attention-tensor.ts';
import { heldConstants } from '../../packages/core/src/ops/held-rows.ts';
import { laneTile, TILES, tensorTile } from '../../packages/core/src/ops/tiles.ts';
import { nullGpu } from '../support/gpu.ts';

const WORKGROUP = 64;

/** Every mix of storage types of the bindings that hold activations. */
function mixes(names: readonly string[], elem: Precision): Record<string, Precision>[] {
  return names.reduce<Record<string, Precision>[]>(
    (so, name) =>
      so.flatMap((types) => [...new Set([elem, 'f32' as const])].map((type) => ({ ...types, [name]: type }))),
    [{}],
  );
}

/** HALVES, the type of the result (0: f32, 1: f16, 2: bf16), whether pairs are packed, words of a sum. */
const averages: Variant[] = (
  [
    [true, 1, true, 0],
    [true, 1, false, 0],
    [true, 1, false, 1],
    [true, 1, false, 2],
    [false, 0, false, 0],
    [false, 1, true, 0],
    [false, 1, false, 0],
    [false, 2, true, 0],
    [false, 2, false, 0],
  ] as const
).flatMap(([HALVES, RESULT, PACKED, SUMS]) =>
  (SUMS > 0 ? [0] : [0, 1, 4, 32]).map((LAYOUT) => ({
    constants: { HALVES, RESULT, PACKED, SUMS, LAYOUT, UNPACK: 0 },
  })),
);

/** How halves become integers, and how many ingredients are read at once. */
const unpacked = [0, 1, 2].flatMap((UNPACK) => [1, 2, 3, 4, 8].map((AT_ONCE) => ({ UNPACK, AT_ONCE })));

const tilesOfAverages = unpacked.flatMap((how) =>
  [1, 4, 9].map((TAPS) => ({
    constants: { ...how, TAPS, WORKGROUP, ROWS: TAPS === 1 ? 32 : 16, DEPTH: TAPS === 1 ? 2 : 3 },
  })),
);

/** The variants that the ops ask for, for one storage type of activations. */
function variantsOf(elem: Precision): Partial<Record<ShaderName, Variant[]>> {
  const codes = activations.map((_, ACTIVATION) => ACTIVATION);
  const products: Variant[] = mixes(['x', 'residual', 'y'], elem).flatMap((mixed) => {
    const types = { ...mixed, shift: elem };
    const constants = (ACTIVATION: number) => ({
      WORKGROUP: 32,
      ROWS: 8,
      ACTIVATION,
      PHASES: ACTIVATION > 2 ? 4 : 1,
      UPSAMPLE: ACTIVATION === 1,
    });
    return codes.flatMap((code) => [
      { types, width: 4 as const, weights: 'pairs' as const, constants: constants(code) },
      { types, width: 4 as const, weights: 'pairs' as const, subgroup: 8, constants: constants(code) },
      { types, width: 4 as const, constants: constants(code) },
      { types: { ...types, w: elem }, width: 1 as const, constants: constants(code) },
    ]);
  });
  const heldRows: Variant[] = mixes(['x', 'residual', 'y'], elem).flatMap((mixed) =>
    codes.map((ACTIVATION) => ({
      types: { ...mixed, shift: elem },
      width: 4 as const,
      weights: ACTIVATION % 2 === 0 ? ('pairs' as const) : ('numbers' as const),
      subgroup: 8,
      constants: {
        ...{ ...heldConstants(8, 16, ACTIVATION < 3 ? 0 : 128), ACTIVATION },
        ...{ HAS_BIAS: ACTIVATION > 1, HAS_SHIFT: ACTIVATION > 2, HAS_RESIDUAL: ACTIVATION > 0 },
        PHASES: ACTIVATION > 1 ? 4 : 1,
      },
    })),
  );
  const heads = [
    [4, 10],
    [4, 16],
    [4, 40],
    [1, 5],
  ] as const;
  const norm = mixes(['x', 'y'], elem);
  // A norm of x, and of what splits of x add up to.
  const nothing = { HAS_BIAS: false, HAS_SHIFT: false, HAS_RESIDUAL: false };
  const summed: readonly Pick<Variant, 'types' | 'constants'>[] = [
    { constants: { ...nothing, SPLITS: 0, SUM_ACTIVATION: 0, HAS_SUM: false } },
    { constants: { ...nothing, HAS_SHIFT: true, SPLITS: 2, SUM_ACTIVATION: 1, HAS_SUM: false } },
    {
      types: { residual: elem, sum: elem },
      constants: { ...nothing, HAS_BIAS: true, HAS_RESIDUAL: true, SPLITS: 3, SUM_ACTIVATION: 0, HAS_SUM: true },
    },
  ];
  // Tiles small enough for the null backend's workgroup memory; its subgroups are as large as the workgroup.
  const tiles = mixes(['x', 'residual', 'y'], elem).flatMap((types) =>
    [1, 4].flatMap((width) =>
      ([32, 64] as const).map((depth) => ({
        ...{
          types: { ...types, w: elem, beside: types.x, beside_w: elem, shift: 'f32' as const },
          width: width as 1 | 4,
        },
        matrixUnits: true,
        constants: {
          ...tensorTile(32, 64, depth).constants,
          ...{ ACTIVATION: 1, GATED: depth === 32, JOINT: depth === 64, IN_TWO: width === 4, BESIDE: width === 1 },
          ...{ HAS_BIAS: depth === 32, HAS_SHIFT: depth === 64, HAS_RESIDUAL: depth === 32 },
        },
      })),
    ),
  );
  const windowsOf = (variants: readonly Variant[]): Variant[] =>
    variants.flatMap((one) =>
      [
        { KERNEL: 3, UPSAMPLE: true, BORDER: 0, PHASES: 1 },
        { KERNEL: 3, UPSAMPLE: false, BORDER: 1, PHASES: 1 },
        { KERNEL: 2, UPSAMPLE: false, BORDER: 0, PHASES: 4 },
      ].map((window) => ({ ...one, constants: { ...one.constants, IN_TWO: false, ...window } })),
    );
  const onLanes = mixes(['x', 'residual', 'y'], elem).flatMap((types) =>
    [1, 4].flatMap((width) =>
      (['pairs', 'numbers'] as const).map((weights) => ({
        ...{ types: { ...types, shift: 'f32' as const }, width: width as 1 | 4, weights },
        constants: {
          ...laneTile(64, 64).constants,
          ...{ ACTIVATION: 1, GATED: weights === 'pairs', JOINT: weights === 'numbers', IN_TWO: false, BESIDE: false },
          ...{ HAS_BIAS: width === 4, HAS_SHIFT: width === 4, HAS_RESIDUAL: width === 4 },
        },
      })),
    ),
  );
  const tensor: Partial<Record<ShaderName, Variant[]>> = {
    'matmul-tensor': tiles,
    'conv2d-tensor': windowsOf(tiles),
    'fold-linears': [{ matrixUnits: true }],
    'attention-tensor': [8, 24].map((HEAD) => ({
      types: { q: elem, k: elem, v: elem, y: elem },
      matrixUnits: true,
      constants: tensorConstants(HEAD, { subgroups: 4, keyBlocks: 1 }),
    })),
  };
  const sums = [1, 8, 32].map((subgroup) => ({
    subgroup,
    constants: { WORKGROUP: subgroup > 1 ? subgroup : WORKGROUP },
  }));
  return {
    ...(elem === 'f16' && tensor),
    add: mixes(['a', 'b', 'y'], elem).map((types) => ({ types })),
    attention: heads.flatMap(([width, HEAD_VECS]) =>
      [true, false].map((CAUSAL) => ({
        types: { q: elem, k: elem, v: elem, y: elem },
        width,
        constants: { WORKGROUP, HEAD_VECS, KEYS: 8, CAUSAL },
      })),
    ),
    'attention-lanes': heads.flatMap(([width, HEAD_VECS]) =>
      [true, false].map((shuffles) => ({
        ...{ types: { q: elem, k: elem, v: elem, y: elem }, width, shuffles },
        constants: {
          ...laneConstants(HEAD_VECS, width, shuffles ? 8 : 1),
          CAUSAL: shuffles,
        },
      })),
    ),
    'attention-shared': heads.flatMap(([width, HEAD_VECS]) =>
      [true, false].map((CAUSAL) => ({
        types: { q: elem, k: elem, v: elem, y: elem },
        width,
        subgroup: 8,
        constants: { ...sharedConstants(8, HEAD_VECS, CAUSAL ? 1 : 3), CAUSAL },
      })),
    ),
    average: averages,
    'average-bounded': [true, false].flatMap((PACKED) =>
      [0, 1, 4, 32].flatMap((LAYOUT) => unpacked.map((how) => ({ constants: { ...how, PACKED, LAYOUT } }))),
    ),
    'average-tiles': tilesOfAverages,
    'average-fours': tilesOfAverages,
    'prove-halves': [1, 2].map((UNPACK) => ({ constants: { UNPACK, LARGEST_FIELD: 12 } })),
    reach: [{}],
    cast: norm.flatMap((types) => [1, 4].map((width) => ({ types, width: width as 1 | 4 }))),
    concat: mixes(['x', 'b', 'y'], elem).flatMap((types) =>
      [1, 4].map((width) => {
        const sum = summed[width === 1 ? 0 : 2]!;
        return { types: { ...types, ...sum.types }, width: width as 1 | 4, constants: sum.constants };
      }),
    ),
    conv2d: products,
    'conv2d-lanes': windowsOf(onLanes),
    'conv2d-rows': heldRows,
    'difference-product': [{}],
    'few-rows': mixes(['x', 'residual', 'y'], elem).map((types) => ({
      types: { ...types, shift: 'f32' as const },
      width: 4 as const,
      weights: 'pairs' as const,
      constants: { ACTIVATION: 1 },
    })),
    'fold-taps': (['pairs', 'numbers'] as const).map((weights) => ({ types: { y: elem }, weights })),
    geglu: [{ types: { x: elem, y: elem } }],
    gram: [
      [false, false],
      [true, false],
      [false, true],
    ].map(([DELTAS, DISTANCES]) => ({ constants: { WORKGROUP, DELTAS: DELTAS!, DISTANCES: DISTANCES! } })),
    'group-norm': norm.flatMap((types) =>
      [1, 4].flatMap((width) =>
        codes.map((ACTIVATION) => ({
          ...{ types, width: width as 1 | 4 },
          constants: { WORKGROUP, GROUPS: 32, SLICES: 32, PIXELS: 16, HELD: 8, ACTIVATION, BORDER: ACTIVATION % 2 },
        })),
      ),
    ),
    'group-norm-stats': [...sums, { constants: { WORKGROUP: 60 } }].flatMap((sum, i) =>
      [1, 4].flatMap((width) =>
        summed.map(({ types, constants }) => ({
          ...{ ...sum, types: { ...types, x: elem }, width: width as 1 | 4 },
          constants: { ...sum.constants, ...constants, SLICES: 32, HELD: 4, GROUPS: i < sums.length ? 1 : 4 },
        })),
      ),
    ),
    'group-norm-whole': norm.flatMap((types) =>
      [1, 4].flatMap((width) =>
        codes.map((ACTIVATION) => {
          const sum = summed[ACTIVATION % summed.length]!;
          return {
            ...{ types: { ...types, ...sum.types }, width: width as 1 | 4, subgroup: ACTIVATION > 2 ? 32 : 1 },
            constants: { ...sum.constants, WORKGROUP, HELD: 4, ACTIVATION, BORDER: ACTIVATION % 2 },
          };
        }),
      ),
    ),
    'layer-norm': norm.flatMap((norm) =>
      summed.flatMap((sum) => {
        const types = { ...norm, ...sum.types };
        const constants = { ...sum.constants, HELD: 3 };
        return [
          ...sums.map((one) => ({ ...one, types, constants: { ...one.constants, ...constants, ROWS: 1 } })),
          { types, subgroup: 32, constants: { ...constants, WORKGROUP: 128, ROWS: 4 } },
        ];
      }),
    ),
    lora: [0, 1, 2].map((FORMAT) => ({ constants: { FORMAT } })),
    'magnitude-histogram': [false, true].map((LOW) => ({ constants: { WORKGROUP: 256, LOW } })),
    matmul: products,
    'matmul-lanes': onLanes,
    'matmul-rows': heldRows,
    mix: [0, 1, 2, 3, 4, 5].map((TERMS) => ({ constants: { TERMS } })),
    'sum-splits': mixes(['residual', 'y'], elem).flatMap((types) =>
      [1, 4].map((width) => ({
        ...{ types, width: width as 1 | 4 },
        constants: {
          ...{ SUM_ACTIVATION: 1, GATED: width === 1, SPLITS: 3 },
          ...{ HAS_BIAS: width === 4, HAS_SHIFT: width === 1, HAS_RESIDUAL: width === 4 },
        },
      })),
    ),
    'to-blocks': norm.map((types) => ({ types })),
    softmax: ([1, 4] as const).map((width) => ({ types: { y: elem }, width, constants: { WORKGROUP } })),
    'task-vectors': [0, 1, 2].flatMap((RESULT) =>
      [false, true].map((ELECT) => ({ constants: { WORKGROUP, RESULT, ELECT } })),
    ),
    'timestep-embedding': [true, false].map((FLIP) => ({ types: { y: elem }, constants: { FLIP } })),
    unary: codes.map((ACTIVATION) => ({ types: { x: elem, y: elem }, constants: { ACTIVATION } })),
  };
}

describe.each<Precision>(['f32', 'f16'])('with activations in %s', (precision) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await nullGpu(precision);
  });

  test.each(Object.entries(variantsOf(precision)) as [ShaderName, Variant[]][])('%s', async (name, variants) => {
    for (const variant of variants) await checkKernel(gpu, name, variant);
  });
});

/** At their own size the matrix units' kernels take more workgroup memory than this device has: their text is compiled. */
describe('as large as on a graphics card', () => {
  const check = async (name: ShaderName, variant: Variant) =>
    checkKernel(await nullGpu('f16'), name, { matrixUnits: true, ...variant }, { isTooLarge: true });
  const types = {
    ...({ x: 'f16', w: 'f16', beside: 'f16', beside_w: 'f16', residual: 'f32', y: 'f32' } as const),
    ...({ q: 'f16', k: 'f16', v: 'f16' } as const),
  };

  test.each(TENSOR_SHAPES)('attention in shape %j', (shape) =>
    check('attention-tensor', { types: { ...types, y: 'f16' }, constants: tensorConstants(shape.widestHead, shape) }),
  );

  test.each([40, 64, 128])('attention of heads of %i over long rows', (head) =>
    check('attention-tensor-long', { types: { ...types, y: 'f16' }, constants: tensorConstants(head, LONG_SHAPE) }),
  );

  const flags = { HAS_BIAS: true, HAS_SHIFT: true, HAS_RESIDUAL: true, JOINT: false, IN_TWO: false, ACTIVATION: 1 };
  test.each([...TILES.tensor])('products in tiles of %s', async (_, tile) => {
    const constants = { ...tile.constants, ...flags };
    for (const GATED of [false, true]) {
      await check('matmul-tensor', { types, constants: { ...constants, GATED, BESIDE: !GATED } });
    }
    await check('conv2d-tensor', {
      types,
      constants: { ...constants, GATED: false, BESIDE: false, KERNEL: 3, UPSAMPLE: true, BORDER: 0, PHASES: 1 },
    });
  });
});

test('a mistake in a shader is reported with its line', async () => {
  const gpu = await nullGpu('f32');
  await expect(checkKernel(gpu, 'softmax')).rejects.toThrow(/softmax\.wgsl: .*WORKGROUP/);
});

describe('conventions', () => {
  // Parts of other kernels have no bindings; average says besides what it has met, norms what they have summed.
  const kernels = Object.entries(shaders).filter(([, code]) => code.includes('@compute'));
  test.each(kernels)('%s opens with its formula and binds params, inputs, then y', (name, code) => {
    expect(code).toMatch(/^\/\/ /);
    const { bindings, params } = kernelSource(name as ShaderName);
    expect(bindings[0]?.type).toBe('uniform');
    // What tensor-tile.wgsl binds besides comes behind what it shares with the lanes.
    const own = bindings.filter(({ name }) => !name.startsWith('beside'));
    expect(own.at(-1)).toEqual({ name: 'y', type: 'storage' });
    // What a kernel of the tiles only reads is bound for writing, too: product-tile.wgsl says why.
    const also = /-(tensor|tensor-long|lanes)$/.test(name) ? ['x', 'w', 'q', 'k', 'v'] : ['trouble', 'sum'];
    for (const { name, type } of own.slice(1, -1)) if (!also.includes(name)) expect(type).toBe('read-only-storage');
    expect(params.length).toBeGreaterThan(0);
    expect(params.length * 4).toBeLessThanOrEqual(256); // one slot of the plan's parameter buffer
  });
});
