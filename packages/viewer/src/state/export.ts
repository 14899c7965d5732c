/** The soup in the words of the command line: recipes and commands. */
import { type Fraction, formatRecipe, parseFraction, type Recipe, recipeJson } from '@diffusion-soup/core';
import { blendOf, type Doc } from './document.js';

export function recipeOf(doc: Doc): Recipe {
  const { portions, base } = blendOf(doc);
  const factors = (blocks: Readonly<Record<string, string>>): Record<string, Fraction> =>
    Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, parseFraction(factor)]));
  return {
    method: 'linear',
    parameters: {},
    normalize: true,
    ingredients: portions.map(({ name, weight, blocks }) => ({
      model: name,
      weight: parseFraction(weight),
      ...(blocks && { blocks: factors(blocks) }),
    })),
    ...(base !== undefined && { base }),
  };
}

export const recipeYaml = (doc: Doc): string => formatRecipe(recipeOf(doc));
export const recipeText = (doc: Doc): string => `${JSON.stringify(recipeJson(recipeOf(doc)), undefined, 2)}\n`;

export function generateCommand(doc: Doc): string {
  const { prompt, negative, seed, steps, sampler, guidance, width, height } = doc.picture;
  const words = ['soup', 'generate', ...soupWords(doc), '--prompt', quoted(prompt)];
  if (negative) words.push('--negative', quoted(negative));
  words.push('--seed', seed, '--steps', String(steps), '--sampler', sampler, '--guidance', String(guidance));
  if (width && height) words.push('--size', `${width}x${height}`);
  return words.join(' ');
}

export const mergeCommand = (doc: Doc): string =>
  ['soup', 'merge', ...soupWords(doc), '--out', 'soup.safetensors'].join(' ');

function soupWords(doc: Doc): string[] {
  const { portions, base } = blendOf(doc);
  const blocks = portions.flatMap(({ name, blocks }) =>
    blocks
      ? ['--blocks', quoted(`${name}=${Object.entries(blocks).map(([block, factor]) => `${block}:${factor}`)}`)]
      : [],
  );
  return [
    quoted(portions.map(({ name, weight }) => `${name}:${weight}`).join('+')),
    ...(base === undefined ? [] : ['--base', quoted(base)]),
    ...blocks,
  ];
}

/** For a POSIX shell. */
const quoted = (text: string): string => (/^[\w./:+=,@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
