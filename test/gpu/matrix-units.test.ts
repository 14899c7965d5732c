/** The kernels of the matrix units against the others, the units themselves being emulated. */
import { checkMatrixUnits, judgeMatrixUnits } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { emulatedGpu } from '../support/matrix-emulation.ts';

const hasF16 = process.env.SOUP_TEST_F16 !== 'no'; // SwiftShader has none

test.runIf(hasF16)('products, convolutions and attention are what the other kernels compute', async () => {
  const small =
    /joint|matmul 1 |matmul 3 |matmul 130|matmul 33|matmul 40 |conv2d (1 x 5|3 x 3)|attention 2 x 70|matmul 21/;
  const tiles = /gated, (256x160|128x128x32)|conv2d.*, (128x128x32|128x16)/;
  const only = new RegExp(`${small.source}|${tiles.source}`);
  const results = await checkMatrixUnits(await emulatedGpu(), { all: true, only });
  expect([results.length, judgeMatrixUnits(results)], JSON.stringify(results)).toEqual([16, 'all']);
});

test.runIf(hasF16)('a unit that reads beside a matrix is found out', async () => {
  const gpu = await emulatedGpu((code) =>
    code.replaceAll('subgroupMatrixLoad<Left, row_major>(&panel, ', 'subgroupMatrixLoad<Left, row_major>(&panel, 1 + '),
  );
  expect(judgeMatrixUnits(await checkMatrixUnits(gpu, { only: /matmul 130/ }))).toBe('none');
});
