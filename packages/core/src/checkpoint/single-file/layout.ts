/**
 * A model in diffusers' names as a single file in the layout of latent-diffusion ("LDM"): which tensor of the file is
 * made of which of the model's, by the same table as is read. Names and shapes are those that diffusers'
 * scripts/convert_diffusers_to_original_stable_diffusion.py writes, so that A1111 and ComfyUI take the file.
 */
import { IncompatibleError } from '../../errors.js';
import type { ClipTextConfig, UNetConfig, VaeConfig } from '../configs.js';
import type { WeightedComponent } from '../model-folder.js';
import { printable, printableShape } from '../printable.js';
import type { TensorSpec } from '../safetensors-writer.js';
import { TEXT_LAYOUTS } from './infer-text.js';
import { type KeyPair, unetKeys, vaeKeys } from './key-map.js';
import { PREFIXES } from './part.js';

/** What is known of a tensor before it is made. */
export type NamedTensors = ReadonlyMap<string, Pick<TensorSpec, 'dtype' | 'shape'>>;

export interface SingleFileParts {
  readonly unet?: { readonly config: UNetConfig; readonly tensors: NamedTensors };
  readonly vae?: { readonly config: VaeConfig; readonly tensors: NamedTensors };
  readonly text_encoder?: { readonly config: ClipTextConfig; readonly tensors: NamedTensors };
}

/** A tensor of the single file: the bytes of its parts, one after the other. */
export interface SingleFileTensor extends TensorSpec {
  readonly parts: readonly { readonly component: WeightedComponent; readonly key: string }[];
}

/** They are recomputed by every program, and older folders have them. */
const NOT_WRITTEN = /^(text_model\.)?embeddings\.position_ids$/;

/**
 * Every tensor of the single file, the UNet's first. A text encoder with quick_gelu is written as Stable Diffusion 1's
 * CLIP, one with gelu as 2's OpenCLIP, for that is how readers tell the activation. Throws an IncompatibleError for a
 * tensor that is missing, has no place, or does not fit those beside it; a ConfigError for a UNet without a middle.
 */
export function singleFileLayout({ unet, vae, text_encoder: text }: SingleFileParts): SingleFileTensor[] {
  const textLayout = TEXT_LAYOUTS.find(({ kind }) => (kind === 'clip') === (text?.config.hiddenAct === 'quick_gelu'))!;
  return [
    ...(unet ? placed('unet', PREFIXES.unet, unetKeys(unet.config), unet.tensors) : []),
    ...(vae ? placed('vae', PREFIXES.vae, vaeKeys(vae.config), vae.tensors) : []),
    ...(text ? placed('text_encoder', textLayout.prefix, textLayout.keys(text.config), text.tensors) : []),
  ];
}

function placed(
  component: WeightedComponent,
  prefix: string,
  pairs: Iterable<KeyPair>,
  tensors: NamedTensors,
): SingleFileTensor[] {
  const rest = new Set(tensors.keys());
  const result = new Map<string, SingleFileTensor>();
  for (const pair of pairs) {
    const key = [pair.diffusers, pair.alias].find((name) => name !== undefined && tensors.has(name));
    if (key === undefined) {
      if (pair.optional) continue;
      throw refusal(component, pair.diffusers, 'is missing, which its config asks for');
    }
    rest.delete(key);
    const { dtype, shape } = tensors.get(key)!;
    const name = prefix + pair.ldm;
    const before = result.get(name);
    const part = { component, key };
    if (before) result.set(name, stacked(before, { dtype, shape }, part));
    else result.set(name, { name, dtype, shape: pair.conv ? asConvolution(shape) : shape, parts: [part] });
  }
  const [unknown] = [...rest].filter((key) => !NOT_WRITTEN.test(key));
  if (unknown !== undefined) throw refusal(component, unknown, 'has no place in a single file');
  return [...result.values()];
}

/** What is a convolution already stays one. */
const asConvolution = (shape: readonly number[]) => (shape.length === 2 ? [...shape, 1, 1] : shape);

/** q, k and v one below the other. */
function stacked(
  before: SingleFileTensor,
  { dtype, shape }: Pick<TensorSpec, 'dtype' | 'shape'>,
  part: SingleFileTensor['parts'][number],
): SingleFileTensor {
  const [rows = 0, ...rest] = before.shape;
  const each = [rows / before.parts.length, ...rest];
  if (dtype !== before.dtype || shape.join() !== each.join()) {
    const found = `is ${dtype} ${printableShape(shape)}, but ${before.parts[0]!.key} is ${before.dtype}`;
    throw refusal(
      part.component,
      part.key,
      `${found} ${printableShape(each)}, and they share a matrix in a single file`,
    );
  }
  return { ...before, shape: [rows + each[0]!, ...rest], parts: [...before.parts, part] };
}

function refusal(component: WeightedComponent, key: string, what: string): IncompatibleError {
  const tensor = printable(key);
  return new IncompatibleError(
    `${component}: tensor "${tensor}" ${what}. Write a diffusers folder instead, or check that config and weights belong together.`,
    { part: component, tensor },
  );
}
