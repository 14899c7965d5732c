/** Weighted sums of slices (shaders/mix.wgsl): the few small kernels between two runs of a plan, submitted together. */
import { IncompatibleError } from '../errors.js';
import { Usage } from './flags.js';
import type { Gpu } from './gpu.js';
import { spread } from './graph.js';
import { getPipeline, packParams } from './kernel.js';
import type { Slice } from './slice.js';

export interface Mixer {
  /**
   * Records y = sum of weights times values, all of y's length; `y` is none of them. Terms of weight 0 are left out: 0
   * times an infinity is no number.
   */
  mix(y: Slice, terms: readonly (readonly [weight: number, values: Slice])[]): void;
  /** Submits what was recorded. What is to see the sums, or to overwrite what they are made of, is submitted after it. */
  flush(): void;
  destroy(): void;
}

/** What mix.wgsl adds up at once, which is as much as samplers ask for. */
const ROLES = ['a', 'b', 'c', 'd', 'e'] as const;
/** Sums that are submitted at once, and where the parameters of one may start. */
const MOST_SUMS = 32;
const PARAMS_PITCH = 256;
const THREADS = 256;
const { COPY_DST, STORAGE, UNIFORM } = Usage;

export function createMixer(gpu: Gpu): Mixer {
  const { device } = gpu;
  const packed = new ArrayBuffer(MOST_SUMS * PARAMS_PITCH);
  const params = gpu.createBuffer(packed.byteLength, COPY_DST | STORAGE | UNIFORM, 'weights of sums');
  const recorded: ((pass: GPUComputePassEncoder) => void)[] = [];

  function flush(): void {
    if (recorded.length === 0) return;
    device.queue.writeBuffer(params, 0, packed, 0, recorded.length * PARAMS_PITCH);
    const encoder = device.createCommandEncoder({ label: 'mix' });
    const pass = encoder.beginComputePass({ label: 'mix' });
    for (const dispatch of recorded.splice(0)) dispatch(pass);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  return {
    mix(y, given) {
      const terms = given.filter(([weight]) => weight !== 0);
      const wrong = terms.find(([, { count }]) => count !== y.count)?.[1].count;
      if (wrong !== undefined) throw new IncompatibleError(`${wrong} numbers cannot be added to ${y.count}`);
      if (terms.length > ROLES.length) {
        throw new IncompatibleError(`${terms.length} terms in one sum; at most ${ROLES.length} are added at once`);
      }
      if (recorded.length === MOST_SUMS) flush();
      const { pipeline, layout, source } = getPipeline(gpu, 'mix', { constants: { TERMS: terms.length } });
      const offset = recorded.length * PARAMS_PITCH;
      const values = ROLES.map((role, i) => ({
        [`${role}_weight`]: terms[i]?.[0] ?? 0,
        [`${role}_first`]: terms[i]?.[1].first ?? 0,
      }));
      packParams(
        source,
        Object.assign({ size: y.count, y_first: y.first }, ...values),
        new DataView(packed, offset, PARAMS_PITCH),
      );
      // Roles without a term are bound to what is there anyway.
      const buffers = [...ROLES.map((_, i) => terms[i]?.[1].buffer ?? params), y.buffer];
      const resources = [{ buffer: params, offset, size: PARAMS_PITCH }, ...buffers.map((buffer) => ({ buffer }))];
      const entries = resources.map((resource, binding) => ({ binding, resource }));
      const bindGroup = device.createBindGroup({ label: 'mix', layout, entries });
      const workgroups = spread(y.count, THREADS);
      recorded.push((pass) => {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
      });
    },
    flush,
    destroy() {
      recorded.length = 0;
      gpu.destroyBuffer(params);
    },
  };
}
