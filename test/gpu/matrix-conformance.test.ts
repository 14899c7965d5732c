/** A reference UNet, module by module, where all that can goes through the matrix units; they are emulated. */
import {
  conform,
  createGpu,
  golden,
  goldenFile,
  openModelFolder,
  openSafetensors,
  wantedFeatures,
  wantedLimits,
} from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { openAdapter } from '../../packages/cli/src/device.ts';
import { diskFolder, fileSource, REFERENCE } from '../support/files.ts';
import { withEmulation } from '../support/matrix-emulation.ts';

test.runIf(process.env.SOUP_TEST_F16 !== 'no')(
  'sd21-tiny',
  async () => {
    const adapter = await openAdapter();
    const device = await adapter.requestDevice({
      requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
      requiredLimits: wantedLimits(adapter),
    });
    const gpu = createGpu(withEmulation(device), { precision: 'f16', matrixUnits: 'all' });
    const path = `${REFERENCE}/sd21-tiny`;
    const file = golden(await openSafetensors(await fileSource(`${path}/${goldenFile('unet')}`)));
    const results = [];
    for await (const result of conform(gpu, await openModelFolder(diskFolder(path)), 'unet', file))
      results.push(result);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBe(22);
    const used = new Set([...gpu.pipelines.values()].map(({ name }) => name));
    expect([...used]).toEqual(
      expect.arrayContaining(['matmul-tensor', 'conv2d-tensor', 'attention-tensor', 'few-rows']),
    );
  },
  900_000,
);
