/** `soup batch`: a manifest in, pictures and a log of results out; to be stopped and started again at any time. */
import { formatBytes, type Precision, UsageError } from '@diffusion-soup/core';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { createEncoder } from '../batch/encode.js';
import { gpuEngine, machineOf } from '../batch/engine.js';
import { checkRoom, type Estimate, estimate, keepTimings } from '../batch/estimate.js';
import { FORMATS, type Format } from '../batch/names.js';
import { openStore } from '../batch/open-store.js';
import { type Plan, type Planned, planBatch, type Refused, type Shard, shardOf } from '../batch/plan.js';
import { readItems } from '../batch/read.js';
import { KINDS, type Kind } from '../batch/read-manifest.js';
import { knownResults, openResults, type Result, resultsFile } from '../batch/results.js';
import { runBatch } from '../batch/run-batch.js';
import { soupOpener } from '../batch/soups.js';
import type { Store } from '../batch/store.js';
import { type Survey, survey } from '../batch/survey.js';
import { type CommonFlags, collect, parseBytes, wholeNumber, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import type { Output } from '../output.js';
import { makeFolder } from '../picture-file.js';
import { formatSeconds, timeLeft } from '../progress.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

export interface BatchFlags extends CommonFlags {
  readonly out: string;
  readonly input?: Kind;
  readonly default?: readonly string[];
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly retryFailed?: boolean;
  readonly shard?: Shard;
  readonly format: Format;
  readonly quality?: number;
  readonly name?: string;
  readonly batch?: number;
  readonly precision: Precision | 'auto';
  readonly memory?: number;
  readonly adapter?: string;
  readonly queue?: string;
  readonly queueName: string;
  readonly wait?: boolean;
}

export function parseShard(text: string): Shard {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text.trim()) ?? [];
  if (Number(index) >= 1 && Number(index) <= Number(count)) return { index: Number(index), count: Number(count) };
  throw new InvalidArgumentError('Give this part and how many there are, counted from 1, such as 2/8.');
}

export function batchCommand(program: Command, run: Run): void {
  const command = program
    .command('batch')
    .summary('draw many pictures of many soups')
    .description('Draws what a manifest lists (YAML, JSON, JSON lines, CSV; - for stdin). Started again, it goes on.')
    .argument('<manifest>', 'items with model or recipe, prompt, negative, seed, steps, sampler, guidance, size')
    .requiredOption('-o, --out <folder|s3://bucket/prefix>', 'where the pictures go')
    .option('-n, --dry-run', 'check everything and list the items, with the room and the time that they take')
    .option('-f, --force', 'draw what is there already, too')
    .option('--retry-failed', 'try again what failed before')
    .option('--default <field=value>', 'what items have that say nothing, as steps=4; may be repeated', collect)
    .option('--shard <i/n>', 'only this part of n, so that n machines share the work', parseShard)
    .option('--name <template>', 'names of the pictures, as "{model}/{prompt}-{seed}"')
    .addOption(new Option('--format <name>', 'of the pictures').choices([...FORMATS]).default('png'))
    .option('--quality <number>', 'of webp and jpeg (default: 92)', wholeNumber(1, 100))
    .addOption(new Option('--input <kind>', 'of the manifest (default: by its name)').choices([...KINDS]))
    .option('--batch <number>', 'the most pictures at once (default: by the memory)', wholeNumber(1, 64))
    .option('--queue <url>', 'give the work to the workers of a queue instead: redis://host:6379')
    .option('--wait', 'with --queue: until all of it is drawn')
    .option('--queue-name <name>', 'of several queues on one server', 'soup')
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('auto'))
    .option('--memory <amount>', 'the most GPU memory to use, as 6GB', parseBytes)
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup batch cards.yaml --out cards --dry-run
  soup batch cards.yaml --out cards
  printf 'prompt,seed\\nred apple,1\\nrocket,2\\n' | soup batch - --input csv --default model=noto+ink --out pictures
  soup batch cards.yaml --out /shared/cards --shard $((SLURM_ARRAY_TASK_ID + 1))/8

