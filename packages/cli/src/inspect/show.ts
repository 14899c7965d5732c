/** What was found, for people: every text from a file is made harmless and kept short. */
import {
  type DecodedMetadata,
  formatBytes,
  type Ledger,
  type MergeRecipe,
  type Recipe,
  type RemovalReceipt,
  recipeJson,
} from '@diffusion-soup/core';
import { table } from '../table.js';
import { printable } from '../text.js';
import type { Inspected } from './inspect.js';
import type { InspectedWeights, TensorSummary } from './models.js';
import { outline, shown } from './outline.js';
import type { InspectedPicture } from './picture.js';

/** Lines, without what `--tensors` adds. */
export function describe(found: Inspected): string[] {
  const name = shown(found.path);
  switch (found.kind) {
    case 'recipe':
      return [`${name}: a recipe`, ...recipeLines(found.recipe)];
    case 'ledger':
      return [`${name}: the ledger of a soup`, ...ledgerLines(found.ledger)];
    case 'receipt':
      return [`${name}: the receipt of a removal`, ...receiptLines(found.receipt)];
    case 'pantry':
      return [`${name}: the index of a pantry`, ...indented(outline({ models: found.models }))];
    case 'picture':
      return pictureLines(found);
    default:
      return weightsLines(found);
  }
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

function weightsLines(found: InspectedWeights): string[] {
  const { kind, layout, architecture, resolution, predictionType, lora, parts, total, notes, metadata } = found;
  const what = {
    model: `a model, as a ${layout}`,
    lora: `a LoRA${lora ? ` as ${lora.format} writes it` : ''}`,
    weights: 'weights of another kind',
  }[kind];
  const facts = {
    ...(architecture !== undefined && { architecture }),
    ...(resolution !== undefined && { resolution }),
    ...(predictionType && { prediction: predictionType }),
    ...(lora && { rank: lora.ranks.join(', '), layers: lora.layers }),
    ...(lora && lora.unsupported.length > 0 && { unsupported: lora.unsupported.join(', ') }),
  };
  const rows = [...parts.map((part) => row(part.name, part)), row(parts.length > 0 ? 'in all' : 'tensors', total)];
  return [
    `${shown(found.path)}: ${what}`,
    ...indented(outline(facts)),
    ...indented(table(rows, 'lrrl')),
    ...indented(notes.map((note) => `note: ${printable(note)}`)),
    ...Object.entries(metadata).flatMap(([part, of]) => metadataLines(part, of)),
  ];
}

function row(name: string, { tensors, bytes, dtypes }: Partial<TensorSummary>): string[] {
  if (tensors === undefined || bytes === undefined) return [name];
  const types = Object.entries(dtypes ?? {});
  const shownTypes = types.map(([dtype, count]) => (types.length > 1 ? `${dtype} x ${count}` : dtype));
  return [name, `${tensors} tensor${tensors === 1 ? '' : 's'}`, formatBytes(bytes), shownTypes.join(', ')];
}

function metadataLines(part: string, metadata: DecodedMetadata): string[] {
  const { soup, modelSpec, merge, training, adapter, comfy, other } = metadata;
  const of = part === '' ? '' : ` of ${part}`;
  const section = (title: string, value: object | undefined): string[] =>
    value === undefined || Object.keys(value).length === 0 ? [] : [`${title}${of}`, ...indented(outline(value))];
  return indented([
    ...section('soup', soup),
    ...section('ModelSpec', modelSpec),
    ...(merge ? mergeLines(merge, of) : []),
    ...section('training (kohya)', training),
    ...section('adapter (peft)', adapter),
    ...(comfy ? [`ComfyUI: ${Object.keys(comfy).join(' and ')}${of}`] : []),
    ...section('metadata', other),
  ]);
}

/** A merge, then the models it was made of, with how they were merged themselves. */
function mergeLines({ type, recipe, models }: MergeRecipe, of: string): string[] {
  const { type: _, ...rest } = recipe;
  return [
    `merged by ${shown(type)}${of}`,
    ...indented(outline(rest)),
    ...models.flatMap(({ hash, name, recipe: nested }) => [
      `  model ${hash.slice(0, 10)}  ${shown(name)}${nested ? ', itself merged:' : ''}`,
      ...(nested ? indented(indented(outline(nested))) : []),
    ]),
  ];
}

const recipeLines = (recipe: Recipe): string[] =>
  indented(outline({ method: recipe.method, ...recipeJson(recipe), normalize: recipe.normalize }));

function ledgerLines(ledger: Ledger): string[] {
  const { method, parameters, arithmetic, dtype, base, ingredients, result, history, tombstones, tool } = ledger;
  const rows = ingredients.map(({ name, weight, root }) => [shown(name), weight, root]);
  return [
    ...indented(outline({ method, ...parameters, arithmetic, ...(dtype && { dtype }), tool })),
    '  ingredients',
    ...indented(indented(table(rows, 'lrl'))),
    ...indented(outline({ ...(base && { base: `${base.name}  ${base.root}` }), result: result.root })),
    '  history',
    ...history.map(({ action, ...entry }) => `    ${action}${'share' in entry ? ` ${shown(entry.share.name)}` : ''}`),
    ...tombstones.map(({ name, root }) => `  removed: ${shown(name)}  ${root}`),
  ];
}

const receiptLines = ({ removed, soup, statement, warning }: RemovalReceipt): string[] =>
  indented(
    outline({ removed: removed.name, root: removed.root, before: soup.old, after: soup.new, statement, warning }),
  );

function pictureLines(found: InspectedPicture): string[] {
  const { width, height, from, parameters, soup, comfy, workflow, other } = found;
  const by = from.length > 0 ? `, made with ${from.join(' and ')}` : ', which does not say how it was made';
  return [
    `${shown(found.path)}: a picture of ${width} x ${height} pixels${by}`,
    ...(parameters ? indented(parameterLines(parameters)) : []),
    ...(soup === undefined ? [] : ['  soup', ...indented(indented(outline(soup)))]),
    ...(comfy ? ['  ComfyUI', ...indented(indented(outline(comfy)))] : []),
    ...(workflow && !comfy ? [`  a ComfyUI workflow of ${workflow.nodes} nodes`] : []),
    ...indented(outline(other)),
  ];
}

const parameterLines = ({ prompt, negativePrompt, settings }: NonNullable<InspectedPicture['parameters']>): string[] =>
  outline({ prompt, ...(negativePrompt && { 'negative prompt': negativePrompt }), ...settings });

export const tensorLines = ({ tensors }: InspectedWeights): string[] =>
  table(
    tensors.map(({ part, name, dtype, shape, bytes }) => [
      `  ${part === undefined ? '' : `${part}  `}${shown(name)}`,
      dtype,
      `[${shape.join(', ')}]`,
      formatBytes(bytes),
    ]),
    'lllr',
  );
