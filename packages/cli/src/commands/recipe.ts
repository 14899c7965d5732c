/** `soup recipe`: recipes as files. */
import { formatRecipe, type Recipe, recipeJson, recipeJsonSchema, SCHEMA_FILE, SoupError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import type { Output } from '../output.js';
import { readRecipeFile } from '../recipe-file.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

interface FormatFlags extends CommonFlags {
  readonly write?: boolean;
}

export function recipeCommand(program: Command, run: Run): void {
  const recipe = program
    .command('recipe')
    .summary('check recipes and write them in the usual form')
    .description(
      'A recipe is a YAML file that says what a soup is made of; "soup merge" and "soup generate" take its name in place ' +
        "of models. mergekit's recipes are read, too, where they mean the same.",
    )
    .addHelpText(
      'after',
      `
A recipe:
  ingredients: {noto: 2, ink: 1}     or a list: [noto, ink], or maps of model, weight, blocks, root, loras
  base: stable-diffusion-v1-5
  method: ties                       linear by default
  parameters: {density: 0.3}
  dtype: F16

Examples:
  soup recipe check soup.yaml
  soup recipe format mergekit.yml > soup.yaml
  soup recipe schema > ${SCHEMA_FILE}       for completion in editors, beside the recipe
  soup merge soup.yaml --out my-soup`,
    );
  withCommonFlags(
    recipe
      .command('check')
      .description('Reads recipes and tells every mistake with its line. Models are not looked for.')
      .argument('<file...>', 'recipes'),
  ).action(async (files: string[], flags: CommonFlags) => {
    run.exitCode = await check(files, run.output(flags));
  });
  withCommonFlags(
    recipe
      .command('format')
      .description('Prints a recipe in the usual form. Comments are lost.')
      .argument('<file>', 'a recipe')
      .option('-w, --write', 'write it into the file'),
  ).action(async (file: string, flags: FormatFlags) => {
    const output = run.output(flags);
    const text = formatRecipe(await readRecipeFile(file));
    if (flags.write) await writeFileAtomic(file, new TextEncoder().encode(text));
    else output.print(text.trimEnd());
    output.result({ file, recipe: text });
  });
  withCommonFlags(recipe.command('schema').description('Prints the JSON Schema of recipes, for editors.')).action(
    async (flags: CommonFlags) => {
      const output = run.output(flags);
      const schema = recipeJsonSchema();
      output.print(JSON.stringify(schema, null, 2));
      output.result(schema);
    },
  );
}

async function check(files: readonly string[], output: Output): Promise<number> {
  const checked: object[] = [];
  let exitCode = 0;
  for (const file of files) {
    try {
      const recipe = await readRecipeFile(file);
      checked.push({ file, ok: true, recipe: recipeJson(recipe) });
      output.print(`${printable(file)}: ${summary(recipe)}`);
    } catch (error) {
      if (!(error instanceof SoupError)) throw error;
      exitCode = Math.max(exitCode, error.exitCode);
      checked.push({ file, ok: false, message: error.message, ...error.facts });
      output.error(error.message);
    }
  }
  output.result({ recipes: checked });
  return exitCode;
}

function summary({ method, ingredients, base }: Recipe): string {
  const count = `${ingredients.length} ingredient${ingredients.length === 1 ? '' : 's'}`;
  return `${method} of ${count}${base === undefined ? '' : `, on ${printable(base)}`}`;
}
