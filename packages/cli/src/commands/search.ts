/** `soup search`: what should go into a soup, by a score. */
import {
  type Evaluation,
  formatFraction,
  type Goal,
  greedySoup,
  type SearchMethod,
  searchWeights,
  toJson,
  UsageError,
} from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { type CommonFlags, collect, parseSeed, parseSize, wholeNumber, withCommonFlags } from '../flags.js';
import { averageOrder, openKitchen } from '../kitchen.js';
import { clipRoot } from '../lab/clip.js';
import type { Output } from '../output.js';
import { formatSeconds } from '../progress.js';
import { parseRecipe } from '../recipe.js';
import type { Run } from '../run.js';
import { formulaOf } from '../search/formula.js';
import { heldOutFiles } from '../search/held-out.js';
import { openLog, type Setup } from '../search/log.js';
import { openScorer, type ScorerFlags } from '../search/open-scorer.js';
import { table } from '../table.js';
import { printable } from '../text.js';

interface SearchFlags extends CommonFlags, ScorerFlags {
  readonly images?: string;
  readonly goal?: Goal;
  readonly budget?: number;
  readonly log?: string;
  readonly out?: string;
  readonly base?: string;
}

interface WeightFlags extends SearchFlags {
  readonly method: SearchMethod;
  readonly grid: number;
}

const parseTimesteps = (text: string): number[] => text.split(',').map((part) => wholeNumber(0, 999_999)(part));

export function searchCommand(program: Command, run: Run): void {
  const search = program
    .command('search')
    .summary('find out what should go into a soup')
    .description(
      'Tries soups and keeps what scores best: how well a soup denoises pictures that you give, or that its candidates ' +
        'draw, or a number that a program of yours prints.',
    )
    .addHelpText(
      'after',
      `
Examples:
  soup search greedy noto twemoji ink --images ./held-out
  soup search weights noto ink -p "red apple" -p rocket --log search.jsonl
  soup search greedy A B C --scorer "python score.py {model}" --budget 20

Pictures of --images are scaled to what the model draws; apple.txt beside apple.png says what it shows. A scorer gets the
soup as a folder, and its last line is the score; high is good, or --goal min. Stopped with Ctrl-C, a search with --log
goes on when it is started again. The choice depends on every model that was scored, also on those left out: the result
names them in dependsOn.`,
    );
  const subcommand = (name: string, description: string): Command =>
    withCommonFlags(
      search
        .command(name)
        .description(description)
        .argument('<model...>', 'model folders, or names in the pantry')
        .option('--images <folder>', 'pictures to be judged by, which no candidate was trained on')
        .option(
          '-p, --prompt <text>',
          'instead: what every candidate draws, to be judged by; may be given again',
          collect,
        )
        .option(
          '--scorer <command>',
          'instead: a program that prints a number; {model} is the soup, {weights} its weights',
        )
        .option('--clip <folder>', 'with --prompt: instead of a loss, the CLIP score of what each soup draws')
        .addOption(new Option('--goal <which>', 'whether high or low scores are good').choices(['max', 'min']))
        .option(
          '--timesteps <numbers>',
          'where the noise is judged, as 200,500,800 (default: five of them)',
          parseTimesteps,
        )
        // Commander writes defaults as JSON, which has no bigints.
        .addOption(
          new Option('--seed <number>', 'of all noise, the same for every soup').argParser(parseSeed).default(0n, '0'),
        )
        .option('--steps <number>', 'of pictures that candidates draw', wholeNumber(1, 1000), 20)
        .option('--size <WxH>', 'pixels (default: what the model was trained on)', parseSize)
        .option('--budget <number>', 'the most soups to score', wholeNumber(1, 100_000))
        .option('--log <file>', 'keeps every score; a search that was stopped goes on from it')
        .option('-o, --out <file>', 'writes the result with every decision, as JSON')
        .option(
          '--base <folder>',
          'where parts come from that no model has (default: a folder "base" beside the models)',
        )
        .option('--adapter <name>', "part of a GPU's name, to choose one of several"),
    );
  subcommand(
    'greedy',
    'The greedy soup: from the best candidate to the worst, each stays if the score does not get worse by it.',
  ).action(async (words: string[], flags: SearchFlags) => {
    const output = run.output(flags);
    await searchWith(words, flags, { search: 'greedy' }, output, async (options) => {
      const soup = await greedySoup(options);
      const rows = soup.decisions.map(({ candidate, score, before, isKept }) => [
        ...[`  ${printable(candidate)}`, shown(score), before === undefined ? '' : `without: ${shown(before)}`],
        isKept ? 'kept' : 'left out',
      ]);
      for (const line of table(rows, 'lrrl')) output.note(line);
      return soup;
    });
  });
  subcommand('weights', 'Searches for the weights of all models, on a grid.')
    .addOption(
      new Option('--method <name>', 'exchange moves shares between pairs; evolution is for many models')
        .choices(['exchange', 'evolution'])
        .default('exchange'),
    )
    .option('--grid <number>', 'weights are multiples of one part in so many', wholeNumber(2, 65536), 64)
    .action(async (words: string[], flags: WeightFlags) => {
      const { method, grid, seed } = flags;
      const output = run.output(flags);
      await searchWith(words, flags, { search: 'weights', method, grid }, output, (options) =>
        searchWeights({ ...options, method, grid, seed }),
      );
    });
}

