/**
 * From a WGSL file to a pipeline. A kernel's bindings and parameters are read out of its source, so that they
 * are written once, in the shader; the host binds by name. What varies (storage type, vector width, tile
 * sizes) comes in as a prelude of aliases and constants in front of the file: WGSL has no preprocessor and
 * needs none.
 */

import { ShaderError } from '../errors.js';
import { ACTIVATE } from './activate.js';
import { EIGHT_HALVES, eights, halvesOfEights, partsOfEights } from './eights.js';
import { COMPUTE_STAGE } from './flags.js';
import type { Gpu } from './gpu.js';
import type { StorageType } from './graph.js';
import { type ShaderName, shaders } from './shaders.gen.js';
import { unroll } from './unroll.js';

/** How the same kernel is compiled for other data. */
export interface Variant {
  /** What the tensor at each binding is stored as; f32 where it is not said. */
  readonly types?: Readonly<Record<string, StorageType>>;
  /** The tensors that there are; all where it is not said. Nobody reads what the others' names stand for. */
  readonly bound?: readonly string[];
  /** Elements read at once along the inner dimension: 4 where that is divisible by 4, else 1. */
  readonly width?: 1 | 4;
  /** What the weights at binding `w` are: f16 pairs in u32, or numbers of w's type. */
  readonly weights?: 'pairs' | 'numbers';
  /** Lanes that share what they read (from_lane); 1 for none. */
  readonly subgroup?: number;
  /** Lanes look at what others have. */
  readonly shuffles?: boolean;
  /** Computes on the matrix units. */
  readonly matrixUnits?: boolean;
  /** Parameters that are compiled in. */
  readonly fixed?: Readonly<Record<string, number>>;
  /** Named constants: tile sizes, which activation. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
}

export interface KernelSource {
  readonly code: string;
  readonly bindings: readonly { name: string; type: GPUBufferBindingType }[];
  readonly params: readonly { name: string; type: 'u32' | 'i32' | 'f32' }[];
}

export interface Pipeline {
  readonly name: ShaderName;
  readonly source: KernelSource;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const sources = new Map<ShaderName, KernelSource>();

/** What the kernel says it uses ("// Uses exact-sum.wgsl."), before it. */
function withParts(code: string): string {
  const parts = [...code.matchAll(/^\/\/ Uses ([\w-]+)\.wgsl/gm)].map(([, name]) => shaders[name as ShaderName]);
  return [...parts, code].join('\n');
}

/** The kernel's bindings in order, and the fields of its `Params`. Every field of Params is a 4-byte scalar. */
export function kernelSource(name: ShaderName): KernelSource {
  let source = sources.get(name);
  if (!source) {
    const code = withParts(shaders[name]);
    const bindings = [...code.matchAll(/@binding\((\d+)\) var<(\w+)(?:, (\w+))?> (\w+)/g)]
      .sort((a, b) => Number(a[1]) - Number(b[1]))
      .map((match) => ({
        name: match[4]!,
        type: (match[2] === 'uniform'
          ? 'uniform'
          : match[3] === 'read_write'
            ? 'storage'
            : 'read-only-storage') as GPUBufferBindingType,
      }));
    const struct = /struct Params \{([^}]*)\}/.exec(code)?.[1] ?? '';
    const params = [...struct.matchAll(/(\w+): (u32|i32|f32),/g)].map((match) => ({
      name: match[1]!,
      type: match[2] as 'u32' | 'i32' | 'f32',
    }));
    source = { code, bindings, params };
    sources.set(name, source);
  }
  return source;
}

/** For a width of 4, and of 1: products of vectors, and of one vector with four columns. */
const VECTORS = `alias Vec = vec4f;
alias Columns = mat4x4f;
fn inner(a: vec4f, b: vec4f) -> f32 { return dot(a, b); }
fn add_inner(sum: f32, a: vec4f, b: vec4f) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }
fn take(v: vec4f, i: u32) -> vec4f { return v; }
fn first_of(v: vec4f) -> f32 { return v.x; }
fn number_of(v: vec4f, i: u32) -> f32 { return v[i]; }
fn split_at(i: u32, low: f32, high: f32) -> vec4f { return select(vec4f(low), vec4f(high), vec4u(0, 1, 2, 3) >= vec4u(i)); }
fn activate_vec(activation: u32, v: vec4f) -> vec4f {
  return vec4f(activate(activation, v.x), activate(activation, v.y), activate(activation, v.z), activate(activation, v.w));
}`;
const NUMBERS = `alias Vec = f32;
alias Columns = vec4f;
fn inner(a: f32, b: f32) -> f32 { return a * b; }
fn add_inner(sum: f32, a: f32, b: f32) -> f32 { return fma(a, b, sum); }
fn take(v: vec4f, i: u32) -> f32 { return v[i]; }
fn first_of(v: f32) -> f32 { return v; }
fn number_of(v: f32, i: u32) -> f32 { return v; }
fn split_at(i: u32, low: f32, high: f32) -> f32 { return low; }
fn activate_vec(activation: u32, v: f32) -> f32 { return activate(activation, v); }`;

