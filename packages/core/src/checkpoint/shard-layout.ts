/**
 * How a part's tensors are divided among files, as huggingface_hub's split_torch_state_dict_into_shards divides them
 * (src/huggingface_hub/serialization/_base.py) and diffusers' save_pretrained names them.
 */
import { UsageError } from '../errors.js';
import { tensorBytes } from './dtype.js';
import type { TensorSpec } from './safetensors-writer.js';

export interface ShardFile<Tensor extends TensorSpec> {
  /** In the folder of the part. */
  readonly name: string;
  readonly tensors: readonly Tensor[];
}

export interface ShardLayout<Tensor extends TensorSpec> {
  /** One file under the plain name when everything fits, and then there is no index. */
  readonly files: readonly ShardFile<Tensor>[];
  readonly index?: { readonly name: string; readonly text: string };
}

/**
 * Fills files in the order of `tensors` with up to `maxBytes` of tensors each (the hub's custom is 5 or 10 GB); a tensor
 * that is larger gets a file of its own. `stem` is "diffusion_pytorch_model", or "model" for a text encoder.
 */
export function shardLayout<Tensor extends TensorSpec>(
  stem: string,
  tensors: readonly Tensor[],
  maxBytes: number,
): ShardLayout<Tensor> {
  if (!(maxBytes >= 1)) {
    throw new UsageError(`The largest shard is given as ${maxBytes} bytes; expected a number of 1 or more.`);
  }
  const shards = divide(tensors, maxBytes);
  if (shards.length <= 1) return { files: [{ name: `${stem}.safetensors`, tensors }] };
  const number = (n: number) => String(n).padStart(5, '0');
  const files = shards.map((shard, i) => ({
    name: `${stem}-${number(i + 1)}-of-${number(shards.length)}.safetensors`,
    tensors: shard,
  }));
  return { files, index: { name: `${stem}.safetensors.index.json`, text: indexText(files) } };
}

const bytesOf = ({ dtype, shape }: TensorSpec): number => tensorBytes(dtype, shape) ?? 0;

function divide<Tensor extends TensorSpec>(tensors: readonly Tensor[], maxBytes: number): Tensor[][] {
  const shards: Tensor[][] = [];
  let current: Tensor[] = [];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (bytes > maxBytes) {
      // Numbered before the file that is being filled, as the hub's does.
      shards.push([tensor]);
      continue;
    }
    if (filled + bytes > maxBytes) {
      shards.push(current);
      [current, filled] = [[], 0];
    }
    current.push(tensor);
    filled += bytes;
  }
  if (current.length > 0) shards.push(current);
  return shards;
}

/** As Python's json.dumps(index, indent=2, sort_keys=True) and a line's end write it. */
function indexText(files: readonly ShardFile<TensorSpec>[]): string {
  const entries = files.flatMap(({ name, tensors }) => tensors.map((tensor) => [tensor.name, name] as const));
  const totalSize = files.flatMap(({ tensors }) => tensors).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const inOrder = entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const index = { metadata: { total_size: totalSize }, weight_map: Object.fromEntries(inOrder) };
  return `${JSON.stringify(index, null, 2)}\n`;
}
