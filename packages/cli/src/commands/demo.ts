/** `soup demo`: the idea in one picture. The same prompts by the base, by each shard, and by the soup of the shards. */
import { join } from 'node:path';
import { type Image, isSoftware, type Model } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { draw, loadingProgress, loadWithProgress, showPicture } from '../drawing.js';
import { type CommonFlags, collect, parseSeed, wholeNumber, withCommonFlags } from '../flags.js';
import { adapterName, openGpuFor } from '../gpu.js';
import { encodePng } from '../image/png.js';
import { averageOrder, type Kitchen, openKitchen } from '../kitchen.js';
import { checkTarget, cookSoup } from '../merging/soup.js';
import type { Output } from '../output.js';
import { makeFolder, opaque, type Provenance, type SavedPicture, savePicture, slug } from '../picture-file.js';
import { formatSeconds, timeLeft } from '../progress.js';
import { recipeOf } from '../recipe.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

const BASE = 'base';
const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'];
const PROMPTS = ['red apple', 'cat face', 'rocket', 'smiling face with sunglasses', 'house with garden', 'pizza'];
/** A software adapter needs seconds per picture: fewer prompts, and as many steps as the pantry's models need. */
const EFFORT = { software: { prompts: 4, steps: 6 }, hardware: { prompts: PROMPTS.length, steps: 20 } };
const SEED = 42n;
const GUIDANCE = 4; // what the pantry's references were drawn with

interface DemoFlags extends CommonFlags {
  readonly prompts?: readonly string[];
  readonly steps?: number;
  readonly seed?: bigint;
  readonly out: string;
  readonly adapter?: string;
}

