/** `soup worker`: draws what is given to a queue, with this machine's GPU. */
import { hostname } from 'node:os';
import type { Precision } from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { type CommonFlags, parseBytes, wholeNumber, withCommonFlags } from '../flags.js';
import type { Run } from '../run.js';

interface WorkerFlags extends CommonFlags {
  readonly queue: string;
  readonly queueName: string;
  readonly untilEmpty?: boolean;
  readonly out?: string;
  readonly lease: number;
  readonly precision: Precision | 'auto';
  readonly memory?: number;
  readonly adapter?: string;
}

export const queueOption = (): Option =>
  new Option('--queue <url>', 'redis://host:6379, or rediss://user:password@host:6380')
    .env('SOUP_QUEUE')
    .makeOptionMandatory();

export function workerCommand(program: Command, run: Run): void {
  const command = program
    .command('worker')
    .summary("draw what is given to a queue, with this machine's GPU")
    .description('Takes pictures from a queue (Redis or Valkey), one soup after the other, until it is stopped.')
    .addOption(queueOption())
    .option('--queue-name <name>', 'of several queues on one server', 'soup')
    .option('--until-empty', 'end when nothing is left to do')
    .option('--out <folder>', 'put pictures here, where this machine has the folder under another name')
    .option(
      '--lease <seconds>',
      'after which another worker takes over what this one does not answer for',
      wholeNumber(1, 3600),
      30,
    )
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('auto'))
    .option('--memory <amount>', 'the most GPU memory to use, as 6GB', parseBytes)
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup worker --queue redis://queue.example:6379
  SOUP_QUEUE=rediss://user:password@queue.example:6380 soup worker --until-empty

Ctrl-C or SIGTERM finishes the picture in hand and ends; a second one ends at once, and the picture goes to another worker.`,
    )
    .action(async (flags: WorkerFlags) => {
      const output = run.output(flags);
      const { startWorker } = await import('../queue/start-worker.js');
      const { failed } = await startWorker({ ...flags, name: `${hostname()}-${process.pid}` }, output);
      run.exitCode = failed > 0 ? 9 : 0;
      output.io.signal.throwIfAborted();
    });
}
