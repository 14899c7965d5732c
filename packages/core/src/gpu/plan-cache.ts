/** Plans by shape: the next picture of the same size replays the plan of the last. */
import type { Gpu } from './gpu.js';
import type { Tensor } from './graph.js';
import { type Arrays, compile, createPlan, type Plan, type RunOptions } from './plan.js';
import { record } from './recording.js';

/** Plans kept; an old one is given up for a new one. */
const MOST_PLANS = 4;

export interface PlanCache {
  /** Runs `forward` on the given numbers, recording it if these shapes are new. */
  run(
    inputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>>,
    options?: RunOptions & { readonly variant?: string; readonly wantsTap?: (name: string) => boolean },
  ): Promise<Record<string, Float32Array>>;
  /** Weights have changed: see Plan. */
  forget(): void;
  destroy(): void;
}

export function createPlanCache(
  gpu: Gpu,
  label: string,
  forward: (inputs: Record<string, Tensor>, variant: string) => Record<string, Tensor>,
  { steady }: { readonly steady?: readonly string[] } = {},
): PlanCache {
  const plans = new Map<string, Plan>();
  let { tuning } = gpu;
  const destroy = () => {
    for (const plan of plans.values()) plan.destroy();
    plans.clear();
  };

  return {
    async run(inputs, { variant = '', wantsTap, ...options } = {}) {
      if (tuning !== gpu.tuning) destroy();
      tuning = gpu.tuning;
      const entries = Object.entries(inputs);
      const shapes = Object.fromEntries(entries.map(([name, { shape }]) => [name, shape]));
      const arrays: Arrays = Object.fromEntries(entries.map(([name, { data }]) => [name, data]));
      const make = async () => {
        const recording = record(gpu, shapes, (tensors) => forward(tensors, variant), { wantsTap, steady });
        await compile(gpu, recording);
        return createPlan(gpu, recording, label);
      };
      if (wantsTap) {
        const plan = await make();
        try {
          return await plan.run(arrays, options);
        } finally {
          plan.destroy();
        }
      }
      const key = `${variant} ${JSON.stringify(shapes)}`;
      let plan = plans.get(key);
      if (!plan) {
        if (plans.size === MOST_PLANS) {
          const [oldest, old] = plans.entries().next().value!;
          old.destroy();
          plans.delete(oldest);
        }
        plan = await make();
      }
      plans.delete(key); // so that the order is that of the last use
      plans.set(key, plan);
      return plan.run(arrays, options);
    },
    forget() {
      for (const plan of plans.values()) plan.forget();
    },
    destroy,
  };
}
