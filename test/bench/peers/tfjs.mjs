/** TensorFlow.js on its WebGPU back end (kernels written by hand, f32), on our device. */
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';

export async function openTfjs(/** @type {GPUDevice} */ device, /** @type {GPUAdapterInfo} */ info) {
  // Kernels are registered by this name.
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, info));
  await tf.setBackend('webgpu');
  await tf.ready();
  const backend = /** @type {WebGPUBackend} */ (tf.backend());

  /** Undefined for what it has no kernel for. @param {import('./work.mjs').Work} work */
  return (work) => {
    if (work.op !== 'matmul' && work.op !== 'conv2d') return undefined;
    const { x, w, bias } = work.operands;
    const input = tf.tensor(x.data, work.op === 'matmul' ? x.shape.slice(1) : x.shape);
    const offset = tf.tensor(bias.data, bias.shape);
    const call =
      work.op === 'matmul'
        ? () => {
            const weights = tf.tensor(w.data, w.shape);
            return () => tf.add(tf.matMul(input, weights, false, true), offset);
          }
        : () => {
            const weights = tf.transpose(tf.tensor(w.data, w.shape), [2, 3, 1, 0]); // its own order
            return () => tf.add(tf.conv2d(input, weights, 1, 'same', 'NHWC'), offset);
          };
    const once = call();
    return {
      async run(/** @type {number} */ repeat) {
        for (let i = 0; i < repeat; i++) once().dispose();
        backend.endComputePassEncoder();
        if (backend.commandEncoder) backend.submitQueue(); // a full one was submitted already
        await device.queue.onSubmittedWorkDone();
      },
      result: async () => /** @type {Float32Array} */ (await once().data()),
      destroy() {},
    };
  };
}
