/**
 * A set of named tensors, wherever they are: one safetensors file, several shards of one component, or a soup.
 * Names are the file's own ("down_blocks.0.resnets.0.conv1.weight").
 */
import type { DType } from './dtype.js';
import type { Source } from './source.js';

export interface TensorInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where the bytes are. */
  readonly source: Source;
  /** Byte offset of the first element within `source`. */
  readonly offset: number;
  /** Bytes. */
  readonly byteLength: number;
}

export interface Weights {
  /** What to call it in an error: a folder or a file. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The `__metadata__` of the file (of the first, when there are several). */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Gives back the file handles behind the tensors. */
export async function closeWeights(weights: Weights): Promise<void> {
  const sources = new Set([...weights.tensors.values()].map(({ source }) => source));
  await Promise.all([...sources].map((source) => source.close?.()));
}
