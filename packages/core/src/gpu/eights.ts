/** What kernels of tiles read eight numbers of a binding at once as: its type, and what is in it. */
import type { StorageType } from './graph.js';

const eightOf = (name: string): string => `${name[0]!.toUpperCase()}${name.slice(1)}Eight`;

/** Four of them as f32, and only where they are inside; `name` is the binding's. */
export function eights(name: string, type: StorageType): string {
  const eight = eightOf(name);
  if (type === 'f16') {
    return `alias ${eight} = vec4u;
fn ${name}_low(v: ${eight}) -> vec4f { return vec4f(unpack2x16float(v.x), unpack2x16float(v.y)); }
fn ${name}_high(v: ${eight}) -> vec4f { return vec4f(unpack2x16float(v.z), unpack2x16float(v.w)); }
fn ${name}_if(v: ${eight}, is_in: bool) -> ${eight} { return select(vec4u(0), v, is_in); }`;
  }
  return `alias ${eight} = array<vec4f, 2>;
fn ${name}_low(v: ${eight}) -> vec4f { return v[0]; }
fn ${name}_high(v: ${eight}) -> vec4f { return v[1]; }
fn ${name}_if(v: ${eight}, is_in: bool) -> ${eight} {
  return ${eight}(select(vec4f(0), v[0], is_in), select(vec4f(0), v[1], is_in));
}`;
}

/** For the matrix units: eight halves; what is f32 is rounded. */
export function halvesOfEights(name: string, type: StorageType): string {
  const eight = eightOf(name);
  if (type === 'f16') return `fn ${name}_halves(v: ${eight}) -> vec4u { return v; }`;
  return `fn ${name}_halves(v: ${eight}) -> vec4u { return eight_halves(v[0], v[1]); }`;
}

/** Eight numbers as halves, for the matrix units' kernels. */
export const EIGHT_HALVES = `fn eight_halves(low: vec4f, high: vec4f) -> vec4u {
  let a = clamp(low, vec4f(-LARGEST_F16), vec4f(LARGEST_F16));
  let b = clamp(high, vec4f(-LARGEST_F16), vec4f(LARGEST_F16));
  return vec4u(pack2x16float(a.xy), pack2x16float(a.zw), pack2x16float(b.xy), pack2x16float(b.zw));
}`;

/** Of x: what halves hold, or the rest. */
export function partsOfEights(type: StorageType): string {
  if (type === 'f16') return 'fn x_part(v: XEight, is_rest: bool) -> vec4u { return select(v, vec4u(0), is_rest); }';
  return `fn high_bits(v: vec4f) -> vec4f { return bitcast<vec4f>(bitcast<vec4u>(v) & vec4u(0xffffe000)); }
fn x_part(v: XEight, is_rest: bool) -> vec4u {
  let a = high_bits(v[0]);
  let b = high_bits(v[1]);
  return x_halves(XEight(select(a, v[0] - a, is_rest), select(b, v[1] - b, is_rest)));
}`;
}
