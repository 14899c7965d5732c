/** torch.randn of the CUDA generator: Philox4x32-10 of Salmon et al. 2011, and cuRAND's Box-Muller. */
import { f32 } from './float32.js';

const ROUNDS = 10;
const THREADS_PER_BLOCK = 256;
const UNROLL = 4;
/** Blocks that the GPU runs at once, as of an A100 (108 multiprocessors, 8 each). Only larger tensors depend on it. */
const MAX_BLOCKS = 864;

const TO_UNIT = f32(2 ** -32);
const TO_ANGLE = f32(2 ** -32 * 2 * Math.PI);

/** Each call draws `length` more values from the generator. */
export function cudaNoise(seed: bigint): (length: number) => Float32Array {
  const key = [Number(BigInt.asUintN(32, seed)), Number(BigInt.asUintN(32, seed >> 32n))] as const;
  let drawn = 0; // blocks of 4 that each thread has used up
  return (length) => {
    const threads = THREADS_PER_BLOCK * Math.min(Math.ceil(length / THREADS_PER_BLOCK), MAX_BLOCKS);
    const values = new Float32Array(length);
    for (let begin = 0; begin < length; begin += threads * UNROLL, drawn++) {
      // Thread t's four values go to t, t + threads, t + 2 threads and t + 3 threads.
      for (let thread = 0; thread < threads && begin + thread < length; thread++) {
        const normal = normal4(philox([drawn, 0, thread, 0], key));
        for (let k = 0; k < UNROLL; k++) {
          const i = begin + thread + k * threads;
          if (i < length) values[i] = normal[k];
        }
      }
    }
    return values;
  };
}

type Four = readonly [number, number, number, number];

function philox(counter: Four, key: readonly [number, number]): Four {
  let [a, b, c, d] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = multiply(0xd2511f53, a);
    const [high1, low1] = multiply(0xcd9e8d57, c);
    [a, b, c, d] = [(high1 ^ b ^ k0) >>> 0, low1, (high0 ^ d ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** The two halves of a 64-bit product of 32-bit numbers. */
function multiply(a: number, b: number): [high: number, low: number] {
  const low = a * (b & 0xffff);
  const carried = a * (b >>> 16) + Math.floor(low / 2 ** 16);
  return [Math.floor(carried / 2 ** 16), Math.imul(a, b) >>> 0];
}

function normal4([a, b, c, d]: Four): Four {
  return [...boxMuller(a, b), ...boxMuller(c, d)];
}

/** Half a unit more than nothing, so that the logarithm is finite. */
function boxMuller(x: number, y: number): [number, number] {
  const u = f32(f32(f32(x) * TO_UNIT) + f32(TO_UNIT / 2));
  const v = f32(f32(f32(y) * TO_ANGLE) + f32(TO_ANGLE / 2));
  const radius = f32(Math.sqrt(f32(-2 * f32(Math.log(u)))));
  return [f32(radius * f32(Math.sin(v))), f32(radius * f32(Math.cos(v)))];
}
