/**
 * Soups whose bytes must be the same on every adapter, as SHA-256 of the whole file: of the pantry's shards, and of
 * numbers of every size. Runs in Node and in browsers.
 */
import {
  type Blend,
  blendOf,
  bytesSource,
  encodeSafetensorsHeader,
  type Gpu,
  layOutFile,
  mergeSafetensors,
  openSafetensors,
  outputsOf,
  type Weights,
} from '@diffusion-soup/core';

/** What every adapter must come to. */
export const EXPECTED: Readonly<Record<string, string>> = {
  'the four shards': 'dd44a4a1b3d25d0bc8281983d577539b703e3e51a8e5120b9d888e9304f73025',
  'the four shards, backwards': 'dd44a4a1b3d25d0bc8281983d577539b703e3e51a8e5120b9d888e9304f73025',
  'noto:2+ink:1': '4852cbb7c13d570e6cd3c6330f0f570e569badb0c2a76ebd909b29bf82c9e482',
  'noto+fluent+twemoji at 0.37, 0.31, 0.32': 'b1d45865eac65bb6b2b6441af472714824fe0942a9cd8b5b5ad28180215bf16c',
  'the four shards as F32': '8b6f82c83613993662a6bf58cf124f69ca9f6378274029fc343b472b76eebbe3',
  'every half': 'ce46b06203c6f12d58b8a528504b5dfb86c06d86ed2d4949e7d2e7176be8e3af',
  'every half, as BF16': '267f695cf1d7d80a798c5fb163917ae00e80967907a132e311f5f668c1d087bc',
  'F32, BF16 and F16': 'a47a6e5ae9ab2cee39104209c6d1b0f44e2bce9661a77af4e286123822bd573a',
  'F32 minus BF16': '62a2239a49591c9279dedf45210f6c15417ce965af0e1c3540ff2341b08903f8',
};

const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'] as const;

/** `unetOf` opens the UNet of a shard of the pantry. */
export async function soupHashes(
  gpu: Gpu,
  unetOf: (shard: string) => Promise<Weights>,
): Promise<Record<string, string>> {
  const shards = await Promise.all(SHARDS.map(unetOf));
  const [noto, twemoji, fluent, ink] = shards as [Weights, Weights, Weights, Weights];
  const halves = await synthetic('F16', 4);
  const mixed = [...(await synthetic('F32', 1)), ...(await synthetic('BF16', 1)), ...(await synthetic('F16', 1))];
  const blends: Record<string, Blend> = {
    'the four shards': blendOf(shards),
    'the four shards, backwards': blendOf(shards.toReversed()),
    'noto:2+ink:1': blendOf([noto, ink], [2, 1]),
    'noto+fluent+twemoji at 0.37, 0.31, 0.32': blendOf([noto, fluent, twemoji], ['0.37', '0.31', '0.32']),
    'the four shards as F32': { ...blendOf(shards), dtype: 'F32' },
    'every half': { ...blendOf(halves, [1, 2, 3, 1]), allowNonFinite: true },
    'every half, as BF16': { ...blendOf(halves, [5, 2, 3, 1]), dtype: 'BF16', allowNonFinite: true },
    'F32, BF16 and F16': { ...blendOf(mixed, ['1/3', '0.25', 2]), allowNonFinite: true },
    'F32 minus BF16': { ...blendOf(mixed, [3, -1, 0]), dtype: 'F16', allowNonFinite: true },
  };
  const hashes: Record<string, string> = {};
  for (const [name, blend] of Object.entries(blends)) hashes[name] = await hashOf(gpu, blend);
  return hashes;
}

async function hashOf(gpu: Gpu, blend: Blend): Promise<string> {
  const file = layOutFile(outputsOf(blend));
  const bytes = new Uint8Array(file.size);
  let at = 0;
  for await (const piece of mergeSafetensors(gpu, file)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

const ELEMENTS = 65_537; // odd, and more than there are halves

/** Bit patterns of every exponent, also of infinities and NaNs: the same everywhere. */
async function synthetic(dtype: 'F32' | 'BF16' | 'F16', count: number): Promise<Weights[]> {
  const size = dtype === 'F32' ? 4 : 2;
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const { header, offsets, size: total } = encodeSafetensorsHeader([{ name: 'w', dtype, shape: [ELEMENTS] }]);
      const file = new Uint8Array(total);
      file.set(header);
      const view = new DataView(file.buffer, offsets.get('w'));
      for (let at = 0; at < ELEMENTS; at++) {
        const bits = Math.imul(at + 1, 0x9e3779b1 + 2 * i * 0x1003f) >>> 0;
        if (size === 4) view.setUint32(at * 4, (bits ^ (bits >>> 15)) >>> 0, true);
        else view.setUint16(at * 2, dtype === 'F16' && i === 0 ? at : bits >>> 16, true);
      }
      return openSafetensors(bytesSource(file, `${dtype} ${i}`));
    }),
  );
}
