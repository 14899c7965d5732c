/** The engine's public face, in the order of the pipeline. */

export * from './checkpoint/index.js';
export { compare, type Difference } from './conformance/compare.js';
export { BOUNDS, conform, type GoldenKind, golden, goldenFile, goldenKinds } from './conformance/conformance.js';
export {
  checkMatrixUnits,
  judgeMatrixUnits,
  MATRIX_UNITS_TOLERANCE,
  type MatrixUnitsResult,
  matrixKernels,
} from './conformance/matrix-units.js';
export { type Admission, admit } from './cook/admission.js';
export { sameConfig, samePrediction, weightsOf } from './cook/architecture.js';
export { checkRecipe } from './cook/check-recipe.js';
export {
  type MergePlan,
  type PlannedFile,
  type PlannedPart,
  planFolder,
  planSingleFile,
} from './cook/merge-plan.js';
export type { ModelIngredient, OpenRecipe, RecipeSettings } from './cook/open-recipe.js';
export { type ContentHash, type CookedPart, type CookOptions, cookPart } from './cook/part.js';
export * from './errors.js';
export type { KernelTime } from './gpu/clock.js';
export {
  createGpu,
  type Gpu,
  type GpuOptions,
  hasMatrixUnits,
  isSoftware,
  type KernelListener,
  type MatrixUnits,
  type Precision,
  wantedFeatures,
  wantedLimits,
} from './gpu/gpu.js';
export { checkKernel, type Variant } from './gpu/kernel.js';
export { formatBytes, type Memory } from './gpu/memory.js';
export { createPainter, type DevicePicture, type Painter } from './gpu/painter.js';
export { type Product, productName, type Tiling, type Tuning } from './gpu/tuning.js';
export { type ClipInput, clipInput } from './image/clip-input.js';
export { fromImage, type Image, toImage } from './image/image.js';
export { toChannelsFirst, toChannelsLast } from './image/layout.js';
export { assemblePng, channelsOf, type Picture, type PngRows, pngRows } from './image/png.js';
export { type ResizeFilter, resize } from './image/resize.js';
export * from './lab/index.js';
export * from './ledger/index.js';
export * from './lora/index.js';
export * from './metadata/index.js';
export {
  type AppliedMethod,
  type ApplyOptions,
  applyMethod,
  type ComputedWeights,
  type DareOptions,
  dareWeights,
  type Method,
  type MethodParameters,
  type MethodRequest,
  methods,
  needsBase,
  type TiesOptions,
  tiesWeights,
} from './methods/index.js';
export { type ClipModel, createClip } from './model/clip-model.js';
export {
  createTextEncoder,
  createUNet,
  createVae,
  type Sample,
  type TextEncoder,
  type UNet,
  type Vae,
} from './model/components.js';
export { type LoadedClip, loadClip } from './pipeline/clip.js';
export {
  type BatchEntry,
  DEFAULTS,
  type GenerateEvent,
  type GenerateRequest,
  generate,
  type ModelFacts,
  type Settings,
  settle,
} from './pipeline/generate.js';
export { type LoadModelOptions, loadModel, type Model } from './pipeline/model.js';
export {
  formula,
  type PictureProvenance,
  pictureTexts,
  type WrittenIngredient,
  type WrittenRecipe,
  writtenRecipe,
} from './pipeline/picture-texts.js';
export * from './recipe/index.js';
export { a1111Name, randn, resolveSampler, type SamplerName, samplerNames } from './sampler/index.js';
export * from './search/index.js';
export { type Blend, blendOf, checkBlend, type ResultType } from './soup/blend.js';
export { blockPresets } from './soup/block-presets.js';
export {
  type BlockIngredient,
  type BlockTable,
  blockFactor,
  blockMix,
  blockNames,
  blockOf,
  expandBlocks,
} from './soup/block-weights.js';
export {
  add,
  type Fraction,
  formatFraction,
  fraction,
  fractionToNumber,
  isZero,
  multiply,
  ONE,
  parseFraction,
  ZERO,
} from './soup/fraction.js';
export {
  type FileOptions,
  layOutFile,
  type MergedFile,
  type MergeOptions,
  mergeSafetensors,
  type OutputTensor,
  outputsOf,
  type PlacedPart,
  placedParts,
} from './soup/merge.js';
export { isAffine, LARGEST_MIX, type Mix, mixOf } from './soup/mix.js';
export type { LoadOptions } from './soup/parameters.js';
export { SumOverflowError } from './soup/trouble.js';
export { type TunedProduct, tuningFrom } from './tuning/search.js';
export { productKernels } from './tuning/tilings.js';
export { type Tuned, type TuneOptions, tuneModel, WHOLE_STEPS } from './tuning/tune-model.js';
export { version } from './version.js';
