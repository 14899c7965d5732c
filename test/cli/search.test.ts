/** `soup search`: by a program's number, by pictures, and going on from a log. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { scratch, soup } from '../support/cli.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

/** A scorer that runs this code with the values of its placeholders. */
function scorer(code: string): string {
  writeFileSync(folder.in('score.mjs'), code);
  return `"${process.execPath}" "${folder.in('score.mjs')}" {weights}`;
}

/** -(distance to 1/4, 3/4)²; counts its calls in a file. */
const CLOSE = `
import { appendFileSync } from 'node:fs';
const [a, b] = process.argv[2].split(',').map((text) => text.split('/').reduce((n, d) => n / d));
appendFileSync(process.argv[1] + '.calls', '.');
console.log('scoring', a, b);
console.log(-((a - 0.25) ** 2) - (b - 0.75) ** 2);`;

test('weights are found by a program that prints numbers', async () => {
  const out = folder.in('found.json');
  const args = ['search', 'weights', 'noto', 'ink', '--scorer', scorer(CLOSE), '--grid', '8', '-o', out, '--json'];
  const { code, stdout, stderr } = await soup(args);
  expect(code, stderr).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({
    ...{ recipe: 'noto:1+ink:3', weights: ['1/4', '3/4'], goal: 'max', isComplete: true },
    dependsOn: ['noto', 'ink'],
  });
  expect(JSON.parse(readFileSync(out, 'utf8')).evaluations).toEqual(result.evaluations);
}, 60_000);

test('a search that was stopped goes on from its log, also after a torn line', async () => {
  const log = folder.in('log.jsonl');
  const command = scorer(CLOSE);
  const args = ['search', 'weights', 'noto', 'ink', '--scorer', command, '--grid', '8', '--json', '--log', log];
  const calls = () => readFileSync(folder.in('score.mjs.calls'), 'utf8').length;
  const first = await soup([...args, '--budget', '3']);
  expect(first.stderr).toMatch(/the budget of 3 was spent/);
  expect(calls()).toBe(3);
  writeFileSync(log, `${readFileSync(log, 'utf8')}{"weights":["1/`);
  const second = await soup(args);
  expect(second.stderr).toMatch(/3 scores are known/);
  const { evaluations, recipe } = JSON.parse(second.stdout);
  expect([recipe, calls()]).toEqual(['noto:1+ink:3', evaluations.length]);
  const third = await soup(args);
  expect(JSON.parse(third.stdout).recipe).toBe(recipe);
  expect(calls()).toBe(evaluations.length);
  const other = await soup([...args, '--goal', 'min']);
  expect([other.code, other.stderr]).toEqual([
    2,
    expect.stringMatching(/of another search: its "goal" is "max".*now it is "min"/),
  ]);
}, 60_000);

test('a program gets each soup as a model folder', async () => {
  const command = scorer(`
import { readFileSync, existsSync } from 'node:fs';
const folder = process.argv[3];
const index = existsSync(folder + '/model_index.json') && existsSync(folder + '/unet/config.json');
console.log(index ? process.argv[2].split(',').filter((w) => w !== '0').length : 'nothing there');`);
  const args = ['search', 'greedy', 'noto', 'ink', '--scorer', `${command} {model}`, '--json'];
  const { code, stdout, stderr } = await soup(args);
  expect(code, stderr).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    ...{ recipe: 'noto+ink', kept: ['noto', 'ink'], score: 2 },
    decisions: [
      { candidate: 'noto', score: 1, isKept: true },
      { candidate: 'ink', score: 2, before: 1, isKept: true },
    ],
  });
}, 120_000);

test('pictures in a folder judge, with captions beside them', async () => {
  const images = ['generate', 'noto', '-p', 'red apple', '--seed', '1', '--steps', '4', '-o', folder.in('apple.png')];
  expect((await soup([...images, '--no-show'])).code).toBe(0);
  writeFileSync(folder.in('apple.txt'), 'red apple\n');
  const args = ['search', 'greedy', 'ink', 'noto', '--images', folder.path, '--timesteps', '400', '--json'];
  const { code, stdout, stderr } = await soup(args);
  expect(code, stderr).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ goal: 'min', kept: ['noto'], recipe: 'noto' });
}, 120_000);

describe('refusals', () => {
  test.each<[string, string[], number, RegExp]>([
    ['nothing to judge by', [], 2, /one of --images FOLDER, --prompt TEXT and --scorer COMMAND/],
    ['two things', ['--images', '.', '-p', 'x'], 2, /one of --images/],
    ['a program that asks for nothing', ['--scorer', 'echo 1'], 2, /names neither \{model\} nor \{weights\}/],
    ['no number', ['--scorer', 'echo {weights} well'], 2, /the scorer's last line is "1,0 well"; expected a number/],
    ['a program that fails', ['--scorer', 'exit 3 {weights}'], 2, /ended with exit code 3/],
    ['no pictures', ['--images', new URL('.', import.meta.url).pathname], 3, /has no pictures/],
    ['no folder', ['--images', '/nowhere'], 8, /cannot read \/nowhere/],
    [
      'a log that is none',
      ['--scorer', 'echo {weights}', '--log', new URL(import.meta.url).pathname],
      3,
      /is no log of a search/,
    ],
  ])('%s', async (_, args, code, message) => {
    const result = await soup(['search', 'greedy', 'noto', 'ink', ...args]);
    expect([result.code, result.stderr]).toEqual([code, expect.stringMatching(message)]);
  });
});
