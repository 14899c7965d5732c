/** `soup batch`: a manifest in, pictures and a log of results out; to be stopped and started again at any time. */
import { formatBytes, type Precision, UsageError } from '@diffusion-soup/core';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PreparedBatch, prepareBatch } from '../batch/batch.js';
import { type Engine, gpuEngine } from '../batch/engine.js';
import type { Item } from '../batch/item.js';
import { FORMATS, type Format } from '../batch/names.js';
import { openStore } from '../batch/open-store.js';
import type { Shard } from '../batch/plan.js';
import { readItems } from '../batch/read.js';
import { KINDS, type Kind } from '../batch/read-manifest.js';
import type { Result } from '../batch/results.js';
import { soupOpener } from '../batch/soups.js';
import type { Store } from '../batch/store.js';
import { type CommonFlags, collect, parseBytes, wholeNumber, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import type { Output } from '../output.js';
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

export async function drawBatch(items: readonly Item[], flags: BatchFlags, output: Output): Promise<number> {
  const { format, quality, name, shard, force, retryFailed } = flags;
  const { env, signal } = output.io;
  if (quality !== undefined && format === 'png')
    throw new UsageError('--quality is for webp and jpeg; png loses nothing');
  const store = await openStore(flags.out, env);
  const open = () => openGpuFor({ precision: flags.precision, budget: flags.memory, adapter: flags.adapter });
  const opened = await open();
  const engine = await gpuEngine({ open: once(opened, open), output });
  try {
    const soupOf = soupOpener({ output, gpu: opened.gpu });
    const onLook = (done: number, total: number) => output.status(`looking at what is there: ${done} of ${total}`);
    const how = { format, quality, name, shard, force, retryFailed };
    const batch = await prepareBatch({ ...how, items, engine, soupOf, store, signal, env, onLook });
    if (flags.dryRun) return list(batch, store, output);
    return await drawWith(batch, engine, store, flags, output);
  } finally {
    await engine.close();
  }
}

async function drawWith(
  batch: PreparedBatch,
  { machine }: Engine,
  store: Store,
  flags: BatchFlags,
  output: Output,
): Promise<number> {
  const { found } = batch;
  output.note(overview(batch, `on ${machine.adapter}, ${machine.precision}`));
  for (const result of found.verified) output.result({ type: 'skipped', ...located(result, store) });
  for (const result of found.failed) said(result, store, output);
  const left = timeLeft();
  const summary = await batch.run({
    ...(flags.batch !== undefined && { batch: flags.batch }),
    onResult: async (result) => said(result, store, output),
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
  const { done, skipped, failed, isStopped, seconds } = summary;
  output.endStatus(
    `${done} drawn in ${formatSeconds(seconds)}, ${skipped} there before, ${failed} failed` +
      `${isStopped ? `, ${summary.left} left` : ''}; see ${printable(summary.results)}`,
  );
  output.result({ type: 'summary', ...summary, warnings: output.warnings });
  if (isStopped) output.io.signal.throwIfAborted();
  return failed > 0 ? 9 : 0;
}

function once<T>(first: T, again: () => Promise<T>): () => Promise<T> {
  let isFirst = true;
  return async () => {
    const value = isFirst ? first : await again();
    isFirst = false;
    return value;
  };
}

const located = (result: Result, store: Store): Result =>
  result.path === undefined ? result : { ...result, path: store.locate(result.path) };

function said(result: Result, store: Store, output: Output): void {
  const { path, error, index } = located(result, store);
  output.result({ type: 'result', ...located(result, store) });
  if (path !== undefined) output.print(path);
  if (error) output.error(`item ${index + 1} failed: ${error.message}`);
}

function overview({ found, refused, plan, estimate }: PreparedBatch, where: string): string {
  const { todo, verified, failed } = found;
  const soups = new Set(todo.map(({ soup }) => soup.key)).size;
  const bad = refused.length + failed.length;
  const { bytes, seconds } = estimate;
  return [
    `${todo.length} pictures of ${soups} soup${soups === 1 ? '' : 's'} to draw${where && ` ${where}`}`,
    ...(verified.length > 0 ? [`${verified.length} there already`] : []),
    ...(bad > 0 ? [`${bad} that cannot be drawn`] : []),
    ...(plan.duplicates > 0 ? [`${plan.duplicates} listed twice`] : []),
    `about ${formatBytes(bytes)}`,
    ...(seconds === undefined ? ['time unknown until the first is drawn'] : [`about ${formatSeconds(seconds)}`]),
  ].join(', ');
}

/** A dry run: every item, and what would become of it. */
function list(batch: PreparedBatch, store: Store, output: Output): number {
  const { found, refused, plan, estimate } = batch;
  for (const { item, id, path, soup, settings, address } of found.todo) {
    const at = store.locate(path);
    output.print(`draw  ${at}  ${printable(soup.title)}  seed ${settings.seed}  ${printable(settings.prompt)}`);
    const what = { index: item.index, id, address, path: at, model: soup.title, settings };
    output.result({ type: 'item', status: 'draw', ...what });
  }
  for (const result of found.verified) {
    output.print(`skip  ${store.locate(result.path!)}`);
    output.result({ type: 'item', ...located(result, store), status: 'skip' });
  }
  for (const result of found.failed) output.result({ type: 'item', ...result, status: 'fail' });
  for (const { item, id, error } of refused) {
    output.error(`item ${item.index + 1} (line ${item.line}) cannot be drawn: ${error.message}`);
    output.result({ type: 'item', status: 'fail', index: item.index, id, error });
  }
  const failed = refused.length + found.failed.length;
  output.note(overview(batch, ''));
  const counts = { draw: found.todo.length, skip: found.verified.length, failed, duplicates: plan.duplicates };
  output.result({ type: 'plan', ...counts, ...estimate, warnings: output.warnings });
  return failed > 0 ? 9 : 0;
}
