/**
 * preprocessor_config.json of a CLIP checkpoint: what is done to a picture before the network sees it. Names and
 * defaults are those of transformers' models/clip/image_processing_clip.py; old files give sizes as plain numbers.
 */
import * as z from 'zod/mini';
import { count, flag, only, positive, refusalOfOption } from './config-schema.js';

export interface ClipPreprocessing {
  /** The shorter side becomes so many pixels, or both sides what they are; undefined: the picture is not scaled. */
  readonly resize?: { readonly shortestEdge: number } | { readonly width: number; readonly height: number };
  readonly filter: 'bicubic' | 'bilinear';
  /** Pixels that are cut out of the middle. */
  readonly crop?: { readonly width: number; readonly height: number };
  /** What a byte is multiplied with. */
  readonly rescale: number;
  readonly mean: readonly [number, number, number];
  readonly deviation: readonly [number, number, number];
}

/** OpenAI's, from the pictures that CLIP was trained on. */
const MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
const DEVIATION = [0.26862954, 0.26130258, 0.27577711] as const;

const side = () => count(4096);
const sides = z.object({ width: side(), height: side() });
const three = <T extends z.core.SomeType>(of: T) =>
  z.tuple([of, of, of], 'expected three numbers, one for each colour');
const number = () => z.number('expected a number');

const schema = z.object({
  do_resize: z._default(flag(), true),
  size: z._default(z.union([side(), z.object({ shortest_edge: side() }), sides], 'expected pixels'), 224),
  // PIL's numbers for its filters.
  resample: z._default(only(3, 2), 3),
  do_center_crop: z._default(flag(), true),
  crop_size: z._default(z.union([side(), sides], 'expected pixels'), 224),
  do_rescale: z._default(z.nullable(flag()), true),
  rescale_factor: z._default(z.nullable(positive()), 1 / 255),
  do_normalize: z._default(flag(), true),
  image_mean: z._default(three(number()), [...MEAN]),
  image_std: z._default(three(positive()), [...DEVIATION]),
});

/** Checks the JSON; undefined, where a checkpoint has no such file, is what OpenAI's have, at the tower's size. */
export function parseClipPreprocessing(
  json: unknown,
  imageSize: number,
  file = 'preprocessor_config.json',
): ClipPreprocessing {
  const result = z.safeParse(schema, json ?? { size: imageSize, crop_size: imageSize });
  if (!result.success) {
    const { path, message } = result.error.issues[0]!;
    const found = path.reduce((value: unknown, step) => (value as Record<PropertyKey, unknown>)?.[step], json);
    return refusalOfOption(file)(path.map(String).join('.'), found, message);
  }
  const { size, crop_size: crop, image_mean, image_std, ...options } = result.data;
  const resize =
    typeof size === 'number'
      ? { shortestEdge: size }
      : 'shortest_edge' in size
        ? { shortestEdge: size.shortest_edge }
        : size;
  return {
    ...(options.do_resize && { resize }),
    filter: options.resample === 3 ? 'bicubic' : 'bilinear',
    ...(options.do_center_crop && { crop: typeof crop === 'number' ? { width: crop, height: crop } : crop }),
    rescale: options.do_rescale === false ? 1 : (options.rescale_factor ?? 1 / 255),
    mean: options.do_normalize ? image_mean : [0, 0, 0],
    deviation: options.do_normalize ? image_std : [1, 1, 1],
  };
}
