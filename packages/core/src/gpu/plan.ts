/**
 * Running a recorded computation. A plan knows when each activation is read last, so that buffers are reused as
 * soon as possible; bind groups, pipelines and parameters are made once and replayed on every run.
 */
import { DeviceError, IncompatibleError } from '../errors.js';
import { assignActivations } from './activations.js';
import { createClock, type KernelTime } from './clock.js';
import { MapMode, Usage } from './flags.js';
import { type Gpu, kindOf } from './gpu.js';
import { type Dispatch, elementCount, type Node, type StorageType, show, type Tensor, writtenBy } from './graph.js';
import { bindingsOf, getPipeline, packParams, preparePipelines, type Variant } from './kernel.js';
import { ALIGNMENT, bytesOf, type Recording, type Shapes, steadyResults, storageBytes } from './recording.js';
import { createRest } from './rest.js';
import { copySlices, type Slice } from './slice.js';

/** Numbers from the host, or slices on the device, one after the other. */
export type Input = Float32Array<ArrayBufferLike> | readonly Slice[];
export type Inputs = Readonly<Record<string, Input>>;

export interface RunOptions {
  /**
   * Is shown the outputs on the device, by name, once all has been submitted and before it is waited for. What it submits
   * finds them complete; they are the plan's, and overwritten by its next run.
   */
  readonly onSubmitted?: (outputs: Readonly<Record<string, GPUBuffer>>) => void;
}

export interface Plan {
  /** Shapes of what comes out, taps included, by name. */
  readonly outputs: Shapes;
  /** Runs everything once: numbers in, numbers out, all f32 in row-major order. */
  run(inputs: Inputs, options?: RunOptions): Promise<Record<string, Float32Array>>;
  /**
   * The same without waiting for it: once all has been submitted, the outputs on the device. What is submitted next finds
   * them complete; they are the plan's, and overwritten by its next run.
   */
  submit(inputs: Inputs): Promise<Record<string, Slice>>;
  /** Runs everything once, each kernel in a pass of its own, and says when the GPU began and ended it. */
  profile(inputs: Inputs): Promise<readonly KernelTime[]>;
  /** Weights have changed: nothing that was computed from them before holds any more. */
  forget(): void;
  /** Gives back the plan's own buffers; shared activation buffers stay for the next plan. */
  destroy(): void;
}

const { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } = Usage;
/** Where one dispatch's parameters may start: the largest minUniformBufferOffsetAlignment there is. */
const PARAMS_PITCH = 256;
/** Dispatches that are submitted first: the GPU begins with them while the driver takes the others. */
const HEAD = 100;
/** What of a kernel a node wants. */
function variantOf(gpu: Gpu, node: Node, { variant, params, fixed = [] }: Dispatch): Variant {
  const types = typesOf(node);
  const names = kindOf(gpu) === 'processor' ? [] : fixed === 'all' ? Object.keys(params) : fixed;
  return {
    ...variant,
    types,
    bound: Object.keys(types),
    fixed: Object.fromEntries(names.map((name) => [name, params[name]!])),
  };
}

/** Compiles what a recording needs; a plan can be made without, but compiles one after the other. */
export const compile = (gpu: Gpu, { graph }: Recording): Promise<void> =>
  preparePipelines(
    gpu,
    graph.nodes.map((node) => ({ name: node.kernel, variant: variantOf(gpu, node, node.dispatch(node)) })),
  );

