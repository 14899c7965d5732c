/** The text encoder (CLIP: Radford et al. 2021; transformers CLIPTextModel), bottom-up. */
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
  const layers = times(config.layers, (i) => clipLayer(w.at('encoder', 'layers', i), config));
  const finalNorm = layerNorm(w.at('final_layer_norm'), channels, eps);

  const forward = (tokens: Tensor): ClipOutput => {
    const seen = { ...positions, shape: [tokens.shape[1]!, channels] }; // a shorter text sees the first positions
    let h = add(tokens, seen);
    const hiddenStates = [h];
    for (const layer of layers) {
      h = layer(h);
      hiddenStates.push(h);
    }
    return { hiddenStates, lastHiddenState: finalNorm(h) };
  };
  return Object.assign(forward, { finalNorm });
}

function clipLayer(
  w: WeightScope,
  { hiddenSize: channels, intermediateSize, heads, hiddenAct, layerNormEps: eps }: ClipTextConfig,
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
    const attended = outProj(attention(qProj(y), kProj(y), vProj(y), { heads, causal: true }));
    const h = add(x, tap(attend.path, attended));
    return tap(w.path, add(h, fc2(activate(hiddenAct, fc1(norm2(h))))));
  };
}
