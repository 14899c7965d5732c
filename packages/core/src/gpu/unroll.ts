/**
 * Loops written out. Matrices of the matrix units live in registers, and registers have no index: a variable `i` that
 * counts them sends them to memory, seven times slower (measured: 34 against 249 TFLOP/s). So kernels may write
 *
 *   @unroll for (var i = 0u; i < ROW_BLOCKS; i++) { sum#i = ...; }
 *
 * which becomes { sum_0 = ...; } { sum_1 = ...; } before WGSL sees it. The bound is a number or a constant of the variant.
 * A body that declares (`var sum#i: Sums;`) is written out without braces, so that its names outlive it.
 *
 * What stands in two places, and is no function since it has such names, is written once, outside of functions, and put where its
 * name is:
 *
 *   @block multiply { ... }
 *   fn main() { ... @multiply; ... }
 */
import { ShaderError } from '../errors.js';

const LOOP = /@unroll for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{/;

const BLOCK = /@block (\w+) \{/;

export function unroll(code: string, constants: Readonly<Record<string, number | boolean>>): string {
  return writeOut(putBlocks(code), constants);
}

function putBlocks(code: string): string {
  const found = BLOCK.exec(code);
  if (!found) return code;
  const start = found.index + found[0].length;
  const end = closingBrace(code, start);
  const body = code.slice(start, end);
  return putBlocks(code.slice(0, found.index) + code.slice(end + 1).replaceAll(`@${found[1]};`, `{${body}}`));
}

function writeOut(code: string, constants: Readonly<Record<string, number | boolean>>): string {
  const found = LOOP.exec(code);
  if (!found) return code;
  const [head, name, bound] = found as unknown as [string, string, string];
  const start = found.index + head.length;
  const end = closingBrace(code, start);
  const count = Number(constants[bound] ?? bound.replace(/u$/, ''));
  if (!Number.isInteger(count)) throw new ShaderError(`@unroll: ${bound} is no constant of this kernel`, { bound });
  const body = code.slice(start, end);
  const declares = /^\s*(@unroll [^{]*\{\s*)*(var|let) \w+#/.test(body);
  const copies = Array.from({ length: count }, (_, i) => {
    const text = body.replaceAll(`#${name}`, `_${i}`).replace(new RegExp(`\\b${name}\\b`, 'g'), `${i}u`);
    return declares ? text : `{${text}}`;
  });
  return writeOut(code.slice(0, found.index) + copies.join('\n') + code.slice(end + 1), constants);
}

function closingBrace(code: string, from: number): number {
  let depth = 1;
  for (let at = from; at < code.length; at++) {
    if (code[at] === '{') depth++;
    if (code[at] === '}' && --depth === 0) return at;
  }
  throw new ShaderError('@unroll: a brace is not closed', { from });
}
