/** Ids of Hugging Face are looked for in the cache that its tools share, and nowhere else. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { locateHuggingFace } from '../../packages/cli/src/hugging-face.ts';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
let folder: ReturnType<typeof scratch>;
let snapshot: string;

beforeEach(() => {
  folder = scratch();
  const model = folder.in('hub/models--org--emoji');
  snapshot = `${model}/snapshots/${COMMIT}`;
  mkdirSync(`${model}/refs/pr`, { recursive: true });
  writeFileSync(`${model}/refs/main`, COMMIT);
  writeFileSync(`${model}/refs/pr/1`, `${COMMIT}\n`);
  writeFileSync(`${model}/refs/broken`, '../../../etc');
  mkdirSync(snapshot, { recursive: true });
});
afterEach(() => folder.remove());

test.each([
  ['org/emoji', true],
  ['org/emoji@main', true],
  ['org/emoji@pr/1', true],
  [`org/emoji@${COMMIT}`, true],
  ['org/emoji@broken', false],
  ['org/emoji@v2', false],
  [`org/emoji@${'f'.repeat(40)}`, false],
  ['org/other', false],
  ['emoji', false],
  ['org/../emoji', false],
])('%s is there: %s', (id, isThere) => {
  expect(locateHuggingFace(id, { HF_HUB_CACHE: folder.in('hub') })).toBe(isThere ? snapshot : undefined);
});

test.each([[{ HUGGINGFACE_HUB_CACHE: 'hub' }], [{ HF_HOME: '' }]])('the cache is where %j says', (env) => {
  const places = Object.fromEntries(Object.entries(env).map(([key, path]) => [key, folder.in(path)]));
  expect(locateHuggingFace('org/emoji', places)).toBe(snapshot);
});

test('without a home there is none', () => {
  expect(locateHuggingFace('org/emoji', {})).toBeUndefined();
});

test('a model of the cache is an ingredient, and one that is not there says how to get it', async () => {
  copyModel(`${PANTRY}/noto`, snapshot);
  const env = { HF_HUB_CACHE: folder.in('hub') };
  expect((await soup(['merge', 'org/emoji', 'ink', '--dry-run', '-o', folder.in('out')], { env })).code).toBe(0);
  const { code, stderr } = await soup(['merge', 'org/none@v1', 'ink', '-o', folder.in('out')], { env });
  expect([code, stderr]).toEqual([3, expect.stringMatching(/hf download org\/none --revision v1/)]);
});