const MATRIX_UNITS = `enable subgroups;
enable chromium_experimental_subgroup_matrix;`;

/** The largest half; what is larger is stored as that, not as infinity. */
const SATURATE = 'const LARGEST_F16 = 65504.0;';

/**
 * What goes in front of the file: for a binding `x`, the types XElem (one number) and XVec (WIDTH of them); to_y and
 * to_y_vec, by which results are stored, and to_sum_vec; Vec, Columns and inner for arithmetic; the activations; the constants.
 */
export function prelude(source: KernelSource, variant: Variant): string {
  const { types = {}, width = 4, weights = 'numbers', subgroup = 1, matrixUnits = false, constants = {} } = variant;
  // Tiles read x and w eight numbers at a time.
  const isEights = source.code.includes('array<XEight>');
  const tensors = source.bindings.filter(({ type }) => type !== 'uniform');
  // Pairs of halves in u32 need no f16 of the device.
  const typeOf = (name: string): StorageType => (name === 'w' && weights === 'pairs' ? 'f32' : (types[name] ?? 'f32'));
  const lines = [`const WIDTH = ${width}u;`, SATURATE, width === 4 ? VECTORS : NUMBERS, ACTIVATE];
  lines.push(`const SUBGROUP = ${subgroup}u;`);
  // Whole subgroups may leave early, which the compiler cannot see to be safe.
  if (subgroup > 1 || variant.shuffles) lines.unshift('enable subgroups;', 'diagnostic(off, subgroup_uniformity);');
  if (matrixUnits) lines.push(EIGHT_HALVES);
  if (isEights) {
    const stored = { x: types.x ?? 'f32', w: weights === 'pairs' ? 'f16' : (types.w ?? 'f32') };
    lines.push(eights('x', stored.x), eights('w', stored.w));
    if (matrixUnits) {
      const beside = types.beside ?? 'f16'; // any, if it is absent
      lines.push(halvesOfEights('x', stored.x), partsOfEights(stored.x));
      lines.push(eights('beside', beside), halvesOfEights('beside', beside));
    }
  }
  if (matrixUnits) lines.unshift(MATRIX_UNITS);
  if (matrixUnits || tensors.some(({ name }) => typeOf(name) === 'f16')) lines.unshift('enable f16;');
  const neighbour = variant.shuffles ? 'subgroupShuffleXor(v, mask)' : 'v';
  lines.push(`fn from_neighbour(v: f32, mask: u32) -> f32 { return ${neighbour}; }`);
  lines.push(
    subgroup > 1
      ? 'fn from_lane(v: Vec, lane: u32) -> Vec { return subgroupShuffle(v, lane); }'
      : 'fn from_lane(v: Vec, lane: u32) -> Vec { return v; }',
    `fn sum_of_lanes(v: vec2f) -> vec2f { return ${subgroup > 1 ? 'subgroupAdd(v)' : 'v'}; }`,
  );
  for (const { name } of tensors) {
    const [type, stem] = [typeOf(name), stemOf(name)];
    lines.push(`alias ${stem}Elem = ${type};`, `alias ${stem}Vec = ${width === 4 ? `vec4<${type}>` : type};`);
  }
  lines.push(
    typeOf('y') === 'f16'
      ? 'fn to_y(v: f32) -> YElem { return YElem(clamp(v, -LARGEST_F16, LARGEST_F16)); }'
      : 'fn to_y(v: f32) -> YElem { return v; }',
    storedVec('y', typeOf('y')),
  );
  if (tensors.some(({ name }) => name === 'sum')) lines.push(storedVec('sum', typeOf('sum')));
  if (!isEights && tensors.some(({ name }) => name === 'w')) {
    if (weights === 'pairs' && width !== 4) throw new ShaderError('f16 pairs need a width of 4');
    lines.push(
      weights === 'pairs'
        ? `alias WeightVec = vec2u;
fn weight_vec(w: WeightVec) -> Vec { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }`
        : `alias WeightVec = WVec;
fn weight_vec(w: WeightVec) -> Vec { return Vec(w); }`,
    );
  }
  for (const [name, value] of Object.entries(constants)) {
    lines.push(`const ${name} = ${typeof value === 'boolean' ? value : `${value}u`};`);
  }
  return `${lines.join('\n')}\n`;
}

const stemOf = (name: string): string => `${name[0]!.toUpperCase()}${name.slice(1)}`;

/** By which a kernel stores vectors at binding `name`. */
const storedVec = (name: string, type: StorageType): string =>
  `fn to_${name}_vec(v: Vec) -> ${stemOf(name)}Vec { return ${
    type === 'f16' ? `${stemOf(name)}Vec(clamp(v, Vec(-LARGEST_F16), Vec(LARGEST_F16)))` : 'v'
  }; }`;

