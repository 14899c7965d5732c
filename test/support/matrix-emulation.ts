/**
 * The matrix units in plain WGSL, so that their kernels run where there are none. Of a 16 x 16 result a lane has eight
 * numbers, half a row; so of a left matrix it holds that row, and of a right one those eight columns. Kept as f32.
 */
import { createGpu, type Gpu, wantedFeatures, wantedLimits } from '@diffusion-soup/core';
import { openAdapter } from '../../packages/cli/src/device.ts';

const LOAD = /subgroupMatrixLoad<(Left|Right|Sums), (row|col)_major>\(&(\w+), /g;
const STORE = /subgroupMatrixStore<row_major>\(&(\w+), /g;

const SIZES = { Left: 16, Right: 128, Sums: 8 };
/** Row and column of a lane's i-th number. */
const PLACES = {
  Left: ['emulated_lane / 2', 'i'],
  Right: ['i / 8', 'emulated_lane % 2 * 8 + i % 8'],
  Sums: ['emulated_lane / 2', 'emulated_lane % 2 * 8 + i'],
} as const;
type Kind = keyof typeof SIZES;

const COMMON = `
var<private> emulated_lane: u32;
var<private> emulated_thread: u32;
var<workgroup> shuffled: array<f32, 1024>;
// Real subgroups may have fewer lanes than 32.
fn shuffle_xor(value: f32, mask: u32) -> f32 {
  workgroupBarrier();
  shuffled[emulated_thread] = value;
  workgroupBarrier();
  return shuffled[emulated_thread ^ mask];
}
fn multiply_accumulate(a: Left, b: Right, c: Sums) -> Sums {
  var left = a;
  var right = b;
  var sums = c;
  for (var k = 0u; k < 16; k++) {
    for (var t = 0u; t < 8; t++) {
      sums[t] += left[k] * right[k * 8 + t];
    }
  }
  return sums;
}
`;

export function emulateMatrixUnits(code: string): string {
  if (!code.includes('subgroup_matrix')) return code;
  const isWords = (array: string) => new RegExp(`var<workgroup> ${array}: array<vec4u, `).test(code);
  const functions = new Map<string, string>();
  /** For each of a lane's numbers: `body` of where it is in `array`, counted in elements of `size` to 16 bytes. */
  const each = (kind: Kind, order: string, size: number, body: string) => {
    const [row, column] = PLACES[kind];
    const index = order === 'row' ? `(${row}) * stride + (${column})` : `(${column}) * stride + (${row})`;
    return `  let stride = pitch * ${size};
  for (var i = 0u; i < ${SIZES[kind]}; i++) {
    let at = offset * ${size} + ${index};
    ${body}
  }`;
  };
  const emulated = code
    .replace(/enable chromium_experimental_subgroup_matrix;|diagnostic\(off, chromium[^;]*;/g, '')
    .replace(/alias (Left|Right|Sums) = [^;]*;/g, (_, kind: Kind) => `alias ${kind} = array<f32, ${SIZES[kind]}>;`)
    .replace(/subgroupMatrixMultiplyAccumulate/g, 'multiply_accumulate')
    .replace(/subgroupShuffleXor/g, 'shuffle_xor')
    .replace(LOAD, (_, kind: Kind, order: string, array: string) => {
      const name = `load_${kind}_${order}_${array}`;
      const half = `m[i] = unpack2x16float(${array}[at / 8][at / 2 % 4])[at % 2];`;
      const body = each(
        kind,
        order,
        kind === 'Sums' ? 4 : 8,
        kind === 'Sums' ? `m[i] = bitcast<f32>(${array}[at / 4][at % 4]);` : half,
      );
      functions.set(
        name,
        `fn ${name}(offset: u32, pitch: u32) -> ${kind} {\n  var m: ${kind};\n${body}\n  return m;\n}`,
      );
      return `${name}(`;
    })
    .replace(STORE, (_, array: string) => {
      const name = `store_${array}`;
      const value = isWords(array) ? 'bitcast<u32>(m[i])' : 'm[i]';
      const body = each('Sums', 'row', 4, `${array}[at / 4][at % 4] = ${value};`);
      functions.set(name, `fn ${name}(offset: u32, sums: Sums, pitch: u32) {\n  var m = sums;\n${body}\n}`);
      return `${name}(`;
    })
    .replace(/\s*@builtin\(subgroup(_invocation)?_id\) \w+: u32,/g, '')
    .replace(
      /(fn main\([^)]*(?:\([^)]*\)[^)]*)*\) \{)/,
      `$1\n  let subgroup = thread / 32;\n  let lane = thread % 32;\n  emulated_lane = lane;\n  emulated_thread = thread;`,
    );
  return `${emulated}\n${COMMON}${[...functions.values()].join('\n')}`;
}

/** The test's adapter with all that can on matrix units, which are emulated; `change` is made to every shader. */
export async function emulatedGpu(change?: (code: string) => string): Promise<Gpu> {
  const adapter = await openAdapter();
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  return createGpu(withEmulation(device, change), { precision: 'f16', matrixUnits: 'all' });
}

/** A device on which the matrix units are emulated. */
function withEmulation(device: GPUDevice, change = (code: string) => code): GPUDevice {
  const original = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) =>
    original({ ...descriptor, code: emulateMatrixUnits(change(String(descriptor.code))) });
  return device;
}
