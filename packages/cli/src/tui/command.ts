/** `soup tui`, and `soup` alone on a terminal: looks whether there is one, and loads the application. */
import { fractionToNumber, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import type { Io } from '../output.js';
import { modelsIn } from '../pantry/models.js';
import { locate, pantry, parseRecipe } from '../recipe.js';
import { isRecipeFile } from '../recipe-file.js';
import type { Run } from '../run.js';
import { quoted } from './command-line.js';
import { openRecipe } from './keep.js';
import { newShard, rounded } from './state/soup.js';
import type { Doc } from './state/state.js';
import { leaveTerminal } from './terminal.js';

export function tuiCommand(program: Command, run: Run): void {
  program
    .command('tui')
    .summary('turn weights and see the picture change')
    .description(
      'Opens the kitchen on the terminal: choose models, turn their weights, see the picture change, and keep what you ' +
        'like. "soup" alone does the same.',
    )
    .argument('[recipe]', 'a recipe to begin with (*.yaml), or models as noto:2+ink:1')
    .addHelpText('after', '\nExamples:\n  soup tui\n  soup tui soup.yaml\n  soup tui noto+ink')
    .action(async (recipe: string | undefined) => {
      const { io } = run.output({});
      if (!isInteractive(io)) throw refusal(recipe);
      try {
        run.exitCode = await open(recipe, io);
      } finally {
        leaveTerminal();
      }
    });
}

export const isInteractive = ({ stdout }: Pick<Io, 'stdout'>): boolean =>
  stdout.isTTY === true && stdout === process.stdout && process.stdin.isTTY === true;

function refusal(recipe = 'noto+ink'): UsageError {
  return new UsageError(
    'the kitchen needs a terminal to read keys from and to draw on, and this is none. The same without one:\n' +
      `  soup generate ${quoted(recipe)} --prompt "red apple" --seed 42\n` +
      `  soup merge ${quoted(recipe)} --out my-soup`,
  );
}

async function open(recipe: string | undefined, io: Io): Promise<number> {
  const begin = await beginningOf(recipe, io.env);
  process.env.NODE_ENV ??= 'production'; // React's other half checks itself at every frame
  const { launch } = await import('./launch.js');
  return launch({ ...begin, env: process.env, signal: io.signal });
}

/** The recipe's shards first and in the soup, then what else is in the pantry. */
async function beginningOf(recipe: string | undefined, env: Io['env']): Promise<Pick<Doc, 'shards' | 'base'>> {
  const names = (await modelsIn(pantry(env))).map(({ name }) => name);
  const chosen = recipe === undefined ? { shards: [] } : await chosenBy(recipe, env);
  const others = names.filter((name) => !chosen.shards.some(({ id }) => id === name));
  return { ...chosen, shards: [...chosen.shards, ...others.map(newShard)] };
}

async function chosenBy(recipe: string, env: Io['env']): Promise<Pick<Doc, 'shards' | 'base'>> {
  if (isRecipeFile(recipe)) return openRecipe(recipe);
  const named = parseRecipe([recipe], undefined, env);
  // A model that is not there is refused here, where its name can be corrected.
  for (const { name } of named) await locate(name, env);
  const shards = named.map(({ name, weight }) => ({
    ...newShard(name),
    on: true,
    weight: rounded(fractionToNumber(weight)),
  }));
  return { shards };
}
