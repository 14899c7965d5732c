/**
 * Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598): the network asked twice, as one batch. Up to the first
 * layer that looks at the conditioning both answers are the same, and computed once.
 */
import { partOf, type Slice } from '../gpu/slice.js';
import { answersTo, type UNet } from '../model/components.js';
import type { Predict } from '../sampler/index.js';
import type { LatentSpace } from './latents.js';

/**
 * The network's raw output for latents x, both on the device. `context` holds the conditioning of N negative prompts, then
 * of N prompts; with guidance of 1 or less the prompts alone are asked, and `context` holds only those. A network that
 * answers on the host alone is asked there.
 */
export function guidedPredict(unet: UNet, space: LatentSpace, context: Float32Array, guidance: number): Predict<Slice> {
  const { mix, size } = space;
  const parts = guidance > 1 ? [0, 1] : [0];
  const batch = { ...size, conditionings: parts.length };

  /** One output for each part of the batch. */
  async function ask(x: Slice, timesteps: Float32Array): Promise<Slice[]> {
    if (unet.submit) {
      space.flush();
      const output = await unet.submit(batch, [x], timesteps, context);
      return parts.map((i) => partOf(output, i, parts.length));
    }
    const values = await space.read(x);
    const { output } = await unet.predict(batch, values, timesteps, context);
    return parts.map((i) => space.upload(output.subarray(i * values.length, (i + 1) * values.length)));
  }

  return async (x, timestep) => {
    const [first, second] = await ask(x, new Float32Array(answersTo(batch)).fill(timestep));
    // Without guidance it is copied, since the network's next output comes to the same place.
    return second ? guide(first!, second) : mix([1, first!]);
  };

  /** uncond + guidance * (cond - uncond). */
  function guide(uncond: Slice, cond: Slice): Slice {
    return mix([1, uncond], [guidance, mix([1, cond], [-1, uncond])]);
  }
}
