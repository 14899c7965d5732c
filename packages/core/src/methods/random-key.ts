/** Where the random numbers of DARE come from: a key for each tensor of each ingredient. */

/**
 * The key of Philox in task-vectors.wgsl: the 64-bit FNV-1a hash (Fowler, Noll & Vo; RFC 9923) of the seed, the
 * ingredient's identity and the tensor's name. What is dropped then does not depend on which ingredients stand beside
 * it, nor on their order.
 */
export function randomKey(seed: bigint, identity: string, tensor: string): readonly [low: number, high: number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(`${seed}\0${identity}\0${tensor}`)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}