/** Makes a recording runnable: buffers, parameters, pipelines, bind groups. */
export function createPlan(gpu: Gpu, recording: Recording, label: string): Plan {
  const { graph, inputs, outputs, steady } = recording;
  const own: GPUBuffer[] = [];
  const makeOwn = (size: number, usage: number, what: string): GPUBuffer => {
    const buffer = gpu.createBuffer(size, usage, `${label} ${what}`);
    own.push(buffer);
    return buffer;
  };

  try {
    for (const [name, x] of Object.entries(inputs)) {
      x.storage.buffer = makeOwn(bytesOf(x.storage), STORAGE | COPY_DST, `input ${name}`);
    }
    const results = Object.entries(outputs);
    for (const [name, x] of results) {
      x.storage.buffer ??= makeOwn(bytesOf(x.storage), STORAGE | COPY_SRC, `output ${name}`);
    }
    for (const storage of steadyResults(recording)) {
      storage.buffer ??= makeOwn(bytesOf(storage), STORAGE, `${storage.label}, kept`);
    }
    assignActivations(gpu, recording, label);

    const params = makeOwn(Math.max(1, graph.nodes.length) * PARAMS_PITCH, UNIFORM | COPY_DST, 'parameters');
    const packed = new ArrayBuffer(params.size);
    const steps = graph.nodes.map((node, i) => {
      const wanted = node.dispatch(node);
      const tensors = tensorsOf(node);
      const { params: values, workgroups } = wanted;
      const variant = variantOf(gpu, node, wanted);
      const { pipeline, layout, source, name } = getPipeline(gpu, node.kernel, variant);
      packParams(source, values, new DataView(packed, i * PARAMS_PITCH, PARAMS_PITCH));
      const entries = bindingsOf(source, variant).map(({ name: role, type, binding }): GPUBindGroupEntry => {
        if (type === 'uniform') {
          return { binding, resource: { buffer: params, offset: i * PARAMS_PITCH, size: PARAMS_PITCH } };
        }
        return { binding, resource: bindingOf(gpu, tensors[role]!, `${label} ${name}.${role}`) };
      });
      const bindGroup = gpu.device.createBindGroup({ label: name, layout, entries });
      return { name, shape: node.output.shape, product: node.product, pipeline, bindGroup, workgroups };
    });
    const dispatch = (pass: GPUComputePassEncoder, { pipeline, bindGroup, workgroups }: (typeof steps)[number]) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...workgroups);
    };
    /** Each kernel in a pass of its own; what comes back submits it all, and gives the times. */
    const runTimed = (encoder: GPUCommandEncoder) => {
      const clock = createClock(gpu, steps.length);
      for (const [i, step] of steps.entries()) {
        const pass = encoder.beginComputePass({ label: step.name, timestampWrites: clock.around(i) });
        dispatch(pass, step);
        pass.end();
      }
      return async (): Promise<KernelTime[]> => {
        try {
          const times = await clock.read(encoder, `profiling ${label}`);
          return steps.map(({ name, shape, product }, i) => ({ kernel: name, shape, product, ...times[i]! }));
        } finally {
          clock.destroy();
        }
      };
    };
    gpu.device.queue.writeBuffer(params, 0, packed);

    const offsets = offsetsOf(results);
    const readback = makeOwn(Math.max(ALIGNMENT, offsets.total), MAP_READ | COPY_DST, 'readback');
    const copyResults = (encoder: GPUCommandEncoder) => {
      for (const [name, x] of results) {
        encoder.copyBufferToBuffer(x.storage.buffer!, 0, readback, offsets.at.get(name)!, bytesOf(x.storage));
      }
    };
    const encode = (some: typeof steps): GPUCommandBuffer => {
      const encoder = gpu.device.createCommandEncoder({ label });
      const pass = encoder.beginComputePass({ label });
      for (const step of some) dispatch(pass, step);
      pass.end();
      return encoder.finish();
    };
    const partsFrom = (first: number) => [steps.slice(first, first + HEAD), steps.slice(first + HEAD)];
    /** The commands of the next run, encoded while the GPU works on this one: they are the same for any input. */
    let next: GPUCommandBuffer[] | undefined;
    /** What `next` takes as computed is of these: the inputs that were given, and what was in them then. */
    let held: Readonly<Record<string, { given: Input; numbers: Input }>> = {};
    const isHeld = (given: Inputs) => steady.inputs.every((name) => isSame(held[name]?.numbers, given[name]));
    const seemsHeld = (given: Inputs) =>
      steady.inputs.every((name) => held[name]?.given === given[name]) || isHeld(given);
    const rest = createRest(gpu);
    const submit = (commands: readonly GPUCommandBuffer[]) => {
      for (const part of commands) gpu.device.queue.submit([part]);
    };
    const write = (names: readonly string[], given: Inputs) => {
      for (const name of names) writeInput(gpu, inputs[name]!, given[name], `${label} ${name}`);
    };
    const all = Object.keys(inputs);
    const changing = all.filter((name) => !steady.inputs.includes(name));
    /** `ready`: the commands of everything that does not depend on steady inputs alone, if there are. */
    const submitAll = (given: Inputs, ready?: readonly GPUCommandBuffer[]) => {
      write(steady.inputs, given);
      held = Object.fromEntries(
        steady.inputs.map((name) => [name, { given: given[name]!, numbers: given[name]!.slice() }]),
      );
      // The GPU begins while the others are encoded.
      for (const part of ready ? [steps.slice(0, steady.nodes)] : partsFrom(0)) submit([encode(part)]);
      if (ready) submit(ready);
    };
    /** Submits a run; what comes back encodes the commands of the next, for which there is time while the GPU works. */
    const begin = async (given: Inputs): Promise<() => void> => {
      write(changing, given);
      if (gpu.onKernels) {
        write(steady.inputs, given);
        next = undefined;
        gpu.onKernels(label, await runTimed(gpu.device.createCommandEncoder({ label }))());
        return () => {};
      }
      const ready = next;
      next = undefined;
      if (!ready || !seemsHeld(given)) {
        submitAll(given, ready);
      } else {
        submit(ready);
        // Somebody may have written to an array that was given before: looked for while the GPU has begun.
        if (!isHeld(given)) submitAll(given);
        else for (const name of steady.inputs) held[name]!.given = given[name]!; // known by itself the next time
      }
      return () => {
        next = partsFrom(steady.nodes).map(encode);
      };
    };
    return {
      outputs: Object.fromEntries(results.map(([name, x]) => [name, x.shape])),
      async run(given, { onSubmitted } = {}) {
        const begun = Date.now();
        const prepare = await begin(given);
        const encoder = gpu.device.createCommandEncoder({ label });
        copyResults(encoder);
        submit([encoder.finish()]);
        onSubmitted?.(Object.fromEntries(results.map(([name, x]) => [name, x.storage.buffer!])));
        const read = () => gpu.settled(readback.mapAsync(MapMode.READ), `running ${label}`);
        const resting = rest.most(begun);
        const reading = resting ? undefined : read();
        prepare();
        await resting;
        await (reading ?? read());
        rest.took(Date.now() - begun);
        const mapped = readback.getMappedRange();
        const values = Object.fromEntries(
          results.map(([name, x]) => [
            name,
            new Float32Array(mapped, offsets.at.get(name)!, elementCount(x.shape)).slice(),
          ]),
        );
        readback.unmap();
        return values;
      },
      async submit(given) {
        (await begin(given))();
        return Object.fromEntries(
          results.map(([name, x]) => [name, { buffer: x.storage.buffer!, first: 0, count: elementCount(x.shape) }]),
        );
      },
      async profile(given) {
        next = undefined;
        write(all, given);
        return runTimed(gpu.device.createCommandEncoder({ label }))();
      },
      forget() {
        next = undefined;
      },
      destroy() {
        for (const buffer of own) gpu.destroyBuffer(buffer);
      },
    };
  } catch (error) {
    for (const buffer of own) gpu.destroyBuffer(buffer);
    throw error;
  }
}

