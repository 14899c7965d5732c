/** Core on the browser's own WebGPU: the same modules and shaders as in Node, driven by conformance.test.ts. */
import {
  blobSource,
  conform,
  createGpu,
  type Difference,
  type Folder,
  type GoldenKind,
  type Gpu,
  golden,
  goldenFile,
  goldenKinds,
  openModelFolder,
  openSafetensors,
  wantedFeatures,
  wantedLimits,
} from '@diffusion-soup/core';
import { soupHashes } from '../support/soup-hashes.ts';

declare global {
  interface Window {
    conformFolder(url: string): Promise<Record<GoldenKind, Difference[]>>;
    adapterName(): Promise<string>;
    soupHashes(pantry: string): Promise<Record<string, string>>;
  }
}

function urlFolder(url: string): Folder {
  return {
    name: url,
    async open(path) {
      const response = await fetch(`${url}/${path}`);
      return response.ok ? blobSource(await response.blob(), `${url}/${path}`) : undefined;
    },
  };
}

async function adapter(): Promise<GPUAdapter> {
  const found = await navigator.gpu?.requestAdapter();
  if (!found) throw new Error('no WebGPU adapter in this browser');
  return found;
}

window.adapterName = async () => {
  const { vendor, architecture, device } = (await adapter()).info;
  return [vendor, architecture, device].join(' ');
};

async function openGpu(): Promise<Gpu> {
  const from = await adapter();
  const device = await from.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => from.features.has(feature)),
    requiredLimits: wantedLimits(from),
  });
  return createGpu(device, { precision: 'f32' });
}

window.soupHashes = async (pantry) => {
  const gpu = await openGpu();
  const unetOf = async (shard: string) =>
    (await (await openModelFolder(urlFolder(`${pantry}/${shard}`))).weights('unet'))!;
  const hashes = await soupHashes(gpu, unetOf);
  gpu.device.destroy();
  return hashes;
};

window.conformFolder = async (url) => {
  const gpu = await openGpu();
  const folder = await openModelFolder(urlFolder(url));
  const files = Object.fromEntries(
    await Promise.all(
      goldenKinds.map(async (kind) => {
        const source = (await urlFolder(url).open(goldenFile(kind)))!;
        return [kind, golden(await openSafetensors(source))];
      }),
    ),
  );
  const results = {} as Record<GoldenKind, Difference[]>;
  for (const kind of goldenKinds) {
    results[kind] = [];
    for await (const difference of conform(gpu, folder, kind, files[kind], files.text_encoder)) {
      results[kind].push(difference);
    }
  }
  gpu.device.destroy();
  return results;
};
