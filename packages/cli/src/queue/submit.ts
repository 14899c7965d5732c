/** `soup batch --queue`: gives items to the workers of a queue, once each, and can wait for them. */
import { resolve } from 'node:path';
import { partOf } from '../batch/batch.js';
import type { Item } from '../batch/item.js';
import { openStore } from '../batch/open-store.js';
import { type Plan, type Planned, planBatch } from '../batch/plan.js';
import { knownResults, type Result } from '../batch/results.js';
import { failedResult } from '../batch/run-batch.js';
import { type SoupOf, soupOpener } from '../batch/soups.js';
import { type Survey, survey } from '../batch/survey.js';
import type { BatchFlags } from '../commands/batch.js';
import type { Output } from '../output.js';
import { type Board, openBoard, sumOf } from './board.js';
import { connect, shownUrl } from './connection.js';
import { jobIdOf, queueOf, type Work, workOf } from './work.js';

const ATTEMPTS = 4;
const BACK_OFF_MS = 1000;
const POLL_MS = 1000;
/** Jobs sent at once. */
const CHUNK = 500;

interface Options extends BatchFlags {
  readonly queue: string;
}

export async function submitBatch(
  items: readonly Item[],
  flags: Options,
  output: Output,
  soupOf: SoupOf = soupOpener({ output }),
): Promise<number> {
  const { format, quality, force, retryFailed, queueName } = flags;
  const { env, signal } = output.io;
  const redis = await connect(flags.queue);
  const board = openBoard(redis, queueName);
  try {
    const store = await openStore(flags.out, env);
    const plan = await planBatch(items, { soupOf, format, name: flags.name });
    const mine: Pick<Plan, 'items' | 'refused'> = partOf(plan, flags.shard);
    const look = async (options: { force?: boolean } = {}): Promise<Survey> =>
      survey(mine.items, {
        known: await knownResults(store.folder),
        store,
        format,
        retryFailed: true,
        signal,
        ...options,
      });
    const found = await look({ force });
    const refused = [...mine.refused, ...found.refused];
    for (const { error, ...one } of refused) output.result({ type: 'result', ...failedResult(one, undefined), error });
    for (const { item, error } of refused) output.error(`item ${item.index + 1} cannot be drawn: ${error.message}`);
    const out = /^s3:/i.test(flags.out) ? flags.out : resolve(flags.out);
    const works = found.todo.map((planned) => ({ planned, work: workOf(planned, { out, format, quality }) }));
    const submitted = flags.dryRun
      ? 0
      : await submit(works, board, { queueName, retry: retryFailed === true || force === true });
    output.note(
      `${found.todo.length} pictures to draw, ${submitted} given to ${shownUrl(flags.queue)}, ${found.verified.length} there already` +
        `${refused.length > 0 ? `, ${refused.length} that cannot be drawn` : ''}`,
    );
    const counts = { todo: found.todo.length, submitted, skipped: found.verified.length, refused: refused.length };
    if (!flags.wait || flags.dryRun) {
      output.result({ type: 'submitted', ...counts, duplicates: plan.duplicates, warnings: output.warnings });
      return refused.length > 0 ? 9 : 0;
    }
    await wait(board, works, output);
    const after = await look();
    for (const result of after.verified) told(result, output);
    const missing = after.todo.length + after.failed.length;
    for (const { item, path } of after.todo) output.error(`item ${item.index + 1} is not there: ${path}`);
    output.endStatus(`${after.verified.length} there, ${missing + refused.length} failed`);
    output.result({ type: 'summary', ...counts, done: after.verified.length, failed: missing + refused.length });
    return missing + refused.length > 0 ? 9 : 0;
  } finally {
    await board.close();
    redis.disconnect();
  }
}

const told = (result: Result, output: Output): void => {
  output.result({ type: 'result', ...result });
  if (result.path !== undefined) output.print(result.path);
};

async function submit(
  works: readonly { planned: Planned; work: Work }[],
  board: Board,
  { queueName, retry }: { queueName: string; retry: boolean },
): Promise<number> {
  const bySoup = new Map<string, Work[]>();
  const titles = new Map<string, string>();
  for (const { planned, work } of works) {
    bySoup.set(work.soup, [...(bySoup.get(work.soup) ?? []), work]);
    titles.set(work.soup, planned.soup.title);
  }
  let submitted = 0;
  for (const [soup, list] of bySoup) {
    const queue = await board.queue(queueOf(queueName, soup), titles.get(soup));
    for (let at = 0; at < list.length; at += CHUNK) {
      const chunk = list.slice(at, at + CHUNK);
      // Of a job that ended, though its picture is not there, nothing may be left: a queue takes each id once.
      await Promise.all(
        chunk.map(async (work) => {
          const state = await queue.getJobState(jobIdOf(work));
          if (state === 'completed' || (state === 'failed' && retry)) await queue.remove(jobIdOf(work));
        }),
      );
      await queue.addBulk(
        chunk.map((work) => ({
          name: 'draw',
          data: work,
          opts: {
            jobId: jobIdOf(work),
            attempts: ATTEMPTS,
            backoff: { type: 'exponential', delay: BACK_OFF_MS },
            removeOnComplete: { age: 7 * 24 * 3600 },
          },
        })),
      );
      submitted += chunk.length;
    }
  }
  return submitted;
}

/** Until every job that was submitted has ended; says how far all workers are. */
async function wait(board: Board, works: readonly { work: Work }[], output: Output): Promise<void> {
  const { signal } = output.io;
  const queues = new Set(works.map(({ work }) => work.soup.slice(0, 16)));
  for (;;) {
    const soups = (await board.soups()).filter(({ queue }) => queues.has(queue.split('.').at(-1)!));
    const { wait, active, delayed, completed, failed } = sumOf(soups);
    if (wait + active + delayed === 0) return;
    const workers = await board.workers();
    output.status(
      `${completed} done, ${active} in hand, ${wait + delayed} waiting, ${failed} parked; ${workers.length} workers`,
    );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    signal.throwIfAborted();
  }
}
