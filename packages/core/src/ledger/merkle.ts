/**
 * Merkle trees as in RFC 9162 (Certificate Transparency 2.0), section 2.1: a hash over a list from which any entry can
 * be proved to be in the list. Hashing is handed in: Node and the browser have their own.
 */

/** SHA-256, fed piece by piece. */
export type Sha256 = () => { update(bytes: Uint8Array): unknown; digest(): Uint8Array };

/** Leaves and nodes are told apart by a first byte, or a node could pass for a leaf (second preimage). */
const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

function hash(sha256: Sha256, ...parts: Uint8Array[]): Uint8Array {
  const state = sha256();
  for (const part of parts) state.update(part);
  return new Uint8Array(state.digest());
}

/** SHA-256(0x00 || entry), the entry in one or more parts. */
export const leafHash = (sha256: Sha256, ...entry: Uint8Array[]): Uint8Array => hash(sha256, LEAF, ...entry);

const nodeHash = (sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array => hash(sha256, NODE, left, right);

/** The largest power of two below n, which is 2 or more. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The root over leaf hashes (2.1.1). Of none it is the hash of nothing. */
export function merkleRoot(leaves: readonly Uint8Array[], sha256: Sha256): Uint8Array {
  const rootOf = (from: number, to: number): Uint8Array => {
    if (to - from === 1) return leaves[from]!;
    const middle = from + split(to - from);
    return nodeHash(sha256, rootOf(from, middle), rootOf(middle, to));
  };
  return leaves.length === 0 ? hash(sha256) : rootOf(0, leaves.length);
}

/** The hashes that lead from leaf `index` to the root, lowest first (2.1.3.1). */
export function inclusionPath(leaves: readonly Uint8Array[], index: number, sha256: Sha256): Uint8Array[] {
  if (!(index >= 0 && index < leaves.length)) throw new RangeError(`no leaf ${index} among ${leaves.length}`);
  if (leaves.length === 1) return [];
  const middle = split(leaves.length);
  const [left, right] = [leaves.slice(0, middle), leaves.slice(middle)];
  return index < middle
    ? [...inclusionPath(left, index, sha256), merkleRoot(right, sha256)]
    : [...inclusionPath(right, index - middle, sha256), merkleRoot(left, sha256)];
}

/** Whether `path` proves that `leaf` is number `index` of `size` leaves under `root` (2.1.3.2). */
export function verifyInclusion(
  { leaf, index, size, path, root }: InclusionProof & { leaf: Uint8Array; root: Uint8Array },
  sha256: Sha256,
): boolean {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  let [fn, sn, found] = [index, size - 1, leaf];
  for (const other of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      found = nodeHash(sha256, other, found);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      found = nodeHash(sha256, found, other);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  return sn === 0 && found.length === root.length && found.every((byte, i) => byte === root[i]);
}

export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly path: readonly Uint8Array[];
}
