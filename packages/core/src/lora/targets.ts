/** Which weight of a model a LoRA's layer means. */

import { printable, printableShape } from '../checkpoint/printable.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { IncompatibleError } from '../errors.js';
import { blockOf } from '../soup/block-weights.js';
import type { LoraComponent } from './format.js';
import type { Lora, LoraModule } from './read.js';

/** Names that an error lists. */
const MOST_LISTED = 10;

const flat = (path: string): string => path.replaceAll('.', '_');

/** The weights that a LoRA can change, by every place that means them. */
export function targetsOf(component: LoraComponent, weights: Weights): ReadonlyMap<string, TensorInfo> {
  const targets = new Map<string, TensorInfo>();
  const layout = layoutOf(weights);
  for (const [key, info] of weights.tensors) {
    if (!key.endsWith('.weight') || (info.shape.length !== 2 && info.shape.length !== 4)) continue;
    const path = key.slice(0, -'.weight'.length);
    targets.set(flat(path), info);
    const alias = component === 'unet' ? originalPath(path, layout) : textModelAlias(path);
    if (alias !== undefined) targets.set(flat(alias), info);
  }
  return targets;
}

/** Newer transformers leave "text_model." out. */
const textModelAlias = (path: string): string =>
  path.startsWith('text_model.') ? path.slice('text_model.'.length) : `text_model.${path}`;

/** What of a UNet's architecture its original names depend on. */
export interface UNetLayout {
  readonly layersPerBlock: readonly number[];
  /** Of up_blocks. */
  readonly hasAttention: readonly boolean[];
}

function layoutOf({ tensors }: Weights): UNetLayout {
  const layersPerBlock: number[] = [];
  const hasAttention: boolean[] = [];
  for (const key of tensors.keys()) {
    const [, way, level, kind, layer] = /^(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d{1,2})\./.exec(key) ?? [];
    const i = Number(level);
    if (way === 'up' && kind === 'attentions') hasAttention[i] = true;
    if (way === 'down') layersPerBlock[i] = Math.max(layersPerBlock[i] ?? 0, Number(layer) + 1);
  }
  const levels = Array.from(layersPerBlock, (count) => count ?? 0);
  return { layersPerBlock: levels, hasAttention: levels.map((_, i) => hasAttention[i] ?? false) };
}

const OUTER: Readonly<Record<string, string>> = {
  conv_in: 'input_blocks.0.0',
  conv_out: 'out.2',
  'time_embedding.linear_1': 'time_embed.0',
  'time_embedding.linear_2': 'time_embed.2',
};

const RESNET: Readonly<Record<string, string>> = {
  conv1: 'in_layers.2',
  conv2: 'out_layers.3',
  time_emb_proj: 'emb_layers.1',
  conv_shortcut: 'skip_connection',
};

/** The path of a UNet's layer in the original implementation (CompVis/latent-diffusion, openaimodel.py). */
export function originalPath(path: string, layout: UNetLayout): string | undefined {
  if (Object.hasOwn(OUTER, path)) return OUTER[path];
  const [, kind, index, rest] = /\b(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)$/.exec(path) ?? [];
  if (rest === undefined) return undefined;
  const inner = kind === 'resnets' ? (RESNET[rest] ?? rest) : rest;
  if (path.startsWith('mid_block.')) {
    return `middle_block.${kind === 'attentions' ? 1 : 2 * Number(index)}.${inner}`;
  }
  const block = blockOf(`${path}.weight`, layout);
  const at = `${block.startsWith('IN') ? 'input' : 'output'}_blocks.${Number(block.replace(/\D+/, ''))}`;
  if (kind === 'downsamplers') return `${at}.0.op`;
  // An upsampler comes last in its block: behind the attention, where there is one.
  if (kind === 'upsamplers') return `${at}.${layout.hasAttention[Number(path.split('.')[1])] ? 2 : 1}.${inner}`;
  return `${at}.${kind === 'resnets' ? 0 : 1}.${inner}`;
}

/** A LoRA's change of one weight. */
export interface LoraTarget {
  readonly info: TensorInfo;
  readonly module: LoraModule;
}

/** The weights of this component that the LoRA changes, by key. Layers that the model does not have are refused. */
export function matchLora(lora: Lora, component: LoraComponent, weights: Weights): ReadonlyMap<string, LoraModule> {
  const targets = targetsOf(component, weights);
  const matched = new Map<string, LoraModule>();
  const missing: LoraModule[] = [];
  for (const module of lora.modules) {
    if (module.component !== component) continue;
    const info = targets.get(module.place);
    if (!info) missing.push(module);
    else if (matched.has(info.name)) throw twice(lora, info, module, matched.get(info.name)!);
    else {
      checkShape(lora, info, module);
      matched.set(info.name, module);
    }
  }
  if (missing.length > 0) throw strangers(lora, weights, missing);
  return matched;
}

function checkShape(lora: Lora, info: TensorInfo, { down, up, mid }: LoraModule): void {
  const [rows, channels, ...wanted] = info.shape;
  const kernel = (mid ?? down).shape.slice(2);
  const isOne = (sides: readonly number[]) => sides.every((side) => side === 1);
  const sameKernel = kernel.join() === wanted.join() || (isOne(kernel) && isOne(wanted));
  const fits = up.shape[0] === rows && down.shape[1] === channels && sameKernel && isOne(up.shape.slice(2));
  if (fits && (!mid || isOne(down.shape.slice(2)))) return;
  const shapes = [up, ...(mid ? [mid] : []), down].map(({ shape }) => printableShape(shape)).join(' · ');
  throw new IncompatibleError(
    `${printable(lora.name, 1000)} changes ${printable(info.name)}, ${printableShape(info.shape)}, by ${shapes}. ` +
      'It was made for another architecture.',
    { file: lora.name, tensor: info.name, found: [up.shape, down.shape], expected: info.shape },
  );
}

function twice(lora: Lora, info: TensorInfo, a: LoraModule, b: LoraModule): IncompatibleError {
  const names = [b, a].map(({ down }) => `"${printable(down.name)}"`).join(' and ');
  return new IncompatibleError(`${printable(lora.name, 1000)} changes ${printable(info.name)} twice: ${names}`, {
    tensor: info.name,
  });
}

function strangers(lora: Lora, weights: Weights, missing: readonly LoraModule[]): IncompatibleError {
  const names = missing.slice(0, MOST_LISTED).map(({ down }) => `"${printable(down.name)}"`);
  const more = missing.length > MOST_LISTED ? ` and ${missing.length - MOST_LISTED} more` : '';
  return new IncompatibleError(
    `${printable(lora.name, 1000)} changes ${missing.length === 1 ? 'a layer' : `${missing.length} layers`} that ` +
      `${printable(weights.name, 1000)} has not: ${names.join(', ')}${more}. It was made for another architecture.`,
    { file: lora.name, tensors: missing.map(({ down }) => down.name) },
  );
}
