/** CLIP's transformer and the text encoder (Radford et al. 2021; transformers CLIPTextModel), bottom-up. */
import type { ClipTextConfig } from '../checkpoint/configs.js';
import { type Tensor, tap } from '../gpu/graph.js';
import { attention } from '../ops/attention.js';
import { activate, add } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import { layerNorm, linear, times } from './layers.js';

export interface ClipOutput {
  /** (N, T, C): the embeddings, then what each layer made of them. */
  readonly hiddenStates: readonly Tensor[];
  /** The last of them, normalised. */
  readonly lastHiddenState: Tensor;
}

export interface ClipText {
  /** Token embeddings (N, T, C), looked up already. */
  (tokens: Tensor): ClipOutput;
  /** The final layer norm, which also follows a hidden state taken earlier ("clip skip"). */
  readonly finalNorm: (x: Tensor) => Tensor;
}

/** The part of the checkpoint's names before "embeddings" and "encoder", which newer files leave out. */
export const clipScope = (w: WeightScope): WeightScope => (w.has('text_model') ? w.at('text_model') : w);

export function clipText(w: WeightScope, config: ClipTextConfig): ClipText {
  const { hiddenSize: channels, maxPositions, layerNormEps: eps } = config;
  const positions = w.at('embeddings', 'position_embedding').vector('weight', [maxPositions, channels]);
  const encode = clipEncoder(w.at('encoder'), config, { causal: true });
  const finalNorm = layerNorm(w.at('final_layer_norm'), channels, eps);

  const forward = (tokens: Tensor): ClipOutput => {
    const seen = { ...positions, shape: [tokens.shape[1]!, channels] }; // a shorter text sees the first positions
    const hiddenStates = encode(add(tokens, seen));
    return { hiddenStates, lastHiddenState: finalNorm(hiddenStates.at(-1)!) };
  };
  return Object.assign(forward, { finalNorm });
}

/** What both towers say of their layers. */
export type ClipEncoderConfig = Pick<
  ClipTextConfig,
  'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'hiddenAct' | 'layerNormEps'
>;

/** (N, T, C) -> what goes in, then what each layer made of it. A text's tokens see those before them, a picture's see all. */
export function clipEncoder(w: WeightScope, config: ClipEncoderConfig, { causal }: { causal: boolean }) {
  const layers = times(config.layers, (i) => clipLayer(w.at('layers', i), config, causal));
  return (x: Tensor): Tensor[] => {
    const states = [x];
    for (const layer of layers) states.push(layer(states.at(-1)!));
    return states;
  };
}

function clipLayer(
  w: WeightScope,
  { hiddenSize: channels, intermediateSize, heads, hiddenAct, layerNormEps: eps }: ClipEncoderConfig,
  causal: boolean,
) {
  const norm1 = layerNorm(w.at('layer_norm1'), channels, eps);
  const attend = w.at('self_attn');
  const qProj = linear(attend.at('q_proj'), channels, channels);
  const kProj = linear(attend.at('k_proj'), channels, channels);
  const vProj = linear(attend.at('v_proj'), channels, channels);
  const outProj = linear(attend.at('out_proj'), channels, channels);
  const norm2 = layerNorm(w.at('layer_norm2'), channels, eps);
  const fc1 = linear(w.at('mlp', 'fc1'), channels, intermediateSize);
  const fc2 = linear(w.at('mlp', 'fc2'), intermediateSize, channels);

  return (x: Tensor): Tensor => {
    const y = norm1(x);
    const attended = outProj(attention(qProj(y), kProj(y), vProj(y), { heads, causal }));
    const h = add(x, tap(attend.path, attended));
    return tap(w.path, add(h, fc2(activate(hiddenAct, fc1(norm2(h))))));
  };
}
