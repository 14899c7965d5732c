/**
 * Other weights for four UNets of Stable Diffusion 2.1's size that lie on the device: where the time goes, on the host and on
 * the GPU, and by which kernel.
 */
import { createClock } from '../../packages/core/dist/gpu/clock.js';
import { blendOf, parseUNetConfig } from '../../packages/core/dist/index.js';
import { unet } from '../../packages/core/dist/model/unet.js';
import { TILES, TILES_OF_TAPS } from '../../packages/core/dist/soup/bounded-kernel.js';
import { proven } from '../../packages/core/dist/soup/halves.js';
import { createParameters } from '../../packages/core/dist/soup/parameters.js';
import { median } from './report.mjs';
import { namesOf, UNET_CONFIG } from './sd21.mjs';
import { warm } from './warm.mjs';

const INGREDIENTS = 4;

/** How halves become integers (soup/halves.ts), and shapes of tiles (soup/bounded-kernel.ts). */
const VARIANTS = [
  { name: '' },
  { name: 'integers', forms: [] },
  { name: 'floats in two parts', forms: [2] },
  // Threads, rows and depth, with one tap; with several.
  ...[
    [64, 32, 1, 64, 8, 1],
    [32, 8, 1, 144, 8, 1],
    [64, 32, 2, 64, 16, 3],
    [64, 32, 4, 64, 16, 9],
    [64, 64, 2, 64, 8, 3],
    [64, 8, 1, 64, 8, 2],
    [128, 32, 2, 96, 16, 2],
    [128, 64, 2, 192, 16, 3],
    [256, 64, 2, 192, 16, 1],
    [256, 128, 4, 288, 16, 2],
  ].map(([workgroup, rows, depth, workgroup9, rows9, depth9]) => ({
    name: `${workgroup} threads, ${rows} rows, depth ${depth}; ${workgroup9}, ${rows9}, ${depth9}`,
    tiles: { workgroup, rows, depth },
    tilesOfTaps: { workgroup: workgroup9, rows: rows9, depth: depth9 },
  })),
];

/**
 * @param {any} gpu
 * @param {{ runs: number, all: boolean, weights: (tensors: any, seed: number) => Promise<any> }} options
 */
export async function reblendUnets(gpu, { runs, all, weights }) {
  const config = parseUNetConfig({ ...UNET_CONFIG, sample_size: 64 });
  const build = (/** @type {any} */ w) => unet(w, config);
  const tensors = namesOf(build);
  const ingredients = await Promise.all(Array.from({ length: INGREDIENTS }, (_, i) => weights(tensors, i + 1)));
  const usual = [{ ...TILES }, { ...TILES_OF_TAPS }];
  for (const { name, forms, tiles, tilesOfTaps } of all ? VARIANTS : VARIANTS.slice(0, 1)) {
    const watched = watch(gpu);
    if (forms) proven.set(watched.gpu.device, Promise.resolve(forms));
    Object.assign(TILES, tiles);
    Object.assign(TILES_OF_TAPS, tilesOfTaps);
    const parameters = createParameters(watched.gpu, blendOf(ingredients));
    build(parameters.scope);
    await parameters.load(blendOf(ingredients), { residents: true });
    let turn = 0;
    const once = async () => {
      const begun = performance.now();
      await parameters.load(blendOf(ingredients, [1, 2, 3 + (turn++ % 7), 4]));
      return watched.phases(begun, performance.now());
    };
    await warm(once);
    const times = [];
    for (let i = 0; i < runs; i++) times.push(await once());
    watched.mode = 'stamped';
    const stamped = [];
    for (let i = 0; i < runs; i++) {
      await once();
      stamped.push(await watched.gpuMs());
    }
    watched.mode = 'apart';
    for (let i = 0; i < 3; i++) await once();
    const kernels = await watched.kernels();
    const row = Object.fromEntries(Object.keys(times[0]).map((key) => [key, median(times.map((one) => one[key]))]));
    const moved = parameters.bytes * (INGREDIENTS + 1);
    console.log(
      JSON.stringify({
        name: `re-blend of ${INGREDIENTS} UNets, resident${name ? `: ${name}` : ''}`,
        ...row,
        fastestMs: Math.min(...times.map(({ ms }) => ms)),
        gpuMs: median(stamped),
        fastestGpuMs: Math.min(...stamped),
        gbPerSecond: moved / median(stamped) / 1e6,
        dispatches: watched.dispatches,
        kernels,
      }),
    );
    parameters.destroy();
    Object.assign(TILES, usual[0]);
    Object.assign(TILES_OF_TAPS, usual[1]);
  }
}

