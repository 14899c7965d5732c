/**
 * One row of the benchmark: something to run, and how much work that is. A case is prepared on a GPU and gives back
 * `run`, which does its work `repeat` times and waits for the GPU.
 *
 * @typedef {import('../../packages/core/dist/index.js').Gpu} Gpu
 * @typedef {object} Running
 * @property {(repeat: number) => Promise<unknown>} run
 * @property {number} [flop]  floating-point operations of one run
 * @property {number} [bytes]  bytes of one run: of every input and output once; of averages the ingredients'
 * @property {() => unknown} destroy
 * @typedef {object} Case
 * @property {string} name
 * @property {boolean} [isTierless]  is the same in both precision tiers
 * @property {boolean} [isWhole]  takes long enough by itself: never repeated within a sample
 * @property {boolean} [isSlow]  only with --full
 * @property {(gpu: Gpu) => Promise<Running>} prepare
 */

/**
 * The operations that a recording's products take, by the sizes that its kernels are told: a multiplication and an
 * addition for each weight and each output. Norms and element-wise kernels are not counted.
 * @param {import('../../packages/core/dist/gpu/recording.js').Recording} recording
 */
export function flopOf({ graph }) {
  let flop = 0;
  for (const node of graph.nodes) {
    const { params, variant = {}, workgroups } = node.dispatch(node);
    const width = variant.width ?? 4;
    if (node.kernel === 'matmul') {
      const batch = params.row_groups > 65535 ? 1 : (workgroups[2] ?? 1);
      flop += 2 * params.rows * params.columns * params.inner * width * batch;
    } else if (/^(matmul|conv2d)-(tensor|lanes)$/.test(node.kernel)) {
      // What is multiplied in two parts is one multiplication.
      flop += (2 * params.rows * params.columns * params.inner) / (variant.constants.IN_TWO ? 2 : 1);
    } else if (/^attention-tensor(-long)?$/.test(node.kernel)) {
      flop += 4 * params.queries * params.keys * params.heads * Number(variant.constants.HEAD) * (workgroups[2] ?? 1);
    } else if (['matmul-rows', 'conv2d-rows', 'few-rows'].includes(node.kernel)) {
      flop += 2 * params.rows * params.columns * params.inner * width;
    } else if (node.kernel === 'conv2d') {
      flop += 2 * params.rows * params.columns * params.channels * width * params.kernel ** 2;
    } else if (/^attention(-shared|-lanes)?$/.test(node.kernel)) {
      const channels = params.heads * Number(variant.constants.HEAD_VECS) * width;
      flop += 4 * params.queries * params.keys * channels * (workgroups[2] ?? 1); // scores, and their sum of values
    }
  }
  return flop;
}
