/** What a LoRA file is, from the names and shapes of its tensors alone; how to use it is lora/read.ts. */
import type { Weights } from '../checkpoint/weights.js';
import { type LoraComponent, parseLoraName, relativeOf } from '../lora/format.js';

export interface LoraFacts {
  /** Whose way of naming tensors. */
  readonly format: 'kohya' | 'diffusers' | 'peft';
  /** Relatives of LoRA, or models, that are not supported: "LoHa", "DoRA", ... */
  readonly unsupported: readonly string[];
  /** Layers that are changed, by network. */
  readonly layers: Readonly<Partial<Record<LoraComponent, number>>>;
  /** In ascending order. */
  readonly ranks: readonly number[];
}

/** Undefined for a file that is no LoRA. */
export function loraFacts({ tensors }: Weights): LoraFacts | undefined {
  const places = { unet: new Set<string>(), text_encoder: new Set<string>() };
  const ranks = new Set<number>();
  const unsupported = new Set<string>();
  const names: string[] = [];
  for (const { name, shape } of tensors.values()) {
    const relative = relativeOf(name);
    if (relative !== undefined) unsupported.add(relative);
    const parsed = relative === undefined ? parseLoraName(name) : undefined;
    if (!parsed) continue;
    names.push(name);
    places[parsed.component].add(parsed.place);
    if (parsed.role === 'down' && shape[0] !== undefined) ranks.add(shape[0]);
  }
  if (ranks.size === 0 && ![...tensors.keys()].some((name) => /^lora_(unet|te)\d?_|\.hada_|\.lokr_/.test(name))) {
    return undefined;
  }
  const sizes = Object.entries(places).map(([component, { size }]): [string, number] => [component, size]);
  return {
    format: formatOf(names),
    unsupported: [...unsupported].sort(),
    layers: Object.fromEntries(sizes.filter(([, size]) => size > 0)),
    ranks: [...ranks].sort((a, b) => a - b),
  };
}

function formatOf(names: readonly string[]): LoraFacts['format'] {
  if (names.some((name) => name.startsWith('base_model.model.'))) return 'peft';
  const isDotted = names.some((name) =>
    /^(unet|text_encoder)\.|\.lora\.(down|up)\.|_lora\.(down|up)\.|\.lora_[AB]\./.test(name),
  );
  return isDotted ? 'diffusers' : 'kohya';
}
