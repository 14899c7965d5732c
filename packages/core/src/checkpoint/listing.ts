/** Which files of a model's folder a page is given, and what part a model of the pantry plays in it. */
import { COMPONENTS } from './model-index.js';

const PARTS: ReadonlySet<string> = new Set(COMPONENTS);
const PLAIN_FILE = /^[A-Za-z0-9_][\w.-]*\.(?:json|safetensors|txt|model)$/;

/** Whether `path`, below a model's folder and with '/' in it, is a config, a vocabulary or weights in safetensors. */
export function isListedFile(path: string): boolean {
  const [first = '', second, ...more] = path.split('/');
  if (second === undefined) return PLAIN_FILE.test(first);
  return more.length === 0 && PARTS.has(first) && PLAIN_FILE.test(second);
}

export type ListedRole = 'shard' | 'base' | 'model';

/** What a shard lacks, and takes from the base that lies beside it. */
const LENT = ['text_encoder', 'vae', 'scheduler', 'tokenizer'];
/** Of the emoji pantry: trained on what all shards saw, to compare with; no ingredient. */
const COMPARISON = 'paragon';

/** By a model's name and the listed files of its folder; a single file has none. */
export function listedRole(name: string, files: readonly string[] = []): ListedRole {
  const has = (part: string) => files.some((file) => file.startsWith(`${part}/`));
  if (name === 'base' && LENT.every(has)) return 'base';
  return name !== COMPARISON && has('unet') && !LENT.every(has) ? 'shard' : 'model';
}
