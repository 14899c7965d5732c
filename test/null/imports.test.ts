/** Who may import whom, and how long a file may be. ARCHITECTURE.md says why. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = new URL('../..', import.meta.url).pathname;
const LONGEST_FILE = 320;

/** Of each folder of core: the folders, single modules and packages that it may import beside itself. */
const CORE: Record<string, readonly string[]> = {
  errors: [],
  image: ['errors'],
  checkpoint: ['errors', 'zod/mini'],
  gpu: ['errors'],
  ops: ['errors', 'gpu'],
  soup: ['errors', 'checkpoint', 'gpu', 'ops/weights'],
  ledger: ['errors', 'checkpoint', 'soup/fraction', 'zod/mini'],
  lora: ['errors', 'checkpoint', 'gpu', 'soup', 'sampler/noise-cpu'],
  methods: ['errors', 'checkpoint', 'gpu', 'soup'],
  model: [
    'errors',
    'checkpoint/configs',
    'checkpoint/printable',
    'checkpoint/weights',
    'gpu',
    'ops',
    'soup',
    'image',
    '@huggingface/tokenizers',
  ],
  sampler: ['errors', 'checkpoint/configs', 'checkpoint/printable'],
  metadata: ['errors', 'checkpoint', 'ledger', 'lora/format'],
  recipe: ['errors', 'checkpoint', 'soup', 'methods', 'yaml', 'zod/mini'],
  cook: ['errors', 'checkpoint', 'gpu', 'soup', 'methods', 'lora', 'recipe'],
  pipeline: ['errors', 'checkpoint', 'gpu', 'ops', 'soup', 'cook', 'model', 'sampler', 'image', 'metadata', 'recipe'],
  search: ['errors', 'image', 'soup', 'sampler', 'pipeline', 'model', 'lab'],
  lab: ['errors', 'checkpoint', 'image', 'soup', 'cook', 'model', 'sampler', 'pipeline', 'gpu'],
  tuning: ['errors', 'gpu', 'ops', 'pipeline'],
  conformance: ['errors', 'checkpoint', 'gpu', 'ops', 'soup', 'model', 'sampler', 'image', 'pipeline'],
  version: [],
  index: [
    'errors',
    'version',
    'checkpoint',
    'gpu',
    'soup',
    'cook',
    'ledger',
    'lora',
    'methods',
    'model',
    'metadata',
    'recipe',
    'sampler',
    'image',
    'pipeline',
    'search',
    'lab',
    'tuning',
    'conformance',
  ],
};

/** Paths below `folder`, with slashes. */
const filesIn = (folder: string, pattern: RegExp): string[] =>
  existsSync(`${ROOT}/${folder}`)
    ? readdirSync(`${ROOT}/${folder}`, { recursive: true })
        .map((path) => String(path).replaceAll(sep, '/'))
        .filter((path) => pattern.test(path))
    : [];

const read = (path: string): string => readFileSync(`${ROOT}/${path}`, 'utf8');

/** What `import`, `export ... from` and `import()` name, in types too. */
function importsOf(code: string): string[] {
  const lines = code.matchAll(
    /^(?:import|export)\b[^;'"`]*?\bfrom\s*['"]([^'"]+)|^import\s*['"]([^'"]+)|\bimport\(\s*['"]([^'"]+)/gm,
  );
  return [...lines].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

/** "gpu/plan" for "./plan.js" in gpu/fuse.ts; packages as they are. */
const resolve = (path: string, name: string): string =>
  name.startsWith('.') ? posix.join(posix.dirname(path), name).replace(/\.[jt]sx?$/, '') : name;

const top = (path: string): string => path.split('/')[0]!.replace(/\.ts$/, '');

function mistakesIn(path: string, code: string): string[] {
  const from = top(path);
  const may = CORE[from];
  if (!may) return [`${path} is in a folder that has no rule`];
  return importsOf(code)
    .map((name) => resolve(path, name))
    .filter((to) => top(to) !== from && !may.includes(to) && !may.includes(top(to)))
    .map((to) => `${path} imports ${to}`);
}

/** Without comments, which may speak of anything. */
const withoutComments = (code: string): string => code.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

describe('core', () => {
  const files = filesIn('packages/core/src', /\.tsx?$/).filter((path) => !path.endsWith('.gen.ts'));

  test('imports in one direction', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files.flatMap((path) => mistakesIn(path, read(`packages/core/src/${path}`)))).toEqual([]);
  });

  test('knows neither Node nor a browser', () => {
    const globals = /\b(?:navigator|document|window|process|Buffer)\s*[.[?]/;
    const found = files.filter((path) => globals.test(withoutComments(read(`packages/core/src/${path}`))));
    expect(found).toEqual([]);
  });
});

describe.each(['cli', 'viewer'])('%s', (name) => {
  const folder = `packages/${name}/src`;

  test('takes core as a package, and never a path inside it', () => {
    const mistakes = filesIn(folder, /\.[jt]sx?$/).flatMap((path) =>
      importsOf(read(`${folder}/${path}`))
        .map((to) => resolve(path, to))
        .filter((to) => to.startsWith('..') || (to.startsWith('@diffusion-soup/') && to !== '@diffusion-soup/core'))
        .map((to) => `${path} imports ${to}`),
    );
    expect(mistakes).toEqual([]);
  });
});

test(`no source is longer than ${LONGEST_FILE} lines`, () => {
  const folders = [...readdirSync(`${ROOT}/packages`).map((name) => `packages/${name}/src`), 'shaders'];
  const long = folders
    .flatMap((folder) => filesIn(folder, /\.(?:[jt]sx?|wgsl|css|html)$/).map((path) => `${folder}/${path}`))
    .filter((path) => !path.endsWith('.gen.ts'))
    .map((path) => ({ path, lines: read(path).trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > LONGEST_FILE);
  expect(long).toEqual([]);
});

test.each([
  ["import { a } from './b.js';", ['./b.js']],
  ["import {\n  a,\n  type B,\n} from '../c/d.js';\nexport * from './e.js';", ['../c/d.js', './e.js']],
  ["import 'node:fs';\nexport type { T } from 'x/y';", ['node:fs', 'x/y']],
  ["const m = await import('./f.js');\nlet t: typeof import('g');", ['./f.js', 'g']],
  ["export const from = 'nowhere';\nexport const text = `from 'there'`;", []],
])('%j imports %j', (code, names) => {
  expect(importsOf(code)).toEqual(names);
});

test.each([
  ['gpu/plan.ts', '../ops/matmul.js', 'gpu/plan.ts imports ops/matmul'],
  ['checkpoint/json.ts', '../gpu/graph.js', 'checkpoint/json.ts imports gpu/graph'],
  ['soup/blend.ts', '../ops/matmul.js', 'soup/blend.ts imports ops/matmul'],
  ['sampler/sample.ts', '../model/components.js', 'sampler/sample.ts imports model/components'],
  ['pipeline/model.ts', 'node:fs', 'pipeline/model.ts imports node:fs'],
  ['model/unet.ts', '../index.js', 'model/unet.ts imports index'],
  ['model/unet.ts', '../../../cli/src/run.js', 'model/unet.ts imports ../../cli/src/run'],
  ['new/thing.ts', './other.js', 'new/thing.ts is in a folder that has no rule'],
])('%s may not import %s', (path, name, mistake) => {
  expect(mistakesIn(path, `import { a } from '${name}';`)).toEqual([mistake]);
});
