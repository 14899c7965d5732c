/** `soup lab`: whether a soup behaves as Diffusion Soup says. Each measurement is a file in lab/. */
import type { Command } from 'commander';
import type { Run } from '../run.js';
import { clipScoreCommand } from './lab/clip-score.js';
import { drillCommand } from './lab/drill.js';
import { fidelityCommand } from './lab/fidelity.js';
import { memoryCommand } from './lab/memory.js';
import { mixCommand } from './lab/mix.js';
import { paperCommand } from './lab/paper.js';

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
  soup lab memory                                      copies of training pictures, and membership
  soup lab clip-score --clip ./clip-vit-base-patch32   how well pictures show their prompts
  soup lab paper                                       soup against paragon, single models and base`,
    );
  for (const add of [fidelityCommand, drillCommand, mixCommand, memoryCommand, clipScoreCommand, paperCommand])
    add(lab, run);
}
