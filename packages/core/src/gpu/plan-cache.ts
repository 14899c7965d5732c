/** Plans by shape: the next picture of the same size replays the plan of the last. */
import type { Gpu } from './gpu.js';
import type { Tensor } from './graph.js';
import { compile, createPlan, type Input, type Inputs, type Plan, type RunOptions } from './plan.js';
import { footprint, record, type Shapes } from './recording.js';
import type { Slice } from './slice.js';

/** Plans kept; an old one is given up for a new one. */
const MOST_PLANS = 4;

/** Inputs by name, each with its shape. */
type Given = Readonly<Record<string, { readonly shape: readonly number[]; readonly data: Input }>>;

export interface PlanCache {
  /** Runs `forward` on the given numbers, recording it if these shapes are new. */
  run(
    inputs: Given,
    options?: RunOptions & { readonly variant?: string; readonly wantsTap?: (name: string) => boolean },
  ): Promise<Record<string, Float32Array>>;
  /** The same without waiting for it: see Plan. */
  submit(inputs: Given, options?: { readonly variant?: string }): Promise<Record<string, Slice>>;
  /** What such a plan takes, known before any memory is taken: see recording.ts. */
  footprint(shapes: Shapes, options?: { readonly variant?: string }): ReturnType<typeof footprint>;
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
  const footprints = new Map<string, ReturnType<typeof footprint>>();
  let { tuning } = gpu;
  const destroy = () => {
    for (const plan of plans.values()) plan.destroy();
    plans.clear();
    footprints.clear();
  };
  /** Gives up what was planned with another tuning. */
  const retune = () => {
    if (tuning !== gpu.tuning) destroy();
    tuning = gpu.tuning;
  };

  const shapesOf = (inputs: Given) =>
    Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
  const dataOf = (inputs: Given): Inputs =>
    Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data]));
  const keyOf = (shapes: Shapes, variant: string) => `${variant} ${JSON.stringify(shapes)}`;
  const recordingOf = (shapes: Shapes, variant: string, wantsTap?: (name: string) => boolean) =>
    record(gpu, shapes, (tensors) => forward(tensors, variant), { wantsTap, steady });
  const make = async (inputs: Given, variant: string, wantsTap?: (name: string) => boolean) => {
    const recording = recordingOf(shapesOf(inputs), variant, wantsTap);
    await compile(gpu, recording);
    return createPlan(gpu, recording, label);
  };

  /** The plan for these shapes, which is kept. */
  async function planFor(inputs: Given, variant: string): Promise<Plan> {
    retune();
    const key = keyOf(shapesOf(inputs), variant);
    let plan = plans.get(key);
    if (!plan) {
      if (plans.size === MOST_PLANS) {
        const [oldest, old] = plans.entries().next().value!;
        old.destroy();
        plans.delete(oldest);
      }
      plan = await make(inputs, variant);
    }
    plans.delete(key); // so that the order is that of the last use
    plans.set(key, plan);
    return plan;
  }

  return {
    async run(inputs, { variant = '', wantsTap, ...options } = {}) {
      if (!wantsTap) return (await planFor(inputs, variant)).run(dataOf(inputs), options);
      const plan = await make(inputs, variant, wantsTap);
      try {
        return await plan.run(dataOf(inputs), options);
      } finally {
        plan.destroy();
      }
    },
    async submit(inputs, { variant = '' } = {}) {
      return (await planFor(inputs, variant)).submit(dataOf(inputs));
    },
    footprint(shapes, { variant = '' } = {}) {
      retune();
      const key = keyOf(shapes, variant);
      const known = footprints.get(key) ?? footprint(recordingOf(shapes, variant));
      footprints.set(key, known);
      return known;
    },
    forget() {
      for (const plan of plans.values()) plan.forget();
    },
    destroy,
  };
}
