/** Models, LoRAs and other weights, from their headers. */
import { basename } from 'node:path';
import {
  type ArchitectureFacts,
  architectureFacts,
  COMPONENTS,
  type Component,
  closeWeights,
  type DecodedMetadata,
  decodeMetadata,
  type LoraFacts,
  loraFacts,
  type ModelFolder,
  openModelFolder,
  openSafetensors,
  openSingleFile,
  SoupError,
  type Source,
  type TensorInfo,
  type Weights,
} from '@diffusion-soup/core';
import { diskFolder } from '../files.js';

export interface TensorSummary {
  readonly tensors: number;
  readonly bytes: number;
  /** How many tensors are of each type. */
  readonly dtypes: Readonly<Record<string, number>>;
}

export interface ListedTensor {
  readonly part?: string;
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface InspectedWeights extends Partial<ArchitectureFacts> {
  readonly kind: 'model' | 'lora' | 'weights';
  readonly path: string;
  readonly layout: 'diffusers folder' | 'single file';
  readonly total: TensorSummary;
  readonly parts: readonly ({ readonly name: Component } & Partial<TensorSummary>)[];
  readonly lora?: LoraFacts;
  /** By part; of a single file under ''. */
  readonly metadata: Readonly<Record<string, DecodedMetadata>>;
  readonly notes: readonly string[];
  readonly tensors: readonly ListedTensor[];
}

const WEIGHTED = ['unet', 'vae', 'text_encoder'] as const;

const isWeighted = (part: Component): part is (typeof WEIGHTED)[number] => WEIGHTED.some((one) => one === part);

export async function inspectFolder(path: string): Promise<InspectedWeights> {
  const folder = await openModelFolder(diskFolder(path));
  const { parts, tensors, metadata } = await partsOf(folder);
  const notes = folder.index ? [] : ['there is no model_index.json: it is a part of a model'];
  return {
    kind: 'model',
    path,
    layout: 'diffusers folder',
    ...(await architectureFacts(folder)),
    total: summaryOf(tensors),
    parts,
    notes,
    metadata: Object.fromEntries([...metadata].filter(([, of]) => Object.keys(of).length > 0).map(decoded)),
    tensors: tensors.map(listed),
  };
}

const decoded = ([part, of]: [string, Weights['metadata']]): [string, DecodedMetadata] => [part, decodeMetadata(of)];

export async function inspectWeights(path: string, source: Source): Promise<InspectedWeights> {
  const weights = await openSafetensors(source);
  const tensors = [...weights.tensors.values()].sort((a, b) => a.offset - b.offset);
  const common = {
    path,
    layout: 'single file' as const,
    total: summaryOf(tensors),
    metadata: { '': decodeMetadata(weights.metadata) },
    tensors: tensors.map(listed),
  };
  const lora = loraFacts(weights);
  if (lora) return { kind: 'lora', ...common, parts: [], lora, notes: [] };
  try {
    const file = await openSingleFile(source);
    const { parts } = await partsOf(file);
    return { kind: 'model', ...common, parts, ...(await architectureFacts(file)), notes: file.notes };
  } catch (error) {
    if (!(error instanceof SoupError)) throw error;
    // A file of another kind is still described; the reason says which.
    const reason = error.message.replace(`${path}: `, '').replace(basename(path), 'it');
    return { kind: 'weights', ...common, parts: [], notes: [reason] };
  }
}

type PartTensor = TensorInfo & { readonly part?: string };

async function partsOf(folder: ModelFolder) {
  const parts: InspectedWeights['parts'][number][] = [];
  const tensors: PartTensor[] = [];
  const metadata = new Map<string, Weights['metadata']>();
  for (const name of COMPONENTS.filter((part) => folder.components.has(part))) {
    const weights = isWeighted(name) ? await folder.weights(name) : undefined;
    if (!weights) {
      parts.push({ name });
      continue;
    }
    await closeWeights(weights);
    const list = [...weights.tensors.values()];
    parts.push({ name, ...summaryOf(list) });
    tensors.push(...list.map((info) => ({ ...info, part: name })));
    metadata.set(name, weights.metadata);
  }
  return { parts, tensors, metadata };
}

export function summaryOf(tensors: readonly TensorInfo[]): TensorSummary {
  const dtypes = new Map<string, number>();
  for (const { dtype } of tensors) dtypes.set(dtype, (dtypes.get(dtype) ?? 0) + 1);
  return {
    tensors: tensors.length,
    bytes: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: Object.fromEntries([...dtypes].sort(([, a], [, b]) => b - a)),
  };
}

const listed = ({ part, name, dtype, shape, byteLength }: PartTensor): ListedTensor => ({
  ...(part !== undefined && { part }),
  ...{ name, dtype, shape, bytes: byteLength },
});
