/**
 * What ComfyUI writes into its pictures: `prompt`, the graph as it was run (a node has class_type and inputs, an input is
 * a value or [node, output]), and `workflow`, the graph as it was drawn. Nodes can be of any kind, so that what is found
 * here is what the common ones say.
 */
import { readObject } from './json.js';

export interface ComfyUiPicture {
  readonly nodes: number;
  /** Files of checkpoints and UNets, then of LoRAs with their strengths. */
  readonly models: readonly string[];
  readonly loras: readonly { readonly name: string; readonly strength?: number }[];
  readonly positive: readonly string[];
  readonly negative: readonly string[];
  readonly seed?: string;
  readonly steps?: number;
  readonly cfg?: number;
  readonly sampler?: string;
  readonly scheduler?: string;
}

const MOST_NODES = 10_000;
const MOST_FOUND = 100;
const DEEPEST = 32;

type Node = { readonly type: string; readonly inputs: Readonly<Record<string, unknown>> };

/** Undefined when the text is no such graph. */
export function readComfyUiPrompt(text: string): ComfyUiPicture | undefined {
  const graph = readObject(text);
  if (!graph) return undefined;
  const nodes = new Map<string, Node>();
  for (const [id, node] of Object.entries(graph).slice(0, MOST_NODES)) {
    if (!isObject(node) || typeof node.class_type !== 'string' || !isObject(node.inputs)) continue;
    nodes.set(id, { type: node.class_type, inputs: node.inputs });
  }
  if (nodes.size === 0) return undefined;
  const all = [...nodes.values()];
  const sampler = all.find(({ inputs }) => 'positive' in inputs && ('seed' in inputs || 'noise_seed' in inputs));
  const of = sampler?.inputs ?? {};
  const first = (name: string): unknown => of[name] ?? all.find(({ inputs }) => isPlain(inputs[name]))?.inputs[name];
  const seed = first('seed') ?? first('noise_seed');
  return {
    nodes: nodes.size,
    models: unique(all.flatMap(({ inputs }) => texts(inputs, ['ckpt_name', 'unet_name', 'model_name']))),
    loras: all
      .filter(({ inputs }) => typeof inputs.lora_name === 'string')
      .slice(0, MOST_FOUND)
      .map(({ inputs }) => ({ name: String(inputs.lora_name), ...numeric('strength', inputs.strength_model) })),
    positive: promptsOf(of.positive, nodes),
    negative: promptsOf(of.negative, nodes),
    ...((typeof seed === 'number' || typeof seed === 'string') && { seed: String(seed) }),
    ...numeric('steps', first('steps')),
    ...numeric('cfg', first('cfg')),
    ...textual('sampler', first('sampler_name')),
    ...textual('scheduler', first('scheduler')),
  };
}

/** How many nodes the drawn graph has; undefined when it is none. */
export function readComfyUiWorkflow(text: string): { readonly nodes: number } | undefined {
  const workflow = readObject(text);
  return workflow && Array.isArray(workflow.nodes) ? { nodes: workflow.nodes.length } : undefined;
}

/** The texts that lead to an input, through nodes that join, mask or pass on. */
function promptsOf(link: unknown, nodes: ReadonlyMap<string, Node>): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  const visit = (input: unknown, depth: number): void => {
    if (!Array.isArray(input) || depth > DEEPEST || found.length >= MOST_FOUND) return;
    const id = String(input[0]);
    const node = nodes.get(id);
    if (!node || seen.has(id)) return;
    seen.add(id);
    const own = texts(node.inputs, ['text', 'text_g', 'text_l', 'prompt', 'string', 'value']);
    found.push(...own);
    if (own.length === 0) for (const value of Object.values(node.inputs)) visit(value, depth + 1);
  };
  visit(link, 0);
  return unique(found);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isPlain = (value: unknown): boolean => typeof value === 'number' || typeof value === 'string';
const unique = (list: readonly string[]): string[] => [...new Set(list)].slice(0, MOST_FOUND);

const texts = (inputs: Node['inputs'], names: readonly string[]): string[] =>
  names.flatMap((name) => (typeof inputs[name] === 'string' && inputs[name] !== '' ? [inputs[name]] : []));

const numeric = <Name extends string>(name: Name, value: unknown) =>
  (typeof value === 'number' ? { [name]: value } : {}) as { readonly [Key in Name]?: number };

const textual = <Name extends string>(name: Name, value: unknown) =>
  (typeof value === 'string' ? { [name]: value } : {}) as { readonly [Key in Name]?: string };
