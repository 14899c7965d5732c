/** `soup lab memory`, `paper` and `clip-score` as commands, on a few pictures that are given to them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  auc,
  clipScore,
  loadModel,
  mean,
  openModelFolder,
  type Report,
  reconstructionLoss,
} from '@diffusion-soup/core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readHeldOut } from '../../packages/cli/src/search/held-out.ts';
import { scratch, soup } from '../support/cli.ts';
import { diskFolder, PANTRY, REFERENCE } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';

const CLIP = `${REFERENCE}/clip-tiny-quick`;
const QUICK = ['--steps', '1', '--timesteps', '2', '--pictures', '2', '--shortlist', '2', '--precision', 'f32'];

let folder: ReturnType<typeof scratch>;
beforeAll(async () => {
  folder = scratch();
  const colours = { noto: '#d22', ink: '#222' };
  for (const [set, colour] of Object.entries(colours)) {
    mkdirSync(folder.in(`training/${set}/held-out`), { recursive: true });
    const draw = async (name: string, body: string) => {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128"><rect width="128" height="128" fill="#fff"/>${body}</svg>`;
      writeFileSync(folder.in(`training/${set}/${name}.png`), await sharp(Buffer.from(svg)).png().toBuffer());
      writeFileSync(folder.in(`training/${set}/${name}.txt`), name.replace('held-out/', ''));
    };
    await draw('circle', `<circle cx="64" cy="64" r="40" fill="${colour}"/>`);
    await draw('square', `<rect x="30" y="30" width="68" height="68" fill="${colour}"/>`);
    await draw('held-out/star', `<path d="M64 20 80 100 20 50h88L48 100z" fill="${colour}"/>`);
  }
});
afterAll(() => folder.remove());

const read = (name: string): string => readFileSync(folder.in(name), 'utf8');
const rowsOf = (name: string): Record<string, string>[] => {
  const [head, ...lines] = read(name).trimEnd().split('\r\n');
  return lines.map((line) => Object.fromEntries(head!.split(',').map((key, i) => [key, line.split(',')[i]!])));
};

interface Data {
  readonly membership: { set: string; rival: string; raw: { mean: number } }[];
  readonly nearness: { name: string; by: string; distance: { mean: number } }[];
  readonly summaries: { rival: string; kind: string; loss: { mean: number } }[];
  readonly unseen: { rival: string; loss: { mean: number; n: number } }[];
  readonly clip: { name: string; score: { mean: number }; cosine: { mean: number } }[];
}
const dataOf = (name: string): Data => (JSON.parse(read(name)) as Report).data as unknown as Data;

describe('soup lab', () => {
  test('memory: every number follows from its CSV, and a second run measures nothing', async () => {
    const args = ['lab', 'memory', 'noto+ink', '-p', 'circle', ...QUICK, '--training', folder.in('training')];
    const { code, stderr } = await soup([...args, '-o', folder.in('out')]);
    expect(code, stderr).toBe(0);
    const { membership, nearness } = dataOf('out/memory.json');
    const rows = rowsOf('out/memory.csv');
    expect(membership.map(({ set, rival }) => `${set} by ${rival}`)).toEqual([
      ...['noto by base', 'noto by noto', 'noto by soup', 'noto by paragon'],
      ...['ink by base', 'ink by ink', 'ink by soup', 'ink by paragon'],
    ]);
    for (const { set, rival, raw } of membership) {
      const scores = (trainedOn: string) => {
        const own = rows.filter((row) => row.set === set && row.model === rival && row.trainedOn === trainedOn);
        const pictures = [...new Set(own.map(({ picture }) => picture))];
        return pictures.map((p) => -mean(own.filter(({ picture }) => picture === p).map(({ value }) => Number(value))));
      };
      expect(scores('true')).toHaveLength(2);
      expect(raw.mean).toBe(auc(scores('true'), scores('false')));
    }
    const soupRow = rows.find((row) => row.measure === 'latents' && row.model === 'soup')!;
    const soupOf = nearness.find(({ name, by }) => name === 'soup' && by === 'latents')!;
    expect(soupOf.distance.mean).toBeCloseTo(Number(soupRow.value), 5);
    expect(soupRow.nearest).toMatch(/^(noto|ink): (circle|square)$/);
    expect(nearness.some(({ name }) => name === 'not trained on')).toBe(true);

    const files = ['html', 'json', 'csv', 'measurements.jsonl'].map((end) => read(`out/memory.${end}`));
    expect((await soup([...args, '-o', folder.in('out')])).code).toBe(0);
    expect(['html', 'json', 'csv', 'measurements.jsonl'].map((end) => read(`out/memory.${end}`))).toEqual(files);
    expect(files[0]).toContain('taken on trust');
  }, 300_000);

  test('paper: losses are those of the soup on these pictures; Markdown, charts and CLIP scores are there', async () => {
    const args = ['lab', 'paper', 'noto+ink', '-p', 'circle', ...QUICK, '--training', folder.in('training')];
    // What memory has measured of the same models, pictures and settings is known by its content.
    writeFileSync(folder.in('out/paper.measurements.jsonl'), read('out/memory.measurements.jsonl'));
    const { code, stderr } = await soup([...args, '--clip', CLIP, '-o', folder.in('out')]);
    expect(code, stderr).toBe(0);
    const { summaries, unseen, clip } = dataOf('out/paper.json');
    expect(summaries.map(({ kind }) => kind)).toEqual([
      ...['base', 'ingredient', 'ingredient', 'soup', 'ensemble', 'paragon'],
    ]);
    expect(unseen[0]!.loss.n).toBe(2);
    for (const { score, cosine } of clip) expect(score.mean).toBeCloseTo(clipScore(cosine.mean), 4);

    // The loss of one picture once more, by the soup that loading makes and the scorer of searches.
    const gpu = await testGpu('f32');
    const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
    const ingredients = [
      { folder: await open('noto'), weight: 1 },
      { folder: await open('ink'), weight: 1 },
    ];
    const model = await loadModel(gpu, ingredients, { base: await open('base') });
    const path = folder.in('training/ink/held-out/star.png');
    const [picture] = await readHeldOut([{ path, prompt: 'star', sha256: '' }], { width: 128, height: 128 });
    const loss = await reconstructionLoss(model, [picture!], { timesteps: [250, 749], seed: 42n });
    const own = rowsOf('out/paper.csv').filter(
      (row) => row.model === 'soup' && row.set === 'ink' && row.trainedOn === 'false',
    );
    expect(own.map(({ timestep }) => timestep)).toEqual(['250', '749']);
    expect(await loss()).toBeCloseTo(mean(own.map(({ value }) => Number(value))), 4);
    await model.destroy();

    const markdown = read('out/paper.md');
    expect(markdown).toContain('![Denoising loss by model and pictures](paper-3.svg)');
    expect(markdown).toContain('this is emoji, not LAION');
    expect(markdown).toMatch(/\| soup \| 0\.\d+ \(95 %: /);
    const svg = read('out/paper-1.svg');
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    expect(svg).not.toContain('var(');
    expect((await sharp(Buffer.from(svg)).stats()).isOpaque).toBe(true);
  }, 300_000);

  test('clip-score: pictures of a folder by the prompts in them or beside them', async () => {
    const pictures = folder.in('training/noto');
    const args = ['lab', 'clip-score', '--clip', CLIP, '--images', pictures, '-o', folder.in('scores'), '--json'];
    const { code, stdout, stderr } = await soup(args);
    expect(code, stderr).toBe(0);
    const { data } = JSON.parse(stdout) as { data: { pictures: { id: string; prompt: string; cosine: number }[] } };
    expect(data.pictures.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['circle.png', 'circle'],
      ['square.png', 'square'],
    ]);
    expect(rowsOf('scores/clip-score.csv').map(({ score }) => Number(score))).toEqual(
      data.pictures.map(({ cosine }) => expect.closeTo(clipScore(cosine), 5)),
    );
    writeFileSync(folder.in('alone.png'), readFileSync(`${pictures}/circle.png`));
    const silent = await soup(['lab', 'clip-score', '--clip', CLIP, '--images', folder.in('.'), '-o', folder.in('s')]);
    expect([silent.code, silent.stderr]).toEqual([3, expect.stringContaining('does not say what it was drawn from')]);
  }, 120_000);

  test('a search takes the same score: the best candidate is the one whose picture has it', async () => {
    const args = ['search', 'greedy', 'noto', 'ink', '--clip', CLIP, '-p', 'circle', '--steps', '1', '--budget', '2'];
    const { code, stdout, stderr } = await soup([...args, '--seed', '42', '--json']);
    expect(code, stderr).toBe(0);
    const found = JSON.parse(stdout) as { goal: string; score: number; evaluations: { score: number }[] };
    const scores = found.evaluations.map(({ score }) => score);
    expect([found.goal, scores.length, found.score]).toEqual(['max', 2, Math.max(...scores)]);
    expect(new Set(scores).size).toBe(2);
    for (const score of scores) expect(score >= 0 && score <= 2.5).toBe(true);
  }, 120_000);

  test.each([
    [['lab', 'memory', 'noto', '-p', 'x'], 'a soup of one model has nothing to be compared with'],
    [['lab', 'clip-score', '--clip', PANTRY], 'has no config.json'],
    [['lab', 'clip-score', 'noto', '--clip', CLIP, '--images', '.'], 'name no models beside it'],
    [['search', 'greedy', 'noto', 'ink', '--clip', CLIP, '--scorer', 'x {model}'], 'give them with --prompt'],
  ])(
    '%j is refused',
    async (args, message) => {
      const { code, stderr } = await soup([...args, ...(args[0] === 'lab' ? ['-o', folder.in('refused')] : [])]);
      expect([code, stderr]).toEqual([expect.any(Number), expect.stringContaining(message)]);
      expect(code).not.toBe(0);
    },
    60_000,
  );
});