/** A GPU that notes when work is submitted and waited for, and can have the GPU's clock read around it. */
function watch(/** @type {any} */ gpu) {
  /** @type {{ submits: [number, number][], waitedFrom: number }} */
  let seen = { submits: [], waitedFrom: 0 };
  /** @type {any} */
  let clock;
  /** @type {any} */
  let read;
  /** Of commands whose kernels are in passes of their own: the last ones wait to be submitted the next time. */
  const apart = /** @type {{ clock: any, names: string[] }[]} */ ([]);
  const watched = {
    mode: 'plain',
    dispatches: 0,
    phases(/** @type {number} */ begun, /** @type {number} */ ended) {
      const { submits, waitedFrom } = seen;
      seen = { submits: [], waitedFrom: 0 };
      const last = submits.at(-1)?.[1] ?? begun;
      return {
        ms: ended - begun,
        beforeMs: (submits[0]?.[0] ?? begun) - begun,
        submitMs: last - (submits[0]?.[0] ?? begun),
        encodeNextMs: waitedFrom - last,
        waitMs: ended - waitedFrom,
      };
    },
    async gpuMs() {
      const [first, last] = await read;
      clock.destroy();
      clock = undefined;
      return last.endMs - first.beginMs;
    },
    async kernels() {
      const { clock, names } = apart.at(-2);
      const times = await clock.read(gpu.device.createCommandEncoder(), 'profiling');
      const sums = new Map();
      for (const [i, name] of names.entries()) {
        const one = sums.get(name) ?? { count: 0, ms: 0 };
        sums.set(name, { count: one.count + 1, ms: one.ms + times[i].endMs - times[i].beginMs });
      }
      return Object.fromEntries(sums);
    },
    gpu: /** @type {any} */ (undefined),
  };
  const stamp = (/** @type {number} */ i) => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.beginComputePass({ timestampWrites: clock.around(i) }).end();
    return encoder;
  };
  const queue = proxied(gpu.device.queue, {
    submit(/** @type {any[]} */ commands) {
      const begun = performance.now();
      if (watched.mode === 'stamped' && !clock) {
        clock = createClock(gpu, 2);
        gpu.device.queue.submit([stamp(0).finish(), ...commands]);
      } else gpu.device.queue.submit(commands);
      seen.submits.push([begun, performance.now()]);
    },
    onSubmittedWorkDone() {
      seen.waitedFrom = performance.now();
      if (clock && watched.mode === 'stamped') read = clock.read(stamp(1), 'timing');
      return gpu.device.queue.onSubmittedWorkDone();
    },
  });
  const device = proxied(gpu.device, {
    queue,
    createCommandEncoder(/** @type {any} */ descriptor) {
      const encoder = gpu.device.createCommandEncoder(descriptor);
      return proxied(encoder, {
        beginComputePass(/** @type {any} */ of) {
          if (watched.mode === 'apart') return passes(encoder);
          watched.dispatches = 0;
          const pass = encoder.beginComputePass(of);
          return proxied(pass, {
            dispatchWorkgroups(/** @type {number[]} */ ...groups) {
              watched.dispatches++;
              pass.dispatchWorkgroups(...groups);
            },
          });
        },
      });
    },
  });
  /** Each dispatch in a pass of its own. */
  function passes(/** @type {any} */ encoder) {
    const names = /** @type {string[]} */ ([]);
    const clock = createClock(gpu, 1000);
    apart.push({ clock, names });
    let [pipeline, group] = /** @type {any[]} */ ([]);
    return {
      setPipeline(/** @type {any} */ one) {
        pipeline = one;
      },
      setBindGroup(/** @type {number} */ _, /** @type {any} */ one) {
        group = one;
      },
      dispatchWorkgroups(/** @type {number[]} */ ...groups) {
        const pass = encoder.beginComputePass({ timestampWrites: clock.around(names.length) });
        names.push(pipeline.label);
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(...groups);
        pass.end();
      },
      end() {},
    };
  }
  watched.gpu = Object.assign(Object.create(gpu), { device, pipelines: new Map() });
  return watched;
}

/** `target` with some of its members replaced. */
function proxied(/** @type {any} */ target, /** @type {Record<string, any>} */ members) {
  const bound = new Map();
  return new Proxy(target, {
    get(_, name) {
      if (typeof name === 'string' && Object.hasOwn(members, name)) return members[name];
      const value = target[name];
      if (typeof value !== 'function') return value;
      if (!bound.has(name)) bound.set(name, value.bind(target));
      return bound.get(name);
    },
  });
}