const shown = (score: number): string => score.toPrecision(6);

type Options = Parameters<typeof greedySoup>[0];
type Result = Evaluation & { readonly isComplete: boolean; readonly evaluations: readonly Evaluation[] };

async function searchWith(
  words: readonly string[],
  flags: SearchFlags,
  kind: Setup,
  output: Output,
  search: (options: Options) => Promise<Result>,
): Promise<void> {
  const sources = [flags.images, flags.prompt, flags.scorer].filter((source) => source !== undefined);
  if (sources.length !== 1) {
    throw new UsageError('what to judge soups by is one of --images FOLDER, --prompt TEXT and --scorer COMMAND');
  }
  if (flags.clip !== undefined && flags.prompt === undefined) {
    throw new UsageError('--clip scores pictures of prompts: give them with --prompt');
  }
  const kitchen = await openKitchen(averageOrder(parseRecipe(words, undefined, output.io.env), flags.base), output);
  const candidates = kitchen.ingredients.map(({ name }) => name);
  const files = flags.images === undefined ? undefined : await heldOutFiles(flags.images);
  const goal = flags.goal ?? (flags.scorer === undefined && flags.clip === undefined ? 'min' : 'max');
  const { timesteps, scorer, prompt, seed, steps, size } = flags;
  const models = kitchen.ingredients.map(({ path }) => path);
  const log = await openLog(flags.log, {
    ...kind,
    ...{ models, base: kitchen.base?.path, goal, scorer, timesteps, seed: String(seed), size },
    ...(prompt && { prompts: prompt, steps }),
    ...(flags.clip !== undefined && { clip: await clipRoot(flags.clip) }),
    ...(files && { pictures: files.map(({ sha256 }) => sha256) }),
  });
  if (log.known.length > 0) output.note(`${log.known.length} scores are known from ${printable(flags.log ?? '')}`);

  const begun = performance.now();
  const { score, close } = await openScorer(kitchen, flags, files, output);
  let best: Evaluation | undefined;
  try {
    const result = await search({
      candidates,
      score,
      goal,
      budget: flags.budget,
      known: log.known,
      signal: output.io.signal,
      async onEvaluation(evaluation, { index, isNew }) {
        if (isNew) await log.add(evaluation);
        const isBest = !best || (goal === 'max' ? evaluation.score > best.score : evaluation.score < best.score);
        if (isBest) best = evaluation;
        const share = flags.budget === undefined ? '' : ` of at most ${flags.budget}`;
        output.status(
          `soup ${index + 1}${share}: ${shown(evaluation.score)}; best ${shown(best!.score)}, ${formulaOf(best!, candidates)}`,
        );
      },
    });
    await report(result, { candidates, flags, goal, seconds: (performance.now() - begun) / 1000 }, output);
  } finally {
    await close();
    await kitchen.close();
  }
}

interface Reported {
  readonly candidates: readonly string[];
  readonly flags: SearchFlags;
  readonly goal: Goal;
  readonly seconds: number;
}

async function report(result: Result, { candidates, flags, goal, seconds }: Reported, output: Output): Promise<void> {
  const count = result.evaluations.length;
  output.endStatus(`scored ${count} soups in ${formatSeconds(seconds)}`);
  if (!result.isComplete) output.warn(`the budget of ${flags.budget} was spent before the search had ended`);
  const recipe = formulaOf(result, candidates);
  const withText = ({ weights, ...rest }: Evaluation) => ({ weights: weights.map(formatFraction), ...rest });
  const document = {
    ...{ recipe, candidates, goal },
    ...withText(result),
    evaluations: result.evaluations.map(withText),
    ...('improvements' in result && { improvements: (result.improvements as Evaluation[]).map(withText) }),
  };
  if (flags.out !== undefined) await writeFileAtomic(flags.out, `${toJson(document, 2)}\n`);
  output.print(recipe);
  output.note(`score ${shown(result.score)}; write it with: soup merge "${recipe}" --out my-soup`);
  output.result({ ...document, timings: { search: seconds }, warnings: output.warnings });
}
