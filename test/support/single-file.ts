/** Single files made of folders, in memory. */
import {
  type Configs,
  closeWeights,
  configsOf,
  type ModelFolder,
  openModelFolder,
  type SingleFileTensor,
  singleFileLayout,
  type TensorInfo,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import { readBytes } from '../../packages/core/src/checkpoint/source.ts';
import { diskFolder } from './files.ts';
import { type Entry, fileOf } from './safetensors.ts';

export const PARTS = ['unet', 'vae', 'text_encoder'] as const satisfies WeightedComponent[];

export const bytesOf = ({ source, offset, byteLength }: TensorInfo) => readBytes(source, offset, byteLength);

export interface Loaded {
  readonly folder: ModelFolder;
  readonly configs: Configs;
  readonly parts: Readonly<Record<WeightedComponent, Weights>>;
  close(): Promise<void>;
}

export async function loadFolder(path: string): Promise<Loaded> {
  const folder = await openModelFolder(diskFolder(path));
  const [unet, vae, text_encoder] = await Promise.all(PARTS.map(async (part) => (await folder.weights(part))!));
  const parts = { unet: unet!, vae: vae!, text_encoder: text_encoder! };
  return {
    folder,
    configs: await configsOf(folder),
    parts,
    close: async () => void (await Promise.all(Object.values(parts).map(closeWeights))),
  };
}

/** Where each tensor of a model goes. */
export async function layoutOf({ folder, parts }: Loaded): Promise<SingleFileTensor[]> {
  return singleFileLayout({
    unet: { config: await folder.unetConfig(), tensors: parts.unet.tensors },
    vae: { config: await folder.vaeConfig(), tensors: parts.vae.tensors },
    text_encoder: { config: await folder.textEncoderConfig(), tensors: parts.text_encoder.tensors },
  });
}

/** The tensors of a single file with their bytes. */
export async function entriesOf(model: Loaded): Promise<Entry[]> {
  return Promise.all(
    (await layoutOf(model)).map(async ({ name, dtype, shape, parts }) => {
      const pieces = await Promise.all(
        parts.map(({ component, key }) => bytesOf(model.parts[component].tensors.get(key)!)),
      );
      return { name, dtype, shape, bytes: new Uint8Array(Buffer.concat(pieces)) };
    }),
  );
}

export const singleFileOf = async (model: Loaded, metadata: Record<string, string> = {}): Promise<Uint8Array> =>
  fileOf(await entriesOf(model), metadata);
