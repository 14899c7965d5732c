/** `soup inspect`: what a file is, whoever made it. */
import { existsSync } from 'node:fs';
import { recipeJson, SoupError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { type Inspected, inspect } from '../inspect/inspect.js';
import { describe, tensorLines } from '../inspect/show.js';
import type { Output } from '../output.js';
import { locate } from '../recipe.js';
import type { Run } from '../run.js';

interface InspectFlags extends CommonFlags {
  readonly tensors?: boolean;
}

export function inspectCommand(program: Command, run: Run): void {
  const command = program
    .command('inspect')
    .summary('say what a model, LoRA, picture, recipe or ledger is, whoever made it')
    .description(
      'Tells what a file or folder is: architecture, tensors and metadata of models and LoRAs (ModelSpec, merge recipes of ' +
        "A1111 and others, kohya's training settings, our own), what a picture says of how it was made (ours, A1111's and " +
        "ComfyUI's; PNG, JPEG, WebP, AVIF), recipes, ledgers. Only headers are read.",
    )
    .argument('<path...>', 'files, folders, or names of the pantry')
    .option('--tensors', 'list the tensors of models');
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup inspect noto
  soup inspect model.safetensors --tensors
  soup inspect picture.png --json
  soup inspect soup.yaml my-soup/soup.json lora.safetensors`,
    )
    .action(async (paths: string[], flags: InspectFlags) => {
      run.exitCode = await inspectAll(paths, flags, run.output(flags));
    });
}

async function inspectAll(
  paths: readonly string[],
  { tensors = false }: InspectFlags,
  output: Output,
): Promise<number> {
  const results: object[] = [];
  let exitCode = 0;
  for (const [i, path] of paths.entries()) {
    try {
      const found = await inspect(existsSync(path) ? path : await locate(path, output.io.env));
      if (i > 0) output.print();
      for (const line of describe(found)) output.print(line);
      if (tensors && 'tensors' in found) for (const line of tensorLines(found)) output.print(line);
      results.push(json(found, tensors));
    } catch (error) {
      if (!(error instanceof SoupError) || paths.length === 1) throw error;
      exitCode = Math.max(exitCode, error.exitCode);
      output.error(error.message);
      results.push({ path, error: { name: error.name, message: error.message, facts: error.facts } });
    }
  }
  output.result({ files: results });
  return exitCode;
}

function json(found: Inspected, tensors: boolean): object {
  if (found.kind === 'recipe')
    return { ...found, recipe: { method: found.recipe.method, ...recipeJson(found.recipe) } };
  if (tensors || !('tensors' in found)) return found;
  const { tensors: _, ...rest } = found;
  return rest;
}
