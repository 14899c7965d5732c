/** `soup lab`: whether a soup behaves as Diffusion Soup says. Each measurement is a file in lab/. */
import type { Command } from 'commander';
import type { Run } from '../run.js';
import { drillCommand } from './lab/drill.js';
import { fidelityCommand } from './lab/fidelity.js';
import { memoryCommand } from './lab/memory.js';
import { mixCommand } from './lab/mix.js';

export function labCommand(program: Command, run: Run): void {
  const lab = program
    .command('lab')
    .summary('measure what the method claims')
    .description(
      'Measures on your models whether a soup behaves as the method says. Each command writes a report: a page with charts ' +
        'and pictures, JSON and CSV. Stopped with Ctrl-C, a command goes on when it is started again with the same --out.',
    )
    .addHelpText(
      'after',
      `
Examples:
  soup lab fidelity                                    how far soup and score ensemble are apart
  soup lab drill noto+ink+twemoji --prompts 8          add and remove one model after the other
  soup lab mix noto ink -p rocket                      pictures between models
  soup lab memory                                      copies of training pictures, and membership`,
    );
  for (const add of [fidelityCommand, drillCommand, mixCommand, memoryCommand]) add(lab, run);
}
