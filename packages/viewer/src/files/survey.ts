/** What a blend costs to load, from headers alone. */
import { cookPart, type Gpu, type TensorInfo } from '@diffusion-soup/core';
import type { Blend, Survey } from '../messages.js';
import type { KnownHashes } from './known-hashes.js';
import { type Library, WEIGHTED } from './library.js';
import { fileBehind } from './model-file.js';
import { openBlend } from './recipe.js';
import { twinsIn } from './twins.js';

/** Above this the page asks first. */
const MUCH = 500e6;

const elements = ({ shape }: TensorInfo): number => shape.reduce((a, b) => a * b, 1);

/** On the device matrices stay halves where the files have halves; vectors are f32. */
const onDevice = (info: TensorInfo): number => elements(info) * (info.shape.length > 1 && info.dtype === 'F16' ? 2 : 4);

export async function survey(gpu: Gpu, library: Library, hashes: KnownHashes, blend: Blend): Promise<Survey> {
  const recipe = await openBlend(library, blend);
  const hashOf = await twinsIn(recipe, hashes);
  const sums = { bytes: 0, fromNetwork: 0, fromCache: 0, fromDisk: 0 };
  let [gpuLeast, residents] = [0, 0];
  for (const name of WEIGHTED) {
    const part = await cookPart(gpu, recipe, name, { hashOf });
    if (!part) continue;
    try {
      const { ingredients } = part.blend;
      gpuLeast += [...ingredients[0]!.tensors.values()].reduce((sum, info) => sum + onDevice(info), 0);
      const seen = new Set<string>();
      for (const [key, first] of ingredients[0]!.tensors) {
        const isEqual = part.blend.isEqual?.(key) ?? false;
        for (const info of isEqual ? [first] : ingredients.map(({ tensors }) => tensors.get(key)!)) {
          const file = fileBehind(info.source);
          const place = `${file?.stamp} ${info.offset}`;
          if (seen.has(place)) continue;
          seen.add(place);
          const held = file?.held(info.offset, info.byteLength) ?? info.byteLength;
          sums.bytes += info.byteLength;
          sums.fromNetwork += info.byteLength - held;
          sums[file?.isLocal === false ? 'fromCache' : 'fromDisk'] += held;
          if (ingredients.length > 1 && !isEqual) residents += info.byteLength;
        }
      }
    } finally {
      await part.close();
    }
  }
  return { ...sums, gpuLeast, gpuResident: gpuLeast + residents, confirm: Math.max(sums.fromNetwork, gpuLeast) > MUCH };
}
