/** The config of a text encoder from its tensors in a single file, and how they are named there. */
import type { JsonObject } from '../json.js';
import type { Weights } from '../weights.js';
import { type ClipStructure, clipKeys, type KeyPair, openClipKeys } from './key-map.js';
import { NEEDS_CONFIG, type Part, PREFIXES, refuseTensor } from './part.js';

export interface TextLayout {
  readonly prefix: string;
  /** OpenCLIP is Stable Diffusion 2's. */
  readonly kind: 'clip' | 'open-clip';
  readonly keys: (config: ClipStructure) => Generator<KeyPair>;
  /** (vocabulary, channels); shows that the file has this text encoder. */
  readonly tokens: string;
  /** (positions, channels) */
  readonly positions: string;
  /** What the tensors of a layer begin with. */
  readonly layer: (i: number) => string;
  /** Of a layer: (channels) and (inner channels, channels). */
  readonly norm: string;
  readonly fc1: string;
}

const CLIP = {
  kind: 'clip',
  keys: clipKeys,
  tokens: 'embeddings.token_embedding.weight',
  positions: 'embeddings.position_embedding.weight',
  layer: (i: number) => `encoder.layers.${i}.`,
  norm: 'layer_norm1.weight',
  fc1: 'mlp.fc1.weight',
} as const;

const OPEN_CLIP = {
  kind: 'open-clip',
  keys: openClipKeys,
  tokens: 'token_embedding.weight',
  positions: 'positional_embedding',
  layer: (i: number) => `transformer.resblocks.${i}.`,
  norm: 'ln_1.weight',
  fc1: 'mlp.c_fc.weight',
} as const;

/** The first of a kind is the one that is written. */
export const TEXT_LAYOUTS: readonly TextLayout[] = [
  { ...CLIP, prefix: PREFIXES.clip },
  { ...OPEN_CLIP, prefix: PREFIXES.openClip },
  { ...CLIP, prefix: PREFIXES.oldClip },
];

/** Which of them a file has; two are one too many, since either could be the one that was trained. */
export function textLayoutOf({ name, tensors }: Weights): TextLayout | undefined {
  const [found, other] = TEXT_LAYOUTS.filter(({ prefix, tokens }) => tensors.has(prefix + tokens));
  if (found && other) {
    const first = found.prefix + found.tokens;
    refuseTensor(name, other.prefix + other.tokens, `is the second text encoder of the file, beside "${first}"`);
  }
  return found;
}

/** Both CLIPs have heads of 64 channels. */
const HEAD_CHANNELS = 64;

/** OpenCLIP's ViT-H, of which Stable Diffusion 2 uses all but the last layer; files have the last one or not. */
const OPEN_CLIP_LAYERS = 24;

/** The JSON of a text_encoder/config.json, with the token ids that the published models' configs have. */
export function inferTextConfig(part: Part, { kind, tokens, positions, layer, norm, fc1 }: TextLayout): JsonObject {
  const isOpen = kind === 'open-clip';
  const [vocabSize, hiddenSize] = part.shape(tokens, 2) as [number, number];
  if (hiddenSize % HEAD_CHANNELS !== 0) {
    part.refuse(tokens, `has ${hiddenSize} channels; expected heads of ${HEAD_CHANNELS}`, NEEDS_CONFIG);
  }
  const layers = part.count((i) => layer(i) + norm);
  return {
    architectures: ['CLIPTextModel'],
    model_type: 'clip_text_model',
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: part.shape(layer(0) + fc1, 2)[0]!,
    num_hidden_layers: isOpen ? usedLayers(part, layers) : layers,
    num_attention_heads: hiddenSize / HEAD_CHANNELS,
    max_position_embeddings: part.shape(positions, 2)[0]!,
    hidden_act: isOpen ? 'gelu' : 'quick_gelu',
    layer_norm_eps: 1e-5,
    projection_dim: isOpen ? 512 : hiddenSize,
    bos_token_id: 0,
    eos_token_id: 2,
    pad_token_id: 1,
  };
}

/**
 * Stable Diffusion 2 takes the state before the last layer, and diffusers' text encoder ends there. A file of ViT-H
 * has that layer when it has 24. In other depths text_projection tells: it comes after the last layer only.
 */
function usedLayers(part: Part, layers: number): number {
  if (layers === OPEN_CLIP_LAYERS) return layers - 1;
  const hasLast = part.has('text_projection') && layers !== OPEN_CLIP_LAYERS - 1;
  return hasLast ? Math.max(1, layers - 1) : layers;
}
