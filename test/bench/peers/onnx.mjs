/** One node as an ONNX model, for ONNX Runtime. */
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const { FLOAT, INT64 } = onnx.TensorProto.DataType;
/** Version of the file's format, and of the standard ops. */
const IR = 8;
const OPSET = 17;

const valueInfo = (/** @type {string} */ name, /** @type {readonly number[]} */ shape) => ({
  name,
  type: { tensorType: { elemType: FLOAT, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
});

const constant = (/** @type {[string, import('./work.mjs').Operand]} */ [name, { shape, data }]) => ({
  name,
  dims: shape,
  dataType: data instanceof BigInt64Array ? INT64 : FLOAT,
  rawData: new Uint8Array(data.buffer),
});

/**
 * @param {object} graph
 * @param {readonly object[]} graph.nodes
 * @param {Readonly<Record<string, readonly number[]>>} graph.inputs
 * @param {Readonly<Record<string, import('./work.mjs').Operand>>} [graph.constants]
 * @param {readonly number[]} graph.output  the shape of `y`
 */
export function onnxModel({ nodes, inputs, constants = {}, output }) {
  const model = {
    irVersion: IR,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'work',
      node: nodes,
      input: Object.entries(inputs).map(([name, shape]) => valueInfo(name, shape)),
      initializer: Object.entries(constants).map(constant),
      output: [valueInfo('y', output)],
    },
  };
  return onnx.ModelProto.encode(onnx.ModelProto.create(model)).finish();
}

const { AttributeType } = onnx.AttributeProto;
export const int = (/** @type {string} */ name, /** @type {number} */ i) => ({ name, i, type: AttributeType.INT });
export const ints = (/** @type {string} */ name, /** @type {number[]} */ ints) => ({
  name,
  ints,
  type: AttributeType.INTS,
});
export const float = (/** @type {string} */ name, /** @type {number} */ f) => ({ name, f, type: AttributeType.FLOAT });
