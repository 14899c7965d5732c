/** Placeholder until samplers land. */
import type { ModelFolder } from '../checkpoint/model-folder.js';
import type { Gpu } from '../gpu/gpu.js';
import type { Difference } from './compare.js';
import type { Golden } from './conformance.js';
export async function* conformPipeline(
  _gpu: Gpu,
  _folder: ModelFolder,
  _file: Golden,
  _text?: Golden,
): AsyncGenerator<Difference> {}
