/** `soup queue status`: what a queue has to do, and who does it. */
import type { Command } from 'commander';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import type { Output } from '../output.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { printable } from '../text.js';
import { queueOption } from './worker.js';

interface QueueFlags extends CommonFlags {
  readonly queue: string;
  readonly queueName: string;
}

export function queueCommand(program: Command, run: Run): void {
  const queue = program
    .command('queue')
    .summary('look at a queue of pictures')
    .description('Looks at a queue of pictures.');
  const status = queue
    .command('status')
    .description('Says what waits, what is in hand, what is done and what is parked; and which workers there are.')
    .addOption(queueOption())
    .option('--queue-name <name>', 'of several queues on one server', 'soup');
  withCommonFlags(status)
    .addHelpText('after', '\nExamples:\n  soup queue status --queue redis://queue.example:6379')
    .action(async (flags: QueueFlags) => showStatus(flags, run.output(flags)));
}

async function showStatus(flags: QueueFlags, output: Output): Promise<void> {
  const [{ connect }, { openBoard, sumOf }] = await Promise.all([
    import('../queue/connection.js'),
    import('../queue/board.js'),
  ]);
  const redis = await connect(flags.queue);
  const board = openBoard(redis, flags.queueName);
  try {
    const soups = await board.soups();
    const workers = await board.workers();
    const total = sumOf(soups);
    const row = (name: string, { wait, active, delayed, completed, failed }: typeof total) => [
      name,
      ...[wait, active, delayed, completed, failed].map(String),
    ];
    const head = ['soup', 'waiting', 'in hand', 'to be retried', 'done', 'parked'];
    const rows = [head, ...soups.map((soup) => row(printable(soup.title), soup)), row('all', total)];
    for (const line of table(rows, 'lrrrrr')) output.print(line);
    const parked = [];
    for (const { queue, failed } of soups) {
      if (failed === 0) continue;
      for (const job of await (await board.queue(queue)).getFailed(0, 20)) {
        parked.push({
          path: job.data.path,
          index: job.data.item.index,
          reason: job.failedReason,
          attempts: job.attemptsMade,
        });
      }
    }
    for (const { path, reason } of parked) output.print(`parked  ${printable(path)}: ${printable(reason)}`);
    for (const { host, pid, adapter, soup = '', done, failed } of workers) {
      output.print(
        `worker  ${printable(host)} ${pid}  ${printable(adapter)}  ${printable(soup)}  ${done} done, ${failed} failed`,
      );
    }
    if (workers.length === 0) output.print('no workers');
    output.result({ total, soups, workers, parked, warnings: output.warnings });
  } finally {
    await board.close();
    redis.disconnect();
  }
}
