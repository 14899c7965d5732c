/**
 * What ours and the peers are asked to do: single ops at the sizes of SD 1.x at 512 px, f32, on the same numbers.
 *
 * @typedef {object} Work
 * @property {string} name
 * @property {'matmul' | 'conv2d' | 'attention' | 'groupNormSilu'} op
 * @property {number} flop  of one run; 0 where bytes are what counts
 * @property {number} bytes  read and written by one run
 * @property {Readonly<Record<string, Operand>>} operands
 * @property {readonly number[]} output  shape, channels last
 * @property {number} [tolerance]  of relative L2 between arms, where a peer is less exact than the others
 * @property {number} [heads]
 * @property {number} [groups]
 *
 * @typedef {object} Operand
 * @property {readonly number[]} shape
 * @property {Float32Array<ArrayBuffer>} data
 *
 * One that can do a work, on the device that all share. `run` does it `repeat` times and waits for the GPU.
 * @typedef {object} Arm
 * @property {(repeat: number) => Promise<unknown>} run
 * @property {() => Promise<Float32Array>} result  of one run, in the order of `output`
 * @property {() => unknown} destroy
 */

/** In [-1, 1), times `scale`. */
function numbers(/** @type {readonly number[]} */ shape, seed = 1, scale = 1) {
  let state = seed;
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * scale;
  });
  return { shape, data };
}

const count = (/** @type {readonly number[]} */ shape) => shape.reduce((a, b) => a * b, 1);

/** @param {Omit<Work, 'bytes'>} work @returns {Work} */
const withBytes = (work) => ({
  ...work,
  bytes: 4 * (count(work.output) + Object.values(work.operands).reduce((sum, { data }) => sum + data.length, 0)),
});

/** @returns {Work} */
function matmul(/** @type {number} */ rows, /** @type {number} */ inner, /** @type {number} */ columns) {
  return withBytes({
    name: `matmul ${rows}x${inner}x${columns}`,
    op: 'matmul',
    flop: 2 * rows * inner * columns,
    operands: {
      x: numbers([1, rows, inner], 1),
      w: numbers([columns, inner], 2, 0.1), // as a linear layer has it: (out, in)
      bias: numbers([columns], 3),
    },
    output: [1, rows, columns],
  });
}

/** @returns {Work} */
function conv3x3(/** @type {number} */ side, /** @type {number} */ channels) {
  return withBytes({
    name: `conv3x3 ${channels} -> ${channels} at ${side}x${side}`,
    op: 'conv2d',
    flop: 2 * side * side * channels * channels * 9,
    operands: {
      x: numbers([1, side, side, channels], 1),
      w: numbers([channels, channels, 3, 3], 2, 0.1), // (out, in, kernel, kernel)
      bias: numbers([channels], 3),
    },
    output: [1, side, side, channels],
  });
}

/** @returns {Work} */
function attention(/** @type {number} */ tokens, /** @type {number} */ heads, /** @type {number} */ width) {
  const shape = [1, tokens, heads * width];
  return withBytes({
    name: `attention ${tokens} tokens, ${heads} x ${width}`,
    op: 'attention',
    flop: 4 * tokens * tokens * heads * width,
    operands: { q: numbers(shape, 1, 2), k: numbers(shape, 2, 2), v: numbers(shape, 3) },
    output: shape,
    heads,
    // Against float64 ours is off by 1.5e-6 here, and ONNX Runtime Web 1.30 by 5e-3.
    tolerance: 2e-2,
  });
}

/** @returns {Work} */
function groupNormSilu(/** @type {number} */ side, /** @type {number} */ channels, /** @type {number} */ groups) {
  return withBytes({
    name: `GroupNorm${groups} + SiLU ${channels} at ${side}x${side}`,
    op: 'groupNormSilu',
    flop: 0,
    operands: {
      x: numbers([1, side, side, channels], 1),
      gamma: numbers([channels], 2),
      beta: numbers([channels], 3),
    },
    output: [1, side, side, channels],
    groups,
  });
}

export const EPSILON = 1e-5;

export const works = [matmul(4096, 320, 320), conv3x3(64, 320), attention(4096, 8, 40), groupNormSilu(64, 320, 32)];
