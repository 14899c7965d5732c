/** Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): the network asked twice, as one batch of two. */
import { join } from '../image/layout.js';
import type { Sample, UNet } from '../model/components.js';

/**
 * The network's raw output for latents x (N, C, h, w) at a timestep. `context` holds the conditioning of N negative
 * prompts, then of N prompts; with guidance of 1 or less the prompts alone are asked, and `context` holds only those.
 */
export function guidedPredict(unet: UNet, size: Sample, context: Float32Array, guidance: number) {
  const isGuided = guidance > 1;
  const batch = { ...size, images: size.images * (isGuided ? 2 : 1) };

  return async (x: Float32Array, timestep: number): Promise<Float32Array> => {
    const timesteps = new Float32Array(batch.images).fill(timestep);
    const { output } = await unet.predict(batch, isGuided ? join([x, x]) : x, timesteps, context);
    return isGuided ? guide(output, guidance) : output;
  };
}

/** uncond + guidance * (cond - uncond), for a batch whose first half is unconditional. */
function guide(output: Float32Array, guidance: number): Float32Array {
  const half = output.length / 2;
  const guided = new Float32Array(half);
  for (let i = 0; i < half; i++) {
    const uncond = output[i]!;
    guided[i] = uncond + guidance * (output[half + i]! - uncond);
  }
  return guided;
}