/** Whether arrays hold the same numbers; of what lies on the device nobody knows. */
function isSame(a: Input | undefined, b: Input | undefined): boolean {
  if (!(a instanceof Float32Array && b instanceof Float32Array) || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The tensor at each binding. */
const tensorsOf = (node: Node): Readonly<Record<string, Tensor | undefined>> => ({
  ...node.inputs,
  ...writtenBy(node),
});

/** What it is stored as. */
function typesOf(node: Node): Record<string, StorageType> {
  const tensors = Object.entries(tensorsOf(node));
  return Object.fromEntries(tensors.flatMap(([name, x]) => (x ? [[name, x.storage.type]] : [])));
}

function offsetsOf(results: [string, Tensor][]): { at: Map<string, number>; total: number } {
  const at = new Map<string, number>();
  let total = 0;
  for (const [name, x] of results) {
    at.set(name, total);
    total += bytesOf(x.storage);
  }
  return { at, total };
}

function writeInput(gpu: Gpu, x: Tensor, input: Input | undefined, what: string): void {
  const wanted = elementCount(x.shape);
  const isHost = input instanceof Float32Array;
  const found = isHost ? input.length : input?.reduce((sum, { count }) => sum + count, 0);
  if (found !== wanted) {
    throw new IncompatibleError(`${what} has ${found ?? 'no'} numbers; ${show(x.shape)} needs ${wanted}`);
  }
  if (isHost) {
    gpu.device.queue.writeBuffer(x.storage.buffer!, 0, input as Float32Array<ArrayBuffer>);
  } else {
    const encoder = gpu.device.createCommandEncoder({ label: what });
    copySlices(encoder, input!, x.storage.buffer!);
    gpu.device.queue.submit([encoder.finish()]);
  }
}

function bindingOf(gpu: Gpu, x: Tensor, what: string): GPUBufferBinding {
  const { type, buffer, offset = 0 } = x.storage;
  const size = x.first === undefined ? bytesOf(x.storage) : storageBytes(type, elementCount(x.shape));
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  if (size > limit) {
    throw new DeviceError(
      `${what} is ${show(x.shape)}, ${size} bytes; this device binds at most ${limit}. Make a smaller picture.`,
      { failure: 'limit', label: what, size, limit },
    );
  }
  return { buffer: buffer!, offset: offset + storageBytes(type, x.first ?? 0), size };
}
