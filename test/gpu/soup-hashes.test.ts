/** The bytes of soups, pinned: browser/soup-hashes.test.ts holds Chromium's adapter to the same ones. */
import { closeWeights, openModelFolder, type Weights } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { diskFolder, PANTRY } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';
import { EXPECTED, soupHashes } from '../support/soup-hashes.ts';

test('soups are these bytes', async () => {
  const open: Weights[] = [];
  const hashes = await soupHashes(await testGpu('f32'), async (shard) => {
    const weights = (await (await openModelFolder(diskFolder(`${PANTRY}/${shard}`))).weights('unet'))!;
    open.push(weights);
    return weights;
  });
  await Promise.all(open.map(closeWeights));
  expect(hashes['the four shards']).not.toBe(hashes['noto:2+ink:1']);
  expect(hashes).toEqual(EXPECTED);
});
