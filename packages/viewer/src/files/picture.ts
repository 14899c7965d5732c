/** A picture as PNG, with the metadata that the command line writes. */
import { assemblePng, parseFraction, pictureTexts, pngRows, version, writtenRecipe } from '@diffusion-soup/core';
import type { Drawn } from '../engine/files.js';
import { tableOf, usedPortions } from './recipe.js';

export async function pictureFile({ image, settings, blend, machine }: Drawn): Promise<Uint8Array<ArrayBuffer>> {
  const ingredients = usedPortions(blend).map(({ name, weight, blocks }) => ({
    name,
    weight: parseFraction(weight),
    ...(blocks && { blocks: tableOf(blocks) }),
  }));
  const recipe = writtenRecipe(version, ingredients, blend.base);
  const rows = pngRows(image);
  return assemblePng(rows, await deflated(rows.rows), pictureTexts(settings, settings.seed, { recipe, ...machine }));
}

/** As zlib's format (RFC 1950), which the web calls "deflate". */
async function deflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
