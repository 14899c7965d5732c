/** Files behind URLs, from a server that is a function. */
import { CheckpointError, DiskError } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { type Fetch, httpFolder } from '../../../packages/viewer/src/files/http.ts';

const FILE = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);
const asked: string[] = [];

const streamOf = (chunks: readonly Uint8Array<ArrayBuffer>[]) =>
  new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

/** Answers in chunks of 64 bytes, as a network would. */
function server({ ranges = true, etag = (): string => '"a"', short = 0, size = FILE.length } = {}): Fetch {
  return async (url, { method, headers }) => {
    asked.push(url);
    if (!url.endsWith('/unet/a%20b.bin')) return new Response(null, { status: url.endsWith('/broken') ? 500 : 404 });
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(headers).get('range') ?? '') ?? [];
    const isRange = ranges && from !== undefined;
    const bytes = isRange ? FILE.subarray(Number(from), Number(to) + 1) : FILE;
    const sent = bytes.subarray(0, bytes.length - short);
    const chunks = Array.from({ length: Math.ceil(sent.length / 64) }, (_, i) => sent.slice(i * 64, i * 64 + 64));
    return new Response(method === 'HEAD' ? null : streamOf(chunks), {
      status: isRange ? 206 : 200,
      headers: {
        'content-length': `${size}`,
        etag: etag(),
        ...(isRange && { 'content-range': `bytes ${from}-${to}/${FILE.length}` }),
      },
    });
  };
}

const open = async (ask: Fetch) => (await httpFolder('https://models.test/soup/', ask).open('unet/a b.bin'))!;

test.each([true, false])('reads any part of a file, with ranges: %s', async (ranges) => {
  const source = await open(server({ ranges }));
  expect(source.size).toBe(FILE.length);
  for (const [offset, length] of [
    [0, 1000],
    [0, 1],
    [63, 2],
    [130, 500],
    [999, 1],
    [1000, 0],
  ] as const) {
    const target = new Uint8Array(length);
    await source.readInto(target, offset);
    expect(target).toEqual(FILE.slice(offset, offset + length));
  }
  await expect(source.readInto(new Uint8Array(2), 999)).rejects.toThrow(RangeError);
  expect(new Set(asked)).toEqual(new Set(['https://models.test/soup/unet/a%20b.bin']));
});

test('a file that is not there is not an error; an answer that is neither, is', async () => {
  const folder = httpFolder('https://models.test/soup', server());
  expect(await folder.open('missing')).toBeUndefined();
  await expect(folder.open('broken')).rejects.toThrow('the server answered 500');
  const offline = httpFolder('https://models.test', () => Promise.reject(new TypeError('fetch failed')));
  await expect(offline.open('x')).rejects.toThrow('cannot be reached');
});

test('bytes of another version, and too few of them, are never taken', async () => {
  let version = 0;
  const changing = await open(server({ etag: () => `"${version++}"` }));
  await expect(changing.readInto(new Uint8Array(4), 0)).rejects.toThrow(CheckpointError);
  const grown = await open(server({ size: 1200 }));
  await expect(grown.readInto(new Uint8Array(4), 0)).rejects.toThrow('changed while it was read');
  const cut = await open(server({ short: 3 }));
  await expect(cut.readInto(new Uint8Array(100), 0)).rejects.toThrow(DiskError);
});

test('a large file of a server without ranges is refused before it is read', async () => {
  const source = await open(server({ ranges: false, size: 2 ** 31 }));
  await expect(source.readInto(new Uint8Array(4), 8)).rejects.toThrow('whole files only');
});
