/** torch.randn of the CPU generator: Box and Muller 1958 over mt19937, in the two ways that torch does it. */
import { logF32, sincosF32 } from './cephes.js';
import { f32 } from './float32.js';
import { mt19937 } from './mt19937.js';

const BLOCK = 16;
const TWO_PI_F32 = f32(2 * Math.PI);

/** Each call draws `length` more values from the generator. */
export function cpuNoise(seed: bigint): (length: number) => Float32Array {
  const random = mt19937(Number(BigInt.asUintN(32, seed)));
  const uniform24 = () => (random() & 0xffffff) / 2 ** 24;
  const uniform53 = () => {
    const high = random();
    return ((high & 0x1fffff) * 2 ** 32 + random()) / 2 ** 53;
  };

  // Fewer than 16: one after the other in double. Every second value is kept for the next, even from call to call.
  let kept: number | undefined;
  const normal = () => {
    if (kept !== undefined) {
      const value = kept;
      kept = undefined;
      return value;
    }
    const angle = 2 * Math.PI * uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53()));
    kept = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };

  return (length) => {
    if (length < BLOCK) return Float32Array.from({ length }, normal);
    const values = Float32Array.from({ length }, uniform24);
    const whole = length - (length % BLOCK);
    for (let i = 0; i < whole; i += BLOCK) boxMuller(values.subarray(i, i + BLOCK));
    // The last 16 are drawn anew if they do not end on a block.
    if (whole < length) boxMuller(values.subarray(length - BLOCK).map(uniform24), values.subarray(length - BLOCK));
    return values;
  };
}

/** 16 uniform values to normal ones: the first 8 give the radii, the others the angles. */
function boxMuller(uniform: Float32Array, normal = uniform): void {
  for (let j = 0; j < BLOCK / 2; j++) {
    const radius = f32(Math.sqrt(f32(-2 * logF32(f32(1 - uniform[j])))));
    const [sin, cos] = sincosF32(f32(TWO_PI_F32 * uniform[j + BLOCK / 2]));
    normal[j] = radius * cos;
    normal[j + BLOCK / 2] = radius * sin;
  }
}
