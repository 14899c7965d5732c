/** The options by which a soup is described on the command line, and the recipe they make together with its words. */
import {
  type Method,
  type MethodParameters,
  methods,
  parseFraction,
  type ResultType,
  UsageError,
} from '@diffusion-soup/core';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect } from './flags.js';
import { averageOrder, type Order } from './kitchen.js';
import type { Output } from './output.js';
import { parseRecipe } from './recipe.js';
import { besideFile, isRecipeFile, readRecipeFile } from './recipe-file.js';
import { printable } from './text.js';

export interface RecipeFlags {
  readonly weights?: readonly string[];
  readonly base?: string;
  readonly method?: Method;
  readonly set?: readonly string[];
  readonly blocks?: readonly string[];
  readonly lora?: readonly string[];
  readonly part?: readonly string[];
  readonly dtype?: ResultType;
  readonly normalize: boolean;
  readonly allowNonFinite?: boolean;
}

export function withRecipeFlags(command: Command): Command {
  return command
    .option('--weights <numbers>', 'weights of the models, as 2,1 or 1/3,2/3 (default: equal)', parseWeightList)
    .option('--base <model>', 'what the fine-tunes started from (default: a folder "base" beside the models)')
    .addOption(new Option('--method <name>', 'how the models are put together (default: linear)').choices([...methods]))
    .option('--set <name=value>', 'a parameter of the method, as density=0.3; may be repeated', collect)
    .option(
      '--blocks <model=table>',
      'weights by UNet block, as ink=GRAD_V or ink=IN:0,OUT:1; may be repeated',
      collect,
    )
    .option('--lora <file:strength>', 'bake a LoRA into the result; may be repeated', collect)
    .option('--part <part=model>', 'take unet, vae or text_encoder from one model; may be repeated', collect)
    .addOption(
      new Option('--dtype <type>', 'store the result as this (default: as the models are)').choices([
        'F16',
        'BF16',
        'F32',
      ]),
    )
    .option('--no-normalize', 'take the weights as they are, instead of scaling them to add up to 1')
    .option('--allow-non-finite', 'let infinities and NaNs through');
}

function parseWeightList(text: string): string[] {
  const parts = text.split(',').map((part) => part.trim());
  for (const part of parts) {
    try {
      parseFraction(part);
    } catch {
      throw new InvalidArgumentError('Give numbers with commas between them, such as 2,1,1 or 1/3,2/3.');
    }
  }
  return parts;
}

/** The recipe of a command line: of its words, or of a file that is its only word. Options count more than the file. */
export async function orderOf(words: readonly string[], flags: RecipeFlags, output: Output): Promise<Order> {
  const order = await orderedBy(words, flags, output);
  const blocks = new Map((flags.blocks ?? []).map((text) => pairOf(text, '--blocks', 'ink=GRAD_V')));
  for (const name of blocks.keys()) {
    if (!order.ingredients.some(({ model }) => model === name)) {
      throw new UsageError(`--blocks speaks of ${printable(name)}, which is no ingredient`, { name });
    }
  }
  return {
    ...order,
    ingredients: order.ingredients.map((one) => {
      const table = blocks.get(one.model);
      return table === undefined ? one : { ...one, blocks: blockTable(table) };
    }),
    ...(flags.method && { method: flags.method }),
    ...(flags.set && { parameters: { ...order.parameters, ...parametersOf(flags.set) } }),
    ...(flags.part && {
      components: { ...order.components, ...Object.fromEntries(flags.part.map((text) => partOf(text))) },
    }),
    ...(flags.lora && { loras: flags.lora.map(loraOf) }),
    ...(flags.dtype && { dtype: flags.dtype }),
    normalize: flags.normalize && (order.normalize ?? true),
    ...(flags.allowNonFinite && { allowNonFinite: true }),
  };
}

async function orderedBy(words: readonly string[], flags: RecipeFlags, output: Output): Promise<Order> {
  const file = words.find(isRecipeFile);
  if (file === undefined) return averageOrder(parseRecipe(words, flags.weights, output.io.env), flags.base);
  if (words.length > 1 || flags.weights) {
    const what = flags.weights ? '--weights' : 'other models';
    throw new UsageError(
      `${printable(file)} is a recipe: it has its models and weights, and takes no ${what} beside it`,
    );
  }
  const recipe = besideFile(await readRecipeFile(file), file);
  return { ...recipe, ...(flags.base !== undefined && { base: flags.base }) };
}

function pairOf(text: string, flag: string, example: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0 && at < text.length - 1) return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  throw new UsageError(`${flag} ${printable(text)}: expected a name, "=" and a value, as in ${flag} ${example}`);
}

/** The name of a preset, 26 numbers, or IN:0,OUT07:1/2. */
function blockTable(text: string) {
  if (!text.includes(':')) return text;
  return Object.fromEntries(
    text.split(',').map((entry) => {
      const [block = '', factor = ''] = entry.split(':').map((part) => part.trim());
      return [block, parseFraction(factor)];
    }),
  );
}

const PARTS = ['unet', 'vae', 'text_encoder'];

function partOf(text: string): [string, string] {
  const [part, from] = pairOf(text, '--part', 'vae=base');
  if (PARTS.includes(part)) return [part, from];
  throw new UsageError(`--part ${printable(text)}: a model has ${PARTS.join(', ')}, and no ${printable(part)}`);
}

function loraOf(text: string) {
  const [, file = text, strength = '1'] = /^(.*):([+-]?[\d./e-]+)$/i.exec(text) ?? [];
  return { file, strength: parseFraction(strength) };
}

const FRACTIONS = ['strength', 'lambda', 't', 'density', 'drop'];

function parametersOf(list: readonly string[]): MethodParameters {
  return Object.fromEntries(
    list.map((text) => {
      const [name, value] = pairOf(text, '--set', 'density=0.3');
      if (FRACTIONS.includes(name)) return [name, parseFraction(value)];
      if (name === 'seed' && /^\d{1,20}$/.test(value)) return [name, BigInt(value)];
      if (name === 'deltas' && /^(true|false)$/.test(value)) return [name, value === 'true'];
      if (name === 'scope' && /^(tensor|model)$/.test(value)) return [name, value];
      throw new UsageError(
        `--set ${printable(text)}: the parameters are ${FRACTIONS.join(', ')} (numbers), seed (a whole number), deltas ` +
          '(true or false) and scope (tensor or model)',
      );
    }),
  );
}
