/** The content hashes of models, as `soup merge` takes them: of every tensor, of components, and of the files behind them. */
import {
  type ContentHash,
  closeWeights,
  componentRoot,
  type LedgerComponents,
  type ModelFolder,
  modelRoot,
  type Sha256,
  type Source,
  type TensorHash,
  throwIfAborted,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import { createSHA256, type IHasher } from 'hash-wasm';
import type { KnownHashes } from './known-hashes.js';
import { WEIGHTED } from './library.js';
import { fileBehind, type ModelFile } from './model-file.js';

const CHUNK_BYTES = 4 * 2 ** 20;

export interface ModelHash {
  readonly root: string;
  readonly components: LedgerComponents;
  readonly parts: ReadonlyMap<WeightedComponent, ContentHash>;
}

type WholeHash = { readonly sha256: string; readonly ranges: Readonly<Record<string, string>> };

export interface HashOptions {
  readonly signal: AbortSignal;
  /** Bytes hashed so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Files that were hashed before are not read again, as long as they are the same version. */
export class Hashes {
  constructor(private readonly known: KnownHashes) {}

  async of(models: readonly ModelFolder[], { signal, onProgress }: HashOptions): Promise<ModelHash[]> {
    const whole = await createSHA256();
    const range = await createSHA256();
    const opened: Weights[] = [];
    try {
      const parts: { model: number; part: WeightedComponent; weights: Weights }[] = [];
      for (const [model, folder] of models.entries()) {
        for (const part of WEIGHTED) {
          const weights = folder.components.has(part) ? await folder.weights(part) : undefined;
          if (!weights) continue;
          opened.push(weights);
          parts.push({ model, part, weights });
        }
      }
      const wanted = rangesOf(opened);
      const files = new Map<string, WholeHash>();
      for (const [stamp, { file, ranges }] of wanted) {
        const known = await this.known.of(file);
        if (isWhole(known) && [...ranges.keys()].every((name) => known.ranges[name])) files.set(stamp, known);
      }
      const missing = [...wanted.values()].filter(({ file }) => !files.has(file.stamp));
      const total = missing.reduce((sum, { file }) => sum + file.size, 0);
      let done = 0;
      for (const { file, ranges } of missing) {
        const hash = await hashFile(file, ranges, { whole, range }, (bytes) => {
          throwIfAborted(signal);
          done += bytes;
          onProgress?.(done, total);
        });
        files.set(file.stamp, hash);
        await this.known.learn(file, hash);
      }
      const sha256 = await merkleSha256();
      return models.map((_, model) => {
        const own = parts.filter((one) => one.model === model);
        const found = own.map(({ part, weights }) => [part, partHash(weights, files, sha256)] as const);
        const components = Object.fromEntries(found.map(([part, { root, files }]) => [part, { root, files }]));
        return { root: modelRoot(components, sha256), components, parts: new Map(found) };
      });
    } finally {
      await Promise.all(opened.map(closeWeights));
    }
  }
}

const isWhole = (known: { readonly sha256?: string }): known is WholeHash => known.sha256 !== undefined;

function partHash({ tensors }: Weights, hashes: ReadonlyMap<string, WholeHash>, sha256: Sha256) {
  const list = new Map<string, TensorHash>();
  const files = new Map<string, { path: string; bytes: number; sha256: string }>();
  for (const [name, { source, offset, byteLength, dtype, shape }] of tensors) {
    const file = behind(source);
    const { sha256: whole, ranges } = hashes.get(file.stamp)!;
    files.set(file.path, { path: file.path, bytes: file.size, sha256: whole });
    list.set(name, { name, dtype, shape, dataHash: ranges[`${offset}-${offset + byteLength}`]! });
  }
  return { root: componentRoot(list.values(), sha256), tensors: list, files: [...files.values()] };
}

/** Every tensor of a model is of a file: nothing is baked in before a page merges. */
function behind(source: Source): ModelFile {
  const file = fileBehind(source);
  if (!file) throw new TypeError(`${source.name} is no file`);
  return file;
}

function rangesOf(all: readonly Weights[]) {
  const files = new Map<string, { file: ModelFile; ranges: Map<string, readonly [number, number]> }>();
  for (const { tensors } of all) {
    for (const { source, offset, byteLength } of tensors.values()) {
      const file = behind(source);
      const entry = files.get(file.stamp) ?? { file, ranges: new Map() };
      files.set(file.stamp, entry);
      entry.ranges.set(`${offset}-${offset + byteLength}`, [offset, offset + byteLength]);
    }
  }
  return files;
}

/** In one pass: tensors of a safetensors file do not overlap, and thirds of one (q, k and v) do not either. */
async function hashFile(
  file: ModelFile,
  ranges: ReadonlyMap<string, readonly [number, number]>,
  { whole, range }: { whole: IHasher; range: IHasher },
  onChunk: (bytes: number) => void,
): Promise<WholeHash> {
  const waiting = [...ranges].sort(([, a], [, b]) => a[0] - b[0] || a[1] - b[1]);
  const found = new Map<string, string>();
  let isInside = false;
  whole.init();
  for (let at = 0; at < file.size; at += CHUNK_BYTES) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, file.size - at));
    await file.readInto(chunk, at);
    whole.update(chunk);
    const end = at + chunk.length;
    for (let next = waiting[0]; next && next[1][0] < end; next = waiting[0]) {
      const [name, [from, to]] = next;
      if (!isInside) range.init();
      isInside = true;
      range.update(chunk.subarray(Math.max(0, from - at), Math.min(end, to) - at));
      if (to > end) break;
      found.set(name, range.digest('hex'));
      isInside = false;
      waiting.shift();
    }
    onChunk(chunk.length);
  }
  const empty = range.init().digest('hex');
  for (const [name] of waiting) found.set(name, empty); // of no bytes, at the end
  return { sha256: whole.digest('hex'), ranges: Object.fromEntries(found) };
}

/** SHA-256 as core's Merkle trees take it. */
export async function merkleSha256(): Promise<Sha256> {
  const hasher = await createSHA256();
  return () => {
    const parts: Uint8Array[] = [];
    return {
      update: (bytes) => parts.push(bytes),
      digest() {
        hasher.init();
        for (const part of parts) hasher.update(part);
        return hasher.digest('binary');
      },
    };
  };
}
