/** The content hashes of weights: of every tensor, of components, and of the files behind them, each read once. */
import { createHash } from 'node:crypto';
import { relative, sep } from 'node:path';
import {
  componentRoot,
  readBytes,
  type TensorHash,
  type TensorInfo,
  throwIfAborted,
  type Weights,
} from '@diffusion-soup/core';
import { type FileSource, fileBehind } from '../files.js';
import { type HashCache, NO_CACHE } from './cache.js';
import { hashFiles, type PoolOptions } from './pool.js';
import type { FileHashes, HashJob } from './read-file.js';

export interface FileHash {
  /** Relative to the model's folder, with slashes. */
  readonly path: string;
  readonly bytes: number;
  /** Of the whole file. */
  readonly sha256: string;
}

export interface ComponentHash {
  /** Merkle root over the tensors. */
  readonly root: string;
  readonly tensors: ReadonlyMap<string, TensorHash>;
  readonly files: readonly FileHash[];
}

export interface HashOptions extends PoolOptions {
  readonly cache?: HashCache;
  /** Read every byte, whatever the cache says; it learns the result. */
  readonly fresh?: boolean;
}

/** SHA-256 as core takes it. */
export const sha256 = () => createHash('sha256');

const COMPUTED_CHUNK = 8 * 2 ** 20;

export const hashComponent = async (weights: Weights, folder: string, options: HashOptions = {}) =>
  (await hashComponents(new Map([['it', weights]]), folder, options)).get('it')!;

/** Hashes the parts of a model. A file that several parts lie in is read once. */
export async function hashComponents<Name extends string>(
  parts: ReadonlyMap<Name, Weights>,
  folder: string,
  options: HashOptions = {},
): Promise<Map<Name, ComponentHash>> {
  const files = new Map<string, { source: FileSource; ranges: Map<string, readonly [number, number]> }>();
  for (const { tensors } of parts.values()) {
    for (const { source: of, offset, byteLength } of tensors.values()) {
      const source = fileBehind(of);
      if (!source) continue;
      const file = files.get(source.path) ?? { source, ranges: new Map() };
      files.set(source.path, file);
      file.ranges.set(`${offset}-${offset + byteLength}`, [offset, offset + byteLength]);
    }
  }
  const jobs = [...files.values()].map(({ source: { path, stamp, size }, ranges }) => ({
    ...{ path, stamp, size },
    ranges: [...ranges.values()],
  }));
  const hashes = await cachedHashes(jobs, options);
  const byPath = new Map(
    jobs.map(({ path, size, ranges }, i) => {
      const { sha256: whole, ranges: found } = hashes[i]!;
      return [path, { size, whole, ranges: new Map(ranges.map((range, j) => [range.join('-'), found[j]!])) }];
    }),
  );

  const result = new Map<Name, ComponentHash>();
  for (const [name, { tensors }] of parts) {
    const list = new Map<string, TensorHash>();
    const paths = new Set<string>();
    for (const [key, info] of tensors) {
      const path = fileBehind(info.source)?.path;
      if (path !== undefined) paths.add(path);
      const range = `${info.offset}-${info.offset + info.byteLength}`;
      const dataHash =
        path === undefined ? await hashComputed(info, options.signal) : byPath.get(path)!.ranges.get(range)!;
      list.set(key, { name: key, dtype: info.dtype, shape: info.shape, dataHash });
    }
    const files = [...paths].map((path) => {
      const { size, whole } = byPath.get(path)!;
      return { path: relative(folder, path).split(sep).join('/'), bytes: size, sha256: whole };
    });
    result.set(name, { root: componentRoot(list.values(), sha256), tensors: list, files });
  }
  return result;
}

async function cachedHashes(jobs: readonly HashJob[], options: HashOptions): Promise<FileHashes[]> {
  const { cache = NO_CACHE, fresh = false } = options;
  const known = await Promise.all(jobs.map((job) => (fresh ? undefined : cache.get(job))));
  const missing = jobs.filter((_, i) => !known[i]);
  const computed = await hashFiles(missing, options);
  for (const [i, job] of missing.entries()) await cache.put(job, computed[i]!);
  return known.map((hashes) => hashes ?? computed.shift()!);
}

/** A tensor whose bytes are in no file. */
async function hashComputed({ source, offset, byteLength }: TensorInfo, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < byteLength; at += COMPUTED_CHUNK) {
    throwIfAborted(signal);
    hash.update(await readBytes(source, offset + at, Math.min(COMPUTED_CHUNK, byteLength - at)));
  }
  return hash.digest('hex');
}
