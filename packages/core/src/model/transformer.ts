/** The transformer inside the UNet (diffusers Transformer2DModel and BasicTransformerBlock). */
import { graphOf, repeat, reshape, type Tensor, tap } from '../gpu/graph.js';
import { attention } from '../ops/attention.js';
import { add, geglu } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import {
  type GatheredLinears,
  groupNorm,
  type LinearLayer,
  layerNorm,
  linear,
  linearOfSum,
  linears,
  times,
} from './layers.js';

/** Fixed in diffusers, whatever the config says for the other norms. */
const GROUP_NORM_EPS = 1e-6;
const LAYER_NORM_EPS = 1e-5;
const FEED_FORWARD_FACTOR = 4;

export interface TransformerOptions {
  readonly channels: number;
  readonly heads: number;
  readonly layers: number;
  /** Channels of the text conditioning. */
  readonly contextChannels: number;
  /** Linear layers that take the context. */
  readonly ofContext: GatheredLinears;
  readonly groups: number;
}

/**
 * x (N, H, W, C) attends to itself and to the context (A, T, contextChannels) -> (A, H, W, C). Where there are several contexts for
 * each of x, A is a multiple of N: x then meets the first N of them, the next N, and so on, and is one until it does.
 */
export function transformer2d(w: WeightScope, options: TransformerOptions) {
  const { channels, layers, groups } = options;
  const norm = groupNorm(w.at('norm'), channels, groups, GROUP_NORM_EPS);
  // A linear layer or a 1x1 convolution, as use_linear_projection says: the same numbers either way.
  const projIn = linear(w.at('proj_in'), channels, channels);
  const projOut = linear(w.at('proj_out'), channels, channels);
  const blocks = times(layers, (i) => {
    const isLast = i === layers - 1;
    return transformerBlock(w.at('transformer_blocks', i), options, isLast ? projOut : undefined);
  });

  return (x: Tensor, context: Tensor): Tensor => {
    const [images, height, width] = x.shape as [number, number, number, number];
    let h = projIn(reshape(norm(x), [images, height * width, channels]));
    const residual = repeat(x, context.shape[0]!);
    for (const block of blocks) h = block(h, context);
    return tap(w.path, add(residual, reshape(h, residual.shape)));
  };
}

/** `after`: what its result goes through, if it is the last one. */
function transformerBlock(w: WeightScope, options: TransformerOptions, after?: LinearLayer) {
  const { channels } = options;
  const norm1 = layerNorm(w.at('norm1'), channels, LAYER_NORM_EPS);
  const attn1 = selfAttention(w.at('attn1'), options);
  const norm2 = layerNorm(w.at('norm2'), channels, LAYER_NORM_EPS);
  const attn2 = crossAttention(w.at('attn2'), options);
  const norm3 = layerNorm(w.at('norm3'), channels, LAYER_NORM_EPS);
  const ff = feedForward(w.at('ff'), channels);

  return (x: Tensor, context: Tensor): Tensor => {
    const { gpu, wantsTap } = graphOf(x);
    const isAsked = [w, ff, ff.out].some(({ path }) => wantsTap(path));
    const afterSum = after && !isAsked ? linearOfSum(gpu, after, ff.out) : undefined;

    let h = repeat(add(x, attn1(norm1(x))), context.shape[0]!);
    h = add(h, attn2(norm2(h), context), afterSum && gpu.precision);
    const gates = ff.gates(norm3(h));
    if (afterSum) return afterSum(h, gates);
    const y = tap(w.path, add(h, tap(ff.path, ff.out(gates))));
    return after ? after(y) : y;
  };
}

/** Attention of x (N, T, channels) to itself. */
function selfAttention(w: WeightScope, { channels, heads }: TransformerOptions) {
  const toQkv = linears(w, ['to_q', 'to_k', 'to_v'], channels, channels);
  const toOut = linear(w.at('to_out', 0), channels, channels);
  return (x: Tensor): Tensor => {
    const [q, k, v] = toQkv(x) as [Tensor, Tensor, Tensor];
    return tap(w.path, toOut(attention(q, k, v, { heads })));
  };
}

/** Attention of x (N, Tq, channels) to context (N, Tk, contextChannels). */
function crossAttention(w: WeightScope, { channels, heads, contextChannels, ofContext }: TransformerOptions) {
  const toQ = linear(w.at('to_q'), channels, channels);
  const toK = ofContext.linear(w.at('to_k'), contextChannels, channels);
  const toV = ofContext.linear(w.at('to_v'), contextChannels, channels);
  const toOut = linear(w.at('to_out', 0), channels, channels);
  return (x: Tensor, context: Tensor): Tensor => {
    const [k, v] = [toK(context), toV(context)];
    return tap(w.path, toOut(attention(toQ(x), k, v, { heads })));
  };
}

function feedForward(w: WeightScope, channels: number) {
  const inner = channels * FEED_FORWARD_FACTOR;
  const proj = linear(w.at('net', 0, 'proj'), channels, inner * 2);
  const gates = (x: Tensor): Tensor => tap(`${w.path}.net.0`, geglu(proj(x)));
  return { path: w.path, gates, out: linear(w.at('net', 2), inner, channels) };
}
