/**
 * A single-file checkpoint of Stable Diffusion 1.x or 2.x (the layout of CompVis' latent-diffusion, "LDM", which A1111
 * and ComfyUI use) as a model folder: the same parts, configs and names, without a tokenizer.
 */
import { CheckpointError, DiskError, UsageError } from '../../errors.js';
import type { ModelFolder, WeightedComponent } from '../model-folder.js';
import { COMPONENTS, type Component } from '../model-index.js';
import { printable } from '../printable.js';
import { openSafetensors } from '../safetensors.js';
import type { Source } from '../source.js';
import type { TensorInfo, Weights } from '../weights.js';
import { assign, hasEmaCopy } from './assign.js';
import { type Description, describe, type Known } from './infer.js';
import { unetKeys, vaeKeys } from './key-map.js';
import { refuseOtherKinds } from './other-kinds.js';
import { PREFIXES } from './part.js';

export interface SingleFileOptions extends Known {
  /** Take the averaged copy (EMA) of the UNet's weights that training keeps, where a file has both. */
  readonly ema?: boolean;
}

export interface SingleFile extends ModelFolder {
  /** Of Stable Diffusion: which text encoder it has, or how its UNet's matrices are kept. */
  readonly version: 1 | 2;
  /** Whether there is an averaged copy of the UNet's weights. */
  readonly hasEma: boolean;
  /** The tensors of the file that are in no part: without effect on pictures, or the copy that was not chosen. */
  readonly ignored: readonly string[];
  /** What was assumed or left out and should be said, a sentence each. */
  readonly notes: readonly string[];
}

type Open = () => Promise<Source>;

/**
 * Opens a single file: a source, which stays the caller's to close, or a function that opens the file anew for each
 * reader, who closes it. Only the header is read. Throws a CheckpointError for other kinds of models and for a tensor
 * that is missing or has no place, a ConfigError for sizes that this engine does not run.
 */
export async function openSingleFile(file: Source | Open, options: SingleFileOptions = {}): Promise<SingleFile> {
  const open = typeof file === 'function' ? file : async () => withoutClose(file);
  const source = await open();
  try {
    return await readSingleFile(await openSafetensors(source), open, options);
  } finally {
    await source.close?.();
  }
}

const withoutClose = (source: Source): Source => ({
  name: source.name,
  size: source.size,
  readInto: (target, offset) => source.readInto(target, offset),
});

async function readSingleFile(weights: Weights, open: Open, options: SingleFileOptions): Promise<SingleFile> {
  const { name, metadata } = weights;
  const { ema = false } = options;
  const shown = printable(name, 1000);
  refuseOtherKinds(weights);
  const hasEma = hasEmaCopy(weights);
  if (ema && !hasEma) throw new UsageError(`${shown} has no averaged copy (EMA) of its weights: take it as it is.`);
  const description = await describe(weights, options);
  const { parts, ignored } = partsOf(weights, description, ema);
  if (parts.size === 0) {
    throw new CheckpointError(
      `${shown} has no tensor of a model; expected names that begin with "${PREFIXES.unet}", "${PREFIXES.vae}" or ` +
        '"cond_stage_model.". Name a single file of Stable Diffusion 1.x or 2.x.',
      { file: shown },
    );
  }
  const found = (part: Component) => (part === 'tokenizer' ? undefined : description[part]);
  const needed = async <Found>(part: Component, found: { readonly config: Found } | undefined): Promise<Found> => {
    if (found) return found.config;
    throw new CheckpointError(`${shown} has no ${part}. Name a model that has one as its base.`, { file: shown, part });
  };
  const notes = [...description.notes];
  if (hasEma && !ema) notes.push('It also has an averaged copy (EMA) of its UNet, which is left out.');
  return {
    name,
    version: description.version,
    hasEma,
    ignored,
    notes,
    components: new Set(COMPONENTS.filter(found)),
    config: async (part) => found(part)?.json,
    unetConfig: () => needed('unet', description.unet),
    vaeConfig: () => needed('vae', description.vae),
    textEncoderConfig: () => needed('text_encoder', description.text_encoder),
    schedulerConfig: () => needed('scheduler', description.scheduler),
    async weights(part) {
      const views = parts.get(part);
      return views && { name, metadata, tensors: await reopen(views, open) };
    },
    text: async () => undefined,
  };
}

interface Parts {
  readonly parts: ReadonlyMap<WeightedComponent, readonly TensorInfo[]>;
  readonly ignored: readonly string[];
}

function partsOf(weights: Weights, { unet, vae, text_encoder: text, textLayout }: Description, ema: boolean): Parts {
  const assignment = assign(weights);
  const parts = new Map<WeightedComponent, readonly TensorInfo[]>();
  if (unet) parts.set('unet', assignment.take(PREFIXES.unet, unetKeys(unet.config), { ema }));
  if (vae) parts.set('vae', assignment.take(PREFIXES.vae, vaeKeys(vae.config)));
  if (text && textLayout) {
    parts.set('text_encoder', assignment.take(textLayout.prefix, textLayout.keys(text.config)));
    // The layer after the one that version 2 reads from.
    if (textLayout.kind === 'open-clip') assignment.leaveOut(textLayout.prefix + textLayout.layer(text.config.layers));
  }
  return { parts, ignored: assignment.leftOver() };
}

/** The same tensors in a source of their own. */
async function reopen(views: readonly TensorInfo[], open: Open): Promise<ReadonlyMap<string, TensorInfo>> {
  const source = await open();
  if (source.size !== views[0]?.source.size) {
    await source.close?.();
    const file = printable(source.name, 1000);
    throw new DiskError(`${file} was changed since it was opened. Open it again.`, { file });
  }
  return new Map(views.map((view) => [view.name, { ...view, source }]));
}
