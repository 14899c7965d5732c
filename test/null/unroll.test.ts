/** Loops that are written out before WGSL sees them. */
import { expect, test } from 'vitest';
import { unroll } from '../../packages/core/src/gpu/unroll.ts';

const plain = (code: string): string => code.replace(/\s+/g, ' ').trim();

test('a body is written out for each number, in braces', () => {
  const code = 'a(); @unroll for (var i = 0u; i < N; i++) { if (x) { y#i = z[i]; } } b();';
  expect(plain(unroll(code, { N: 2 }))).toBe('a(); { if (x) { y_0 = z[0u]; } } { if (x) { y_1 = z[1u]; } } b();');
});

test('what it declares outlives it, nested loops included', () => {
  const code = '@unroll for (var i = 0u; i < 2u; i++) { @unroll for (var j = 0u; j < N; j++) { var s#i#j: T; } }';
  expect(plain(unroll(code, { N: 2 }))).toBe('var s_0_0: T; var s_0_1: T; var s_1_0: T; var s_1_1: T;');
});

test('other loops and other names stay', () => {
  const code = 'for (var i = 0u; i < N; i++) { y[i] = 1; } @unroll for (var i = 0u; i < 1u; i++) { width = i; }';
  expect(plain(unroll(code, {}))).toBe('for (var i = 0u; i < N; i++) { y[i] = 1; } { width = 0u; }');
});

test('a bound that nobody knows is refused', () => {
  expect(() => unroll('@unroll for (var i = 0u; i < M; i++) { a(); }', {})).toThrow(/M is no constant/);
});

test('a block is put where its name is, and loops in it are written out there', () => {
  const code = '@block add { @unroll for (var i = 0u; i < N; i++) { s#i += 1; } } fn main() { @add; b(); @add; }';
  const added = '{ { s_0 += 1; } { s_1 += 1; } }';
  expect(plain(unroll(code, { N: 2 }))).toBe(`fn main() { ${added} b(); ${added} }`);
});
