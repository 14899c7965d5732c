/** Which tensor of a single file is which of the model's: every one that is needed, and none that is not known. */
import type { TensorInfo, Weights } from '../weights.js';
import type { KeyPair } from './key-map.js';
import { PREFIXES, refuseTensor } from './part.js';
import { viewOf } from './views.js';

/** Tensors that change no picture: what training and its noise schedule left behind, and what CLIP is not asked for. */
const WITHOUT_EFFECT = [
  /^(betas|alphas_cumprod|alphas_cumprod_prev|logvar|lvlb_weights|scale_factor|global_step)$/,
  /^(sqrt|log)_(one_minus_alphas|alphas|recip_alphas|recipm1_alphas)_cumprod$/,
  /^posterior_(variance|log_variance_clipped|mean_coef1|mean_coef2)$/,
  // The numbers 0, 1, 2, ...; averaged by other programs they are not even whole.
  /^cond_stage_model\.transformer\.(text_model\.)?embeddings\.position_ids$/,
  // CLIP's comparison with pictures.
  /^cond_stage_model\.(transformer\.|model\.)?(logit_scale|text_projection(\.weight)?)$/,
  /^cond_stage_model\.model\.attn_mask$/,
];

const CONFIG = 'the config (given, or inferred from other tensors)';

const EMA = 'model_ema.';

/** diffusers takes fewer for the counters that training keeps beside the copy. */
const FEWEST_EMA_TENSORS = 100;

/** Training names the averaged copy of a tensor like the tensor, without the dots. */
const emaName = (key: string): string => EMA + key.slice('model.'.length).replaceAll('.', '');

export function hasEmaCopy({ tensors }: Weights): boolean {
  let count = 0;
  for (const key of tensors.keys()) if (key.startsWith(EMA)) count++;
  return count > FEWEST_EMA_TENSORS;
}

export interface Assignment {
  /** The tensors of one part, in diffusers' names. */
  take(prefix: string, pairs: Iterable<KeyPair>, options?: { readonly ema?: boolean }): readonly TensorInfo[];
  /** Leaves out what begins so. */
  leaveOut(prefix: string): void;
  /** What nobody took; refuses a tensor whose effect is not known. */
  leftOver(): readonly string[];
}

export function assign({ name: file, tensors }: Weights): Assignment {
  const taken = new Set<string>();
  const leftOut = [EMA];
  const emaOriginals: string[] = [];
  return {
    take(prefix, pairs, { ema = false } = {}) {
      const views: TensorInfo[] = [];
      for (const pair of pairs) {
        const plain = prefix + pair.ldm;
        const key = ema ? emaName(plain) : plain;
        const info = tensors.get(key);
        if (info) {
          views.push(viewOf(file, info, pair));
        } else if (!pair.optional || tensors.has(plain)) {
          refuseTensor(file, key, `is missing, which ${CONFIG} asks for`);
        }
        taken.add(plain);
        if (ema && info) emaOriginals.push(plain);
        if (ema) taken.add(key);
      }
      return views;
    },
    leaveOut: (prefix) => void leftOut.push(prefix),
    leftOver() {
      const rest = [...tensors.keys()].filter((key) => !taken.has(key));
      const unknown = rest.find(
        (key) => !leftOut.some((prefix) => key.startsWith(prefix)) && !WITHOUT_EFFECT.some((known) => known.test(key)),
      );
      if (unknown === undefined) return [...rest, ...emaOriginals.filter((key) => tensors.has(key))];
      const is = Object.values(PREFIXES).some((prefix) => unknown.startsWith(prefix))
        ? `has no place in ${CONFIG}; perhaps a tensor that comes before it is missing`
        : 'is none that a Stable Diffusion 1 or 2 model has, so the model may need what this engine does not do';
      return refuseTensor(file, unknown, is);
    },
  };
}
