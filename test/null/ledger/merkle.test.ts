/** Merkle trees, against the vectors that Certificate Transparency publishes for its own (RFC 6962 and 9162). */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../packages/core/src/ledger/canonical.ts';
import { inclusionPath, leafHash, merkleRoot, verifyInclusion } from '../../../packages/core/src/ledger/merkle.ts';

const sha256 = () => createHash('sha256');

const ENTRIES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const PATHS: [index: number, size: number, path: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
];

const leavesOf = (size: number) => ENTRIES.slice(0, size).map((entry) => leafHash(sha256, fromHex(entry)));

describe('published vectors', () => {
  test.each(ROOTS.map((root, size) => [size, root] as const))('%i leaves', (size, root) => {
    expect(toHex(merkleRoot(leavesOf(size), sha256))).toBe(root);
  });

  test.each(PATHS)('path of leaf %i of %i', (index, size, path) => {
    const leaves = leavesOf(size);
    expect(inclusionPath(leaves, index, sha256).map(toHex)).toEqual(path);
    const proof = { leaf: leaves[index]!, index, size, path: path.map(fromHex), root: fromHex(ROOTS[size]!) };
    expect(verifyInclusion(proof, sha256)).toBe(true);
  });
});

describe('inclusion', () => {
  const some = fc.integer({ min: 1, max: 70 }).chain((size) =>
    fc.record({
      size: fc.constant(size),
      index: fc.nat(size - 1),
    }),
  );

  test('of every leaf is proved, and of nothing else', () => {
    fc.assert(
      fc.property(some, fc.nat(), fc.nat(255), ({ size, index }, at, flip) => {
        const leaves = Array.from({ length: size }, (_, i) => leafHash(sha256, Uint8Array.of(i)));
        const root = merkleRoot(leaves, sha256);
        const path = inclusionPath(leaves, index, sha256);
        const proof = { leaf: leaves[index]!, index, size, path, root };
        expect(verifyInclusion(proof, sha256)).toBe(true);

        const bent = path.map((hash) => Uint8Array.from(hash));
        if (bent.length > 0) bent[at % bent.length]![at % 32]! ^= flip || 1;
        const wrong = [
          { ...proof, leaf: leafHash(sha256, Uint8Array.of(size)) },
          { ...proof, root: leafHash(sha256) },
          { ...proof, path: [...path, root] },
          { ...proof, index: size },
          { ...proof, index: -1 },
          { ...proof, index: index + 0.5 },
          ...(path.length > 0
            ? [
                { ...proof, path: bent },
                { ...proof, path: path.slice(1) },
              ]
            : []),
          ...(size > 1 ? [{ ...proof, index: (index + 1) % size }] : []),
        ];
        for (const one of wrong) expect(verifyInclusion(one, sha256)).toBe(false);
      }),
    );
  });

  test('of a leaf that is not there cannot be asked', () => {
    expect(() => inclusionPath(leavesOf(3), 3, sha256)).toThrow(RangeError);
  });
});
