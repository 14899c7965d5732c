/** Weights of one part in several files: `diffusion_pytorch_model.safetensors.index.json` says which file has what. */
import { CheckpointError } from '../errors.js';
import { JsonReader } from './json.js';
import { printable } from './printable.js';
import { openSafetensors } from './safetensors.js';
import type { Folder, Source } from './source.js';
import type { TensorInfo, Weights } from './weights.js';

/** Shards have 5 GB or more by custom: a thousand are 5 TB, and each is a file to hold open. */
const MAX_SHARDS = 1000;

/** Longer names exist on no common file system. */
const MAX_FILE_NAME = 255;

/** Tensor name to file name, checked. */
export function parseShardIndex(text: string, file: string): ReadonlyMap<string, string> {
  const shown = printable(file, 1000);
  const reader = new JsonReader(text, (what, byte) => {
    throw new CheckpointError(`${shown}: ${what} (at byte ${byte}). Get the file again.`, { file: shown, byte });
  });
  let map: Map<string, string> | undefined;
  const shards = new Set<string>();
  reader.object((key) => {
    if (key !== 'weight_map') return reader.skip(1);
    const weightMap = new Map<string, string>();
    reader.object((tensor) => {
      reader.peek();
      const at = reader.index;
      const shard = reader.string();
      if (!isPlainFileName(shard)) {
        const wanted = 'expected the plain name of a .safetensors file in the same folder';
        reader.fail(`tensor "${printable(tensor)}" is said to be in "${printable(shard)}"; ${wanted}`, at);
      }
      shards.add(shard);
      if (shards.size > MAX_SHARDS) {
        reader.fail(`the index names more than ${MAX_SHARDS} files, each of which would have to stay open`, at);
      }
      weightMap.set(tensor, shard);
    });
    map = weightMap;
  });
  reader.end();
  return map ?? reader.fail('"weight_map" is missing');
}

/** No separator of any system, no drive or scheme, nothing hidden, nothing that cannot be seen. */
function isPlainFileName(name: string): boolean {
  const plain = name.endsWith('.safetensors') && name.length <= MAX_FILE_NAME;
  return plain && !/^[.~]|[/\\:*?"<>|%]|[\p{C}\p{Zl}\p{Zp}]/u.test(name);
}

/** Opens every shard that `map` names, in the folder `part` of the folder ("": in it itself). A tensor must be where the map says, and nowhere else. */
export async function openShards(
  folder: Folder,
  part: string,
  indexFile: string,
  map: ReadonlyMap<string, string>,
): Promise<Weights> {
  const at = part === '' ? '' : `${part}/`;
  const name = part === '' ? folder.name : `${folder.name}/${part}`;
  const shownIndex = printable(indexFile, 1000);
  const opened: Source[] = [];
  const tensors = new Map<string, TensorInfo>();
  let metadata: Readonly<Record<string, string>> | undefined;
  const refuse = (what: string, file: string, tensor?: string): never => {
    const facts = { file: printable(file, 1000), ...(tensor !== undefined && { tensor: printable(tensor) }) };
    throw new CheckpointError(`${printable(file, 1000)}: ${what}. Get the shards and their index again.`, facts);
  };
  try {
    for (const shard of new Set(map.values())) {
      const source = await folder.open(`${at}${shard}`);
      if (!source) return refuse(`the shard "${printable(shard)}" that it names is missing`, indexFile);
      opened.push(source);
      const weights = await openSafetensors(source);
      metadata ??= weights.metadata;
      for (const info of weights.tensors.values()) {
        const tensor = `tensor "${printable(info.name)}"`;
        const where = map.get(info.name);
        if (where !== shard) {
          const told = where === undefined ? 'does not name it' : `says it is in "${printable(where)}"`;
          refuse(`${tensor} is here, but ${shownIndex} ${told}`, source.name, info.name);
        }
        tensors.set(info.name, info);
      }
    }
    for (const [tensor, shard] of map) {
      if (!tensors.has(tensor)) {
        refuse(`tensor "${printable(tensor)}" should be in "${printable(shard)}" but is not`, indexFile, tensor);
      }
    }
  } catch (error) {
    await Promise.all(opened.map((source) => source.close?.()));
    throw error;
  }
  return { name, tensors, metadata: metadata ?? {} };
}