A manifest:
  defaults: { steps: 20, size: 512 }
  axes:
    model: [noto, ink, "noto:2+ink:1"]
    prompt: { file: prompts.txt }
    seed: 1..4

Verified pictures are skipped; results.jsonl in the folder says what became of each item. Items that cannot be drawn are
noted there, and the rest is drawn: exit code 9.`,
    )
    .action(async (manifest: string, flags: BatchFlags) => {
      const output = run.output(flags);
      const items = await readItems(manifest, { kind: flags.input, defaults: flags.default });
      if (flags.queue !== undefined) {
        const { submitBatch } = await import('../queue/submit.js');
        run.exitCode = await submitBatch(items, { ...flags, queue: flags.queue }, output);
        return;
      }
      run.exitCode = await drawBatch(items, flags, output);
    });
}

export async function drawBatch(
  items: Awaited<ReturnType<typeof readItems>>,
  flags: BatchFlags,
  output: Output,
): Promise<number> {
  const { format, shard, force, retryFailed } = flags;
  const { env, signal } = output.io;
  if (flags.quality !== undefined && format === 'png')
    throw new UsageError('--quality is for webp and jpeg; png loses nothing');
  const store = await openStore(flags.out, env);
  const open = () => openGpuFor({ precision: flags.precision, budget: flags.memory, adapter: flags.adapter });
  const opened = await open();
  const machine = machineOf(opened);
  const plan = await planBatch(items, {
    soupOf: soupOpener({ output, gpu: opened.gpu }),
    machine,
    format,
    name: flags.name,
  });
  const mine = partOf(plan, shard);
  const known = await knownResults(store.folder);
  const onProgress = (done: number, total: number) => output.status(`looking at what is there: ${done} of ${total}`);
  const found = await survey(mine.items, { known, store, format, force, retryFailed, onProgress, signal });
  signal.throwIfAborted();
  const refused = [...mine.refused, ...found.refused];
  const expected = await estimate(found.todo, { store, format, known, machine, env });
  checkRoom(expected, store);
  if (flags.dryRun) return list(found, refused, plan, expected, store, output);

  output.note(overview(found, refused, plan, expected, `on ${machine.adapter}, ${machine.precision}`));
  await makeFolder(store.folder);
  const log = await openResults(`${store.folder}/${resultsFile(shard)}`);
  const begun = performance.now();
  const byId = new Map(found.todo.map((planned) => [planned.id, planned]));
  const drawn: { planned: Planned; seconds: number }[] = [];
  const left = timeLeft();
  const encoder = createEncoder({ format, quality: flags.quality });
  const engine = await gpuEngine({ open: once(opened, open), output });
  try {
    for (const result of found.verified) {
      if (log.results.get(result.id)?.sha256 !== result.sha256 && known.get(result.id)?.sha256 !== result.sha256)
        await log.add(result);
      output.result({ type: 'skipped', ...result });
    }
    for (const result of found.failed) output.result({ type: 'result', ...result });
    const { done, failed, isStopped } = await runBatch({
      ...{ engine, encoder, store, items: found.todo, refused, signal },
      ...(flags.batch !== undefined && { batch: flags.batch }),
      async onResult(result) {
        await log.add(result);
        const planned = byId.get(result.id);
        if (planned && result.seconds !== undefined) drawn.push({ planned, seconds: result.seconds });
        said(result, store, output);
      },
      onProgress({ done, failed, total, step }) {
        const bad = failed > 0 ? `, ${failed} failed` : '';
        output.status(
          `${done + failed} of ${total} pictures${bad}${step ? `; ${step}` : ''}${left(done + failed, total)}`,
        );
      },
      onNote: (text) => {
        if (!output.warnings.includes(text)) output.warn(text);
      },
    });
    const seconds = (performance.now() - begun) / 1000;
    await keepTimings(drawn, machine, env);
    const all = failed + found.failed.length;
    const counts = { done, skipped: found.verified.length, failed: all, duplicates: plan.duplicates };
    output.endStatus(
      `${done} drawn in ${formatSeconds(seconds)}, ${counts.skipped} there before, ${all} failed` +
        `${isStopped ? `, ${found.todo.length + refused.length - done - failed} left` : ''}; see ${printable(log.path)}`,
    );
    const total = found.verified.length + found.todo.length + refused.length + found.failed.length;
    output.result({
      type: 'summary',
      total,
      ...counts,
      isStopped,
      seconds,
      results: log.path,
      warnings: output.warnings,
    });
    if (isStopped) signal.throwIfAborted();
    return all > 0 ? 9 : 0;
  } finally {
    await log.close();
    await encoder.close();
    await engine.close();
  }
}

function once<T>(first: T, again: () => Promise<T>): () => Promise<T> {
  let isFirst = true;
  return async () => {
    const value = isFirst ? first : await again();
    isFirst = false;
    return value;
  };
}

export function partOf(plan: Plan, shard: Shard | undefined): Pick<Plan, 'items' | 'refused'> {
  if (!shard) return plan;
  return { items: shardOf(plan.items, shard), refused: shardOf(plan.refused, shard) };
}

function said(result: Result, store: Store, output: Output): void {
  const { path, error, index } = result;
  output.result({ type: 'result', ...result, ...(path !== undefined && { path: store.locate(path) }) });
  if (path !== undefined) output.print(store.locate(path));
  if (error) output.error(`item ${index + 1} failed: ${error.message}`);
}

function overview(
  found: Survey,
  refused: readonly Refused[],
  plan: Plan,
  { bytes, seconds }: Estimate,
  where: string,
): string {
  const { todo, verified, failed } = found;
  const soups = new Set(todo.map(({ soup }) => soup.key)).size;
  const bad = refused.length + failed.length;
  return [
    `${todo.length} pictures of ${soups} soup${soups === 1 ? '' : 's'} to draw ${where}`,
    ...(verified.length > 0 ? [`${verified.length} there already`] : []),
    ...(bad > 0 ? [`${bad} that cannot be drawn`] : []),
    ...(plan.duplicates > 0 ? [`${plan.duplicates} listed twice`] : []),
    `about ${formatBytes(bytes)}`,
    ...(seconds === undefined ? ['time unknown until the first is drawn'] : [`about ${formatSeconds(seconds)}`]),
  ].join(', ');
}

function list(
  found: Survey,
  refused: readonly Refused[],
  plan: Plan,
  expected: Estimate,
  store: Store,
  output: Output,
): number {
  const line = (status: string, { item, id, path, soup, settings, address }: Planned) => {
    output.print(
      `${status}  ${store.locate(path)}  ${printable(soup.title)}  seed ${settings.seed}  ${printable(settings.prompt)}`,
    );
    output.result({
      type: 'item',
      status,
      index: item.index,
      id,
      address,
      path: store.locate(path),
      model: soup.title,
      settings,
    });
  };
  for (const one of found.todo) line('draw', one);
  for (const result of found.verified) {
    output.print(`skip  ${store.locate(result.path!)}`);
    output.result({ type: 'item', ...result, status: 'skip' });
  }
  for (const { item, id, error } of refused) {
    output.error(`item ${item.index + 1} (line ${item.line}) cannot be drawn: ${error.message}`);
    output.result({ type: 'item', status: 'fail', index: item.index, id, error });
  }
  const failed = refused.length + found.failed.length;
  output.note(overview(found, refused, plan, expected, ''));
  output.result({
    type: 'plan',
    ...{ draw: found.todo.length, skip: found.verified.length, failed, duplicates: plan.duplicates },
    ...expected,
    warnings: output.warnings,
  });
  return failed > 0 ? 9 : 0;
}
