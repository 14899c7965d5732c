/** Every shader in every variant compiles and makes a pipeline, on Dawn's null backend: no GPU needed. */
import { checkKernel, type Gpu, type Precision, type Variant } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { activations } from '../../packages/core/src/gpu/activate.ts';
import { kernelSource } from '../../packages/core/src/gpu/kernel.ts';
import { type ShaderName, shaders } from '../../packages/core/src/gpu/shaders.gen.ts';
import { nullGpu } from '../support/gpu.ts';

const WORKGROUP = 64;

/** The variants that the ops ask for, for one storage type of activations. */
function variantsOf(elem: Precision): Record<ShaderName, Variant[]> {
  const products: Variant[] = ([4, 1] as const).flatMap((width) =>
    (['f16', 'f32', 'elem'] as const)
      .filter((weights) => !(weights === 'f16' && width === 1))
      .flatMap((weights) =>
        activations.map((_, ACTIVATION) => ({
          elem,
          width,
          weights,
          constants: { WORKGROUP: 32, ROWS: 4, ACTIVATION },
        })),
      ),
  );
  const heads = [
    [4, 10],
    [4, 16],
    [4, 40],
    [1, 5],
  ] as const;
  return {
    add: (['f32', elem] as const).map((BElem) => ({ elem, aliases: { BElem } })),
    attention: heads.flatMap(([width, HEAD_VECS]) =>
      [true, false].map((CAUSAL) => ({ elem, width, constants: { WORKGROUP, HEAD_VECS, KEYS: 8, CAUSAL } })),
    ),
    average: [true, false].map((PACKED) => ({ constants: { PACKED } })),
    concat: [{ elem }],
    conv2d: products.flatMap((variant) => ['f32', elem].map((YElem) => ({ ...variant, aliases: { YElem } }))),
    'from-elem': [{ elem }],
    geglu: [{ elem }],
    'group-norm': activations.map((_, ACTIVATION) => ({
      elem,
      constants: { WORKGROUP, SLICES: 32, PIXELS: 16, ACTIVATION },
    })),
    'group-norm-stats': [{ elem, constants: { WORKGROUP, SLICES: 32 } }],
    'layer-norm': [{ elem, constants: { WORKGROUP } }],
    matmul: products.flatMap((variant) => ['f32', elem].map((YElem) => ({ ...variant, aliases: { YElem } }))),
    softmax: [{ elem, constants: { WORKGROUP } }],
    'timestep-embedding': [true, false].map((FLIP) => ({ elem, constants: { FLIP } })),
    'to-elem': [{ elem }],
    unary: activations.map((_, ACTIVATION) => ({ elem, constants: { ACTIVATION } })),
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

test('a mistake in a shader is reported with its line', async () => {
  const gpu = await nullGpu('f32');
  await expect(checkKernel(gpu, 'add', { aliases: { BElem: 'nonsense' } })).rejects.toThrow(/nonsense/);
});

describe('conventions', () => {
  test.each(Object.entries(shaders))('%s opens with its formula and binds params, inputs, then y', (name, code) => {
    expect(code).toMatch(/^\/\/ /);
    const { bindings, params } = kernelSource(name as ShaderName);
    expect(bindings[0]?.type).toBe('uniform');
    expect(bindings.at(-1)).toEqual({ name: 'y', type: 'storage' });
    expect(bindings.slice(1, -1).every(({ type }) => type === 'read-only-storage')).toBe(true);
    expect(params.length).toBeGreaterThan(0);
    expect(params.length * 4).toBeLessThanOrEqual(256); // one slot of the plan's parameter buffer
  });
});