export function demoCommand(program: Command, run: Run): void {
  const command = program
    .command('demo')
    .summary('see what a soup is: base, shards and soup side by side')
    .description(
      `Draws the same prompts with the pantry's base, with each of its shards (${SHARDS.join(', ')}) and with their ` +
        'average, puts all on one sheet, and writes the average as a model of its own.',
    )
    .option('--prompts <text>', `give it again for more (default: ${PROMPTS.join(', ')})`, collect)
    .option(
      '--steps <number>',
      `denoising steps (default: ${EFFORT.hardware.steps}; without a GPU fewer, and fewer prompts)`,
      wholeNumber(1, 1000),
    )
    .option('--seed <number>', `where the noise comes from (default: ${SEED})`, parseSeed)
    .option('-o, --out <folder>', "the demo's own folder: what an earlier demo left in it is replaced", 'out/demo')
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup demo
  soup demo --prompts "house with garden" --prompts owl --steps 20`,
    )
    .action(async (flags: DemoFlags) => {
      await demo(flags, run.output(flags));
    });
}

async function demo(flags: DemoFlags, output: Output): Promise<void> {
  const begun = performance.now();
  const all = await openKitchen(averageOrder(equally([BASE, ...SHARDS])), output);
  const soup = await openKitchen(averageOrder(equally(SHARDS), BASE), output);
  const folder = join(flags.out, 'soup');
  await checkTarget(folder, soup, { force: true });
  const opened = await openGpuFor({ adapter: flags.adapter });
  const adapter = adapterName(opened.adapter);
  const effort = EFFORT[isSoftware(opened.adapter.info) ? 'software' : 'hardware'];
  const { prompts = PROMPTS.slice(0, effort.prompts), steps = effort.steps, seed = SEED, out } = flags;
  const { precision } = opened.gpu;
  output.note(`${adapter}, ${precision}: ${prompts.length} prompts by ${ROWS.length} models, ${steps} steps each`);

  const { model } = await loadWithProgress(opened, all, output);
  const task: Task = { model, all, prompts, steps, seed, out, provenance: { adapter, precision }, output };
  const { images, pictures } = await drawRows(task).finally(() => model.destroy());
  const sheet = await writeSheet(out, prompts, pictures);
  const quiet = { ...output, status: () => output.status('writing the soup as a model of its own'), endStatus() {} };
  const { ledger, ...merged } = await cookSoup(opened.gpu, soup, folder, { force: true, skipAdmission: true }, quiet);
  const seconds = (performance.now() - begun) / 1000;
  output.endStatus(`${images.length} pictures in ${formatSeconds(seconds)}`);
  showPicture(sheet.picture, output, 120);
  suggest(out, sheet.path, folder, output);
  output.result({
    sheet: sheet.path,
    images,
    soup: { folder, ...merged, root: ledger.result.root },
    adapter,
    timings: { total: seconds },
    warnings: output.warnings,
  });
}

const equally = (names: readonly string[]) => names.map((name) => ({ name, weight: 1 }));

/** The rows of the sheet, each with weights for base and shards. */
const ROWS: readonly { readonly label: string; readonly weights: readonly number[] }[] = [
  ...[BASE, ...SHARDS].map((label, i, { length }) => ({
    label,
    weights: Array.from({ length }, (_, j) => (i === j ? 1 : 0)),
  })),
  { label: 'soup', weights: [0, ...SHARDS.map(() => 1)] },
];

interface Task {
  readonly model: Model;
  readonly all: Kitchen;
  readonly prompts: readonly string[];
  readonly steps: number;
  readonly seed: bigint;
  readonly out: string;
  readonly provenance: Omit<Provenance, 'recipe'>;
  readonly output: Output;
}

/** Base and shards are loaded as one blend: every row is the same model, blended anew with other weights. */
async function drawRows({ model, all, prompts, steps, seed, out, provenance, output }: Task) {
  const images: (SavedPicture & { model: string })[] = [];
  const pictures: Image[][] = [];
  const left = timeLeft();
  const allSteps = ROWS.length * prompts.length * steps;
  let done = 0;
  for (const { label, weights } of ROWS) {
    const { signal } = output.io;
    await model.reblend(weights, { signal, onProgress: loadingProgress(output, `${label}: blending`) });
    const used = all.ingredients.filter((_, i) => weights[i] !== 0);
    const recipe = recipeOf(used, label === BASE ? undefined : all.ingredients[0]!.path);
    const row: Image[] = [];
    for (const prompt of prompts) {
      await draw(model, { prompt, seed, steps, guidance: GUIDANCE }, output, {
        async onImage(image, itsSeed, settings) {
          const path = join(out, `${label}-${slug(prompt)}.png`);
          const saved = await savePicture(path, image, settings, itsSeed, { recipe, ...provenance });
          images.push({ model: label, ...saved });
          row.push(opaque(image));
        },
        onStep() {
          done++;
          const share = Math.floor((100 * done) / allSteps);
          output.status(`${label}: ${printable(prompt)}, ${share}% of all${left(done, allSteps)}`);
        },
      });
    }
    pictures.push(row);
  }
  return { images, pictures };
}

async function writeSheet(out: string, prompts: readonly string[], pictures: Image[][]) {
  const { contactSheet } = await import('../image/contact-sheet.js'); // sharp, which nothing else needs
  const title = `One prompt a column, one model a row. The soup is the average of ${SHARDS.join(', ')}.`;
  const sheet = await contactSheet({ title, columns: prompts, rows: ROWS.map(({ label }) => label), pictures });
  const path = join(out, 'sheet.png');
  await makeFolder(out);
  await writeFileAtomic(path, encodePng(sheet));
  return { path, picture: sheet };
}

function suggest(out: string, sheet: string, folder: string, output: Output): void {
  const { bold, dim } = output.style;
  const command = 'node packages/cli/dist/main.js';
  const next: [string, string][] = [
    [`generate ${folder} -p "house with garden"`, 'draw something else with the soup'],
    ['generate noto:3+ink:1 -p "cat face" --count 4', 'another recipe, four pictures'],
    ['generate noto+twemoji+fluent -p "cat face"', 'take a shard out: no weight has seen its pictures any more'],
    [`merge noto:2+fluent:1 --out ${join(out, 'mine')}`, 'write a recipe as a diffusers folder'],
  ];
  output.print(`\n${bold('sheet')}  ${sheet}\n${bold('soup')}   ${folder} (a diffusers folder)\n\n${bold('Next:')}`);
  for (const [words, what] of next) output.print(`  ${dim(`# ${what}`)}\n  ${command} ${words}`);
}
