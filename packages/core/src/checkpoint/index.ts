/** Checkpoints: reading and checking files. Nothing here touches a GPU or a disk. */

export { type ClipFolder, openClipFolder } from './clip-folder.js';
export * from './configs.js';
export {
  bf16BitsToF32,
  DTYPE_BITS,
  DTYPES,
  type DType,
  FLOAT_DTYPES,
  type FloatDType,
  f16BitsToF32,
  f32ToBf16Bits,
  f32ToF16Bits,
  fromFloat32,
  isDType,
  isFloatDType,
  tensorBytes,
  toFloat32,
} from './dtype.js';
export { type JsonObject, JsonReader, type JsonValue, parseConfigJson } from './json.js';
export { isListedFile, type ListedRole, listedRole } from './listing.js';
export {
  type ModelFolder,
  type ModelFolderOptions,
  openModelFolder,
  type WeightedComponent,
} from './model-folder.js';
export { COMPONENTS, type Component, type ModelIndex, parseModelIndex } from './model-index.js';
export { printable, printableShape, printableValue } from './printable.js';
export { LENGTH_BYTES, MAX_HEADER_BYTES, openSafetensors } from './safetensors.js';
export { type EncodedHeader, encodeSafetensorsHeader, type TensorSpec } from './safetensors-writer.js';
export { type ShardFile, type ShardLayout, shardLayout } from './shard-layout.js';
export * from './single-file/index.js';
export { blobSource, bytesSource, type Folder, readBytes, type Source } from './source.js';
export { closeWeights, type TensorInfo, type Weights } from './weights.js';
