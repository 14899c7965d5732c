/** LoRA files (Hu et al. 2021, arXiv 2106.09685): which layer each pair of matrices belongs to, and how it is scaled. */

import { isFloatDType, toFloat32 } from '../checkpoint/dtype.js';
import { printable, printableShape } from '../checkpoint/printable.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import { type LoraComponent, parseLoraName, relativeOf } from './format.js';

/** The change of one layer: alpha / rank * up @ down. */
export interface LoraModule {
  readonly component: LoraComponent;
  /** The layer's path in its network, dots as underscores: "mid_block_attentions_0_proj_in". */
  readonly place: string;
  /** (rank, in), or (rank, in, height, width) of a convolution. */
  readonly down: TensorInfo;
  /** (out, rank), or (out, rank, 1, 1). */
  readonly up: TensorInfo;
  /** (rank, rank, height, width): LoCon's convolution between two that are 1x1. */
  readonly mid?: TensorInfo;
  readonly rank: number;
  /** The file's, or the rank where it has none. */
  readonly alpha: number;
}

export interface Lora {
  readonly name: string;
  readonly modules: readonly LoraModule[];
  readonly metadata: Readonly<Record<string, string>>;
}

type Parts = { name: string; component: LoraComponent; place: string } & Partial<
  Record<'down' | 'up' | 'mid' | 'alpha', TensorInfo>
>;

/** Reads what the file says of its layers; matrices are read when they are needed. */
export async function readLora(file: Weights): Promise<Lora> {
  const modules = new Map<string, Parts>();
  for (const info of file.tensors.values()) {
    const relative = relativeOf(info.name);
    const name = relative ? undefined : parseLoraName(info.name);
    if (!name) throw unknown(file, info, relative);
    const id = `${name.component} ${name.place}`;
    const parts: Parts = modules.get(id) ?? { name: info.name, component: name.component, place: name.place };
    if (parts[name.role]) {
      throw refusal(file, info, `the layer has two tensors for "${name.role}"; the other is ${parts[name.role]!.name}`);
    }
    modules.set(id, { ...parts, [name.role]: info });
  }
  if (modules.size === 0) {
    throw new CheckpointError(`${printable(file.name, 1000)} has no tensors. Expected a LoRA.`, { file: file.name });
  }
  const scaling = scalingOf(file);
  const list: LoraModule[] = [];
  for (const parts of modules.values()) list.push(await moduleOf(file, parts, scaling));
  return { name: file.name, modules: list, metadata: file.metadata };
}

async function moduleOf(file: Weights, parts: Parts, scaling: Scaling): Promise<LoraModule> {
  const { component, place, down, up, mid } = parts;
  if (!down || !up) {
    const info = (down ?? up ?? mid ?? parts.alpha)!;
    throw refusal(file, info, `the layer has no matrix for "${down ? 'up' : 'down'}"`);
  }
  for (const info of [down, up, ...(mid ? [mid] : [])]) {
    if (isFloatDType(info.dtype) && (info.shape.length === 2 || info.shape.length === 4)) continue;
    const found = `${info.dtype} ${printableShape(info.shape)}`;
    throw refusal(file, info, `it is ${found}; expected floating point in 2 or 4 dimensions`);
  }
  const rank = down.shape[0]!;
  if ((mid ? mid.shape[0] : rank) !== up.shape[1] || (mid && mid.shape[1] !== rank) || rank === 0) {
    const shapes = [up, ...(mid ? [mid] : []), down].map(({ shape }) => printableShape(shape)).join(' · ');
    throw refusal(file, down, `the ranks of the layer's matrices differ: ${shapes}`);
  }
  const alpha = parts.alpha ? await readAlpha(file, parts.alpha) : scaling[component](rank);
  return { component, place, down, up, ...(mid && { mid }), rank, alpha };
}

async function readAlpha(file: Weights, info: TensorInfo): Promise<number> {
  const count = info.shape.reduce((a, b) => a * b, 1);
  const bytes = await readBytes(info.source, info.offset, count === 1 ? info.byteLength : 0);
  const [alpha] = toFloat32(bytes, info.dtype);
  // 0 means "as the rank" to kohya's scripts, and "no change" to other programs.
  if (alpha !== undefined && Number.isFinite(alpha) && alpha !== 0) return alpha;
  const found = count === 1 ? `${alpha}` : `${count} numbers`;
  throw refusal(file, info, `it is ${found}; expected one number other than 0`);
}

type Scaling = Readonly<Record<LoraComponent, (rank: number) => number>>;

/** diffusers keeps peft's configs in the metadata, by network: {"unet.lora_alpha": 8, "unet.use_rslora": false, ...}. */
function scalingOf(file: Weights): Scaling {
  const config = adapterConfig(file);
  const scaling = (component: LoraComponent) => {
    const option = (name: string): unknown => config[`${component}.${name}`];
    const pattern = option('alpha_pattern');
    const hasPattern = typeof pattern === 'object' && pattern !== null && Object.keys(pattern).length > 0;
    if (hasPattern || option('use_dora') === true) {
      const what = hasPattern ? 'alpha_pattern' : 'use_dora';
      throw new CheckpointError(
        `${printable(file.name, 1000)}: the metadata's ${component}.${what} is not supported. ` +
          'Fuse this LoRA with the program that made it.',
        { file: file.name, key: `${component}.${what}` },
      );
    }
    const alpha = option('lora_alpha');
    if (typeof alpha !== 'number' || !Number.isFinite(alpha)) return (rank: number) => rank;
    // Rank-stabilized LoRA divides by √rank (Kalajdzievski 2023, arXiv 2312.03732).
    return option('use_rslora') === true ? (rank: number) => alpha * Math.sqrt(rank) : () => alpha;
  };
  return { unet: scaling('unet'), text_encoder: scaling('text_encoder') };
}

function adapterConfig(file: Weights): Readonly<Record<string, unknown>> {
  const text = file.metadata.lora_adapter_metadata;
  if (text === undefined) return {};
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new CheckpointError(
    `${printable(file.name, 1000)}: the metadata's lora_adapter_metadata is no JSON object, so the LoRA's scale is unknown.`,
    { file: file.name },
  );
}

function unknown(file: Weights, info: TensorInfo, relative: string | undefined): CheckpointError {
  const what = relative
    ? `this is of ${relative}, which is not supported`
    : 'this is no name of a LoRA in the formats of kohya, diffusers or peft';
  return refusal(file, info, what, 'Fuse it with the program that made it, and use the result as a model.');
}

function refusal(file: Weights, info: TensorInfo, what: string, advice = 'The file is damaged, or no LoRA.') {
  const [path, tensor] = [printable(file.name, 1000), printable(info.name)];
  return new CheckpointError(`${path}: tensor "${tensor}": ${what}. ${advice}`, { file: path, tensor });
}