/** The bindings of a variant, by their number in the source. */
export function bindingsOf({ bindings, params }: KernelSource, { bound, fixed = {} }: Variant) {
  const isTold = params.some(({ name }) => fixed[name] === undefined);
  return bindings
    .map((one, binding) => ({ ...one, binding }))
    .filter(({ name, type }) => (type === 'uniform' ? isTold : !bound || bound.includes(name)));
}

/** Names have to stand for something, also where constants say that it is not there. */
function withoutAbsent(code: string, { bound }: Variant): string {
  if (!bound) return code;
  return code.replace(
    /@group\(0\) @binding\(\d+\) var<storage, \w+> (\w+): array<(\w+)>;/g,
    (declared, name: string, type: string) =>
      bound.includes(name) ? declared : `var<private> ${name}: array<${type}, 1>;`,
  );
}

/** Numbers in the place of parameters that are fixed. */
function withFixed(code: string, { params }: KernelSource, { fixed = {} }: Variant): string {
  const types = new Map(params.map(({ name, type }) => [name, type]));
  return code.replace(/\bparams\.(\w+)/g, (told, name: string) => {
    const value = fixed[name];
    return value === undefined ? told : `${types.get(name)}(${value})`;
  });
}

/** What the compiler gets. */
const codeOf = (source: KernelSource, variant: Variant): string =>
  prelude(source, variant) +
  unroll(withFixed(withoutAbsent(source.code, variant), source, variant), {
    SUBGROUP: variant.subgroup ?? 1,
    ...variant.constants,
  });

/** What a pipeline is made from. */
function describe({ device }: Gpu, name: ShaderName, variant: Variant, key: string) {
  const source = kernelSource(name);
  const layout = device.createBindGroupLayout({
    label: name,
    entries: bindingsOf(source, variant).map(({ type, binding }) => ({
      binding,
      visibility: COMPUTE_STAGE,
      buffer: { type },
    })),
  });
  const descriptor: GPUComputePipelineDescriptor = {
    label: key,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ label: key, code: codeOf(source, variant) }), entryPoint: 'main' },
  };
  return { source, layout, descriptor };
}

const keyOf = (name: ShaderName, variant: Variant): string => `${name} ${JSON.stringify(variant)}`;

/** The pipeline of a kernel in a variant, made once per device. */
export function getPipeline(gpu: Gpu, name: ShaderName, variant: Variant = {}): Pipeline {
  const key = keyOf(name, variant);
  let made = gpu.pipelines.get(key);
  if (!made) {
    const { source, layout, descriptor } = describe(gpu, name, variant, key);
    made = { name, source, pipeline: gpu.device.createComputePipeline(descriptor), layout };
    gpu.pipelines.set(key, made);
  }
  return made;
}

/**
 * Makes pipelines that are not there yet, all at once: drivers compile on as many threads as they are asked on. What fails
 * here is left to getPipeline, and fails there.
 */
export async function preparePipelines(
  gpu: Gpu,
  wanted: Iterable<{ readonly name: ShaderName; readonly variant: Variant }>,
): Promise<void> {
  const missing = new Map([...wanted].map((one) => [keyOf(one.name, one.variant), one]));
  const made = [...missing].map(async ([key, { name, variant }]) => {
    if (gpu.pipelines.has(key)) return;
    const { source, layout, descriptor } = describe(gpu, name, variant, key);
    const pipeline = await gpu.device.createComputePipelineAsync(descriptor).catch(() => undefined);
    if (pipeline) gpu.pipelines.set(key, { name, source, pipeline, layout });
  });
  await gpu.settled(Promise.all(made), 'compiling shaders');
}

/**
 * Compiles a kernel and reports what the compiler says, with the lines it speaks of. For tests. `isTooLarge`: takes more
 * workgroup memory than this device has, so that no pipeline is made.
 */
export async function checkKernel(
  gpu: Gpu,
  name: ShaderName,
  variant: Variant = {},
  { isTooLarge = false } = {},
): Promise<void> {
  const source = kernelSource(name);
  const code = codeOf(source, variant);
  gpu.device.pushErrorScope('validation');
  const module = gpu.device.createShaderModule({ label: name, code });
  const info = await module.getCompilationInfo();
  const lines = code.split('\n');
  const complaints = info.messages
    .filter((message) => message.type !== 'info')
    .map((message) => `${name}.wgsl: ${message.message}\n  ${message.lineNum}: ${lines[message.lineNum - 1] ?? ''}`);
  if (!isTooLarge) getPipeline(gpu, name, variant);
  const error = await gpu.device.popErrorScope();
  if (error) complaints.push(error.message);
  if (complaints.length > 0) throw new ShaderError(complaints.join('\n'), { name, variant });
}

/** Packs parameters by name in the order in which the shader declares them. */
export function packParams(source: KernelSource, values: Readonly<Record<string, number>>, target: DataView): void {
  source.params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined) throw new ShaderError(`parameter ${name} was not given`, { name });
    if (type === 'f32') target.setFloat32(i * 4, value, true);
    else if (type === 'i32') target.setInt32(i * 4, value, true);
    else target.setUint32(i * 4, value, true);
  });
}
