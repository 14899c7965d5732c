/** What the documents say of the code, where a machine can tell. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { kernelSource } from '../../packages/core/src/gpu/kernel.ts';
import { type ShaderName, shaders } from '../../packages/core/src/gpu/shaders.gen.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Given to every kernel, and so in no row of the table. */
const EVERYWHERE = ['WIDTH', 'SUBGROUP'];

/** Names in capitals that the kernel uses but neither declares nor gets from the activations. */
function constantsOf(code: string): string[] {
  const text = code.replace(/\/\/.*/g, '');
  const declared = [...text.matchAll(/const (\w+) =/g)].map((match) => match[1]!);
  const used = [...text.matchAll(/\b[A-Z][A-Z_]+\b/g)].map(([name]) => name);
  return [...new Set(used)].filter((name) => ![...declared, ...EVERYWHERE, 'GELU'].includes(name)).sort();
}

describe('shaders/README.md', () => {
  const rows = new Map(
    read('shaders/README.md')
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter((cells) => cells[1]?.includes('.wgsl'))
      .map(([, file, , bindings, constants]) => [/\((.+)\.wgsl\)/.exec(file!)![1]!, { bindings, constants }]),
  );
  const quoted = (cell = ''): string[] => [...cell.matchAll(/`(\w+)`/g)].map((match) => match[1]!);

  test('has a row for every kernel and no other', () => {
    expect([...rows.keys()].sort()).toEqual(Object.keys(shaders).sort());
  });

  test.each(Object.keys(shaders))('lists the bindings and constants of %s', (name) => {
    const { bindings, code } = kernelSource(name as ShaderName);
    expect(quoted(rows.get(name)?.bindings)).toEqual(
      bindings.filter(({ type }) => type !== 'uniform').map(({ name }) => name),
    );
    expect(quoted(rows.get(name)?.constants).sort()).toEqual(constantsOf(code));
  });
});

test.each(['README.md', 'ARCHITECTURE.md', 'shaders/README.md', 'test/README.md'])(
  '%s links to what is there',
  (path) => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((match) => match[1]!);
    const missing = links.filter((link) => !/^https?:/.test(link) && !existsSync(join(ROOT, dirname(path), link)));
    expect(missing).toEqual([]);
  },
);
