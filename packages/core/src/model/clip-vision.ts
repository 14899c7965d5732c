/** CLIP's vision tower (Radford et al. 2021; transformers CLIPVisionTransformer): patches are tokens, and one token is for all. */
import type { ClipVisionConfig } from '../checkpoint/configs.js';
import { reshape, type Tensor } from '../gpu/graph.js';
import { add, concat } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import { clipEncoder } from './clip.js';
import { conv2d, layerNorm, linear } from './layers.js';

export interface ClipVisionOutput {
  /** (N, T, C): the normalised embeddings, then what each layer made of them. The first token is that of the picture. */
  readonly hiddenStates: readonly Tensor[];
  /** (N, T, C): the last of them, normalised. The pooled output is its first token. */
  readonly normed: Tensor;
  /** (N, T, projectionDim): the same in the space that pictures and texts share; the picture's is its first token. */
  readonly embeds: Tensor;
}

/**
 * `pixels` (N, H, W, 3), normalised; `zeros` (N, C), since a weight has to be spread over the pictures of a batch.
 * `projectionDim` is that of visual_projection, which `w` has beside vision_model.
 */
export function clipVision(w: WeightScope, config: ClipVisionConfig, projectionDim: number) {
  const { hiddenSize: channels, imageSize, patchSize, layerNormEps: eps } = config;
  const tower = w.at('vision_model');
  const embeddings = tower.at('embeddings');
  const tokens = Math.floor(imageSize / patchSize) ** 2 + 1;
  const patches = conv2d(embeddings.at('patch_embedding'), config.channels, channels, { kernel: patchSize });
  const classToken = embeddings.vector('class_embedding', [channels]);
  const positions = embeddings.at('position_embedding').vector('weight', [tokens, channels]);
  const preNorm = layerNorm(tower.at('pre_layrnorm'), channels, eps); // the name is transformers' own
  const encode = clipEncoder(tower.at('encoder'), config, { causal: false });
  const postNorm = layerNorm(tower.at('post_layernorm'), channels, eps);
  const projection = linear(w.at('visual_projection'), channels, projectionDim);

  return (pixels: Tensor, zeros: Tensor): ClipVisionOutput => {
    const images = pixels.shape[0]!;
    const seen = patches(pixels, { stride: patchSize, padding: [0, 0, 0, 0], type: 'residual' });
    const all = concat(add(zeros, classToken), reshape(seen, [images, (tokens - 1) * channels]));
    const hiddenStates = encode(preNorm(add(reshape(all, [images, tokens, channels]), positions)));
    const normed = postNorm(hiddenStates.at(-1)!);
    return { hiddenStates, normed, embeds: projection(normed) };
  };
}
