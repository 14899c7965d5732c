/** ONNX Runtime Web on its WebGPU execution provider, on our device and buffers. */
import * as ort from 'onnxruntime-web/webgpu';
import { float, int, ints, onnxModel } from './onnx.mjs';
import { EPSILON } from './work.mjs';

/** What it expects of a browser. */
function shim() {
  // Its heap is shared between threads, and Dawn in Node takes no view of shared memory.
  const proto = GPUQueue.prototype;
  const { writeBuffer } = proto;
  proto.writeBuffer = function (buffer, at, data, ...rest) {
    const bytes = ArrayBuffer.isView(data) ? data.buffer : data;
    if (!(bytes instanceof SharedArrayBuffer)) return writeBuffer.call(this, buffer, at, data, ...rest);
    const copy = ArrayBuffer.isView(data) ? data.slice() : new Uint8Array(data).slice().buffer;
    return writeBuffer.call(this, buffer, at, copy, ...rest);
  };
}

/** @param {import('./work.mjs').Work} work */
function modelOf({ op, operands, output, heads, groups }) {
  const { x, w, bias } = operands;
  if (op === 'matmul') {
    const [columns, inner] = w.shape;
    const turned = new Float32Array(w.data.length);
    for (let n = 0; n < columns; n++) for (let k = 0; k < inner; k++) turned[k * columns + n] = w.data[n * inner + k];
    return onnxModel({
      nodes: [
        { opType: 'MatMul', input: ['x', 'w'], output: ['product'] },
        { opType: 'Add', input: ['product', 'bias'], output: ['y'] },
      ],
      inputs: { x: x.shape },
      constants: { w: { shape: [inner, columns], data: turned }, bias },
      output,
    });
  }
  if (op === 'conv2d') {
    const attribute = [ints('kernel_shape', [3, 3]), ints('pads', [1, 1, 1, 1])];
    const nchw = [0, 3, 1, 2].map((i) => x.shape[i]);
    return onnxModel({
      nodes: [{ opType: 'Conv', input: ['x', 'w', 'bias'], output: ['y'], attribute }],
      inputs: { x: nchw },
      constants: { w, bias },
      output: nchw,
    });
  }
  if (op === 'attention') {
    const attribute = [int('num_heads', heads)];
    return onnxModel({
      nodes: [
        { domain: 'com.microsoft', opType: 'MultiHeadAttention', input: ['q', 'k', 'v'], output: ['y'], attribute },
      ],
      inputs: Object.fromEntries(Object.entries(operands).map(([name, { shape }]) => [name, shape])),
      output,
    });
  }
  return groupNormSilu(operands, groups);
}

/** It has no op of that name: as PyTorch exports it, over (N, groups, channels / groups * H * W). */
function groupNormSilu({ x, gamma, beta }, groups) {
  const [n, h, w, c] = x.shape;
  const nchw = [n, c, h, w];
  const perChannel = ({ data }) => ({ shape: [c, 1, 1], data });
  const norm = { attribute: [float('epsilon', EPSILON)], opType: 'InstanceNormalization' };
  return onnxModel({
    nodes: [
      { opType: 'Reshape', input: ['x', 'grouped'], output: ['g'] },
      { ...norm, input: ['g', 'one', 'zero'], output: ['normed'] },
      { opType: 'Reshape', input: ['normed', 'whole'], output: ['u'] },
      { opType: 'Mul', input: ['u', 'gamma'], output: ['scaled'] },
      { opType: 'Add', input: ['scaled', 'beta'], output: ['v'] },
      { opType: 'Sigmoid', input: ['v'], output: ['gate'] },
      { opType: 'Mul', input: ['v', 'gate'], output: ['y'] },
    ],
    inputs: { x: nchw },
    constants: {
      gamma: perChannel(gamma),
      beta: perChannel(beta),
      one: { shape: [groups], data: new Float32Array(groups).fill(1) },
      zero: { shape: [groups], data: new Float32Array(groups) },
      grouped: { shape: [3], data: BigInt64Array.from([0n, BigInt(groups), -1n]) },
      whole: { shape: [4], data: BigInt64Array.from(nchw, BigInt) },
    },
    output: nchw,
  });
}

/** (N, H, W, C) to (N, C, H, W), which is what its Conv takes. */
function channelsFirst({ shape: [n, h, w, c], data }) {
  const y = new Float32Array(data.length);
  for (let i = 0; i < n * h * w; i++) for (let k = 0; k < c; k++) y[k * h * w + i] = data[i * c + k];
  return { shape: [n, c, h, w], data: y };
}

function channelsLast([n, c, h, w], data) {
  const y = new Float32Array(data.length);
  for (let i = 0; i < n * h * w; i++) for (let k = 0; k < c; k++) y[i * c + k] = data[k * h * w + i];
  return y;
}

export async function openOrt(/** @type {GPUDevice} */ device) {
  shim();
  ort.env.logLevel = 'error';
  /** @param {import('./work.mjs').Work} work */
  return async (work) => {
    const session = await ort.InferenceSession.create(modelOf(work), {
      executionProviders: [{ name: 'webgpu', device }],
      preferredOutputLocation: 'gpu-buffer',
      logSeverityLevel: 3,
    });
    const isImage = work.op === 'conv2d' || work.op === 'groupNormSilu';
    const feeds = {};
    const buffers = [];
    for (const name of session.inputNames) {
      const { shape, data } = isImage ? channelsFirst(work.operands[name]) : work.operands[name];
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      const buffer = device.createBuffer({ size: data.byteLength, usage });
      device.queue.writeBuffer(buffer, 0, data);
      buffers.push(buffer);
      feeds[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: [...shape] });
    }
    return {
      async run(/** @type {number} */ repeat) {
        for (let i = 0; i < repeat; i++) (await session.run(feeds)).y.dispose();
        await device.queue.onSubmittedWorkDone();
      },
      async result() {
        const { y } = await session.run(feeds);
        const data = await y.getData(true);
        return isImage ? channelsLast(y.dims, data) : data;
      },
      async destroy() {
        await session.release();
        for (const buffer of buffers) buffer.destroy();
      },
    };
  };
}
