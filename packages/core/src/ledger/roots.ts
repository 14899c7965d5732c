/**
 * What is hashed, and how: tensors make the root of a component, components that of a model, ingredients with their
 * weights that of a set. Each is a Merkle root (merkle.ts) over leaves in order of their names, so that it does not
 * depend on how tensors lie in files or on the order in which ingredients were named.
 *
 *     leaf of a tensor      ["down_blocks.0...weight","F16",[320,4,3,3]] || SHA-256 of its bytes
 *     leaf of a component   ["unet"] || root of the component
 *     leaf of an ingredient ["noto","<root of the model>","2/3"], and its settings where it has any
 *
 * The JSON is canonical (canonical.ts) and UTF-8; `||` joins bytes. The three kinds of leaves begin differently, so none
 * can stand for another.
 */
import { byCodePoint, canonicalJson, fromHex, toHex } from './canonical.js';
import { leafHash, merkleRoot, type Sha256 } from './merkle.js';
import type { Share } from './schema.js';

/** A tensor by its name in diffusers, and the SHA-256 of its bytes in hexadecimal. */
export interface TensorHash {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly dataHash: string;
}

const encoder = new TextEncoder();
const utf8 = (value: unknown): Uint8Array => encoder.encode(canonicalJson(value));

const sorted = <T>(items: Iterable<T>, nameOf: (item: T) => string): T[] =>
  [...items].sort((a, b) => byCodePoint(nameOf(a), nameOf(b)));

/** The root of a component, in hexadecimal. */
export function componentRoot(tensors: Iterable<TensorHash>, sha256: Sha256): string {
  const leaves = sorted(tensors, ({ name }) => name).map(({ name, dtype, shape, dataHash }) =>
    leafHash(sha256, utf8([name, dtype, shape]), fromHex(dataHash)),
  );
  return toHex(merkleRoot(leaves, sha256));
}

/** The root of a model from those of its components, by name. */
export function modelRoot(components: Readonly<Record<string, { readonly root: string }>>, sha256: Sha256): string {
  const leaves = sorted(Object.entries(components), ([name]) => name).map(([name, { root }]) =>
    leafHash(sha256, utf8([name]), fromHex(root)),
  );
  return toHex(merkleRoot(leaves, sha256));
}

export const shareLeaf = ({ name, root, weight, settings }: Share, sha256: Sha256): Uint8Array =>
  leafHash(sha256, utf8([name, root, weight, ...(settings === undefined ? [] : [settings])]));

/** Order of ingredients: by name, then root. */
export const byShare = (a: Share, b: Share): number => byCodePoint(a.name, b.name) || byCodePoint(a.root, b.root);

export function shareLeaves(shares: Iterable<Share>, sha256: Sha256): Uint8Array[] {
  return [...shares].sort(byShare).map((share) => shareLeaf(share, sha256));
}

/** The root of a set of ingredients. */
export const setRoot = (shares: Iterable<Share>, sha256: Sha256): string =>
  toHex(merkleRoot(shareLeaves(shares, sha256), sha256));
