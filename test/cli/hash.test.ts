/** Content hashes: of files, of tensors, of models; in threads or not, from the cache or not. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { bytesSource, configMetadata, openSafetensors } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fileSource, stampOf } from '../../packages/cli/src/files.ts';
import { cacheFolder, openHashCache } from '../../packages/cli/src/hash/cache.ts';
import { hashModel } from '../../packages/cli/src/hash/model.ts';
import { hashFiles } from '../../packages/cli/src/hash/pool.ts';
import type { HashJob } from '../../packages/cli/src/hash/read-file.ts';
import { hashComponent } from '../../packages/cli/src/hash/weights.ts';
import { buildCli, scratch } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';
import { safetensorsFile } from '../support/safetensors.ts';
import { loadFolder, singleFileOf } from '../support/single-file.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

const hex = (...parts: (Uint8Array | string)[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};

/** Bytes that look random and are the same every time. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Math.imul(i + 1, 2654435761) >>> 13;
  return bytes;
}

function jobOf(path: string, ranges: HashJob['ranges'] = []): HashJob {
  const facts = statSync(path, { bigint: true });
  return { path, stamp: stampOf(facts), size: Number(facts.size), ranges };
}

describe('one read', () => {
  const CHUNK = 4 * 2 ** 20;

  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])('of %i bytes', async (size) => {
    const bytes = noise(size);
    writeFileSync(folder.in('a'), bytes);
    const at = (share: number) => Math.floor(size * share);
    const ranges: [number, number][] = [
      [0, size],
      [at(0.5), size],
      [at(0.1), at(0.9)],
      [at(0.3), at(0.3)],
      [size, size],
      [0, Math.min(size, 1)],
      [at(0.1), at(0.9)],
      [Math.min(size, CHUNK - 1), Math.min(size, CHUNK + 1)],
      [Math.min(size, CHUNK), Math.min(size, 2 * CHUNK)],
    ];
    const [found] = await hashFiles([jobOf(folder.in('a'), ranges)]);
    expect(found!.sha256).toBe(hex(bytes));
    expect(found!.ranges).toEqual(ranges.map(([begin, end]) => hex(bytes.subarray(begin, end))));
  });

  test('refuses a range beyond the end', async () => {
    writeFileSync(folder.in('a'), noise(10));
    await expect(hashFiles([jobOf(folder.in('a'), [[5, 11]])])).rejects.toThrow(RangeError);
    await expect(hashFiles([jobOf(folder.in('a'), [[11, 12]])])).rejects.toThrow(RangeError);
  });

  test('counts every byte once', async () => {
    const sizes = [10, 0, 5 * 2 ** 20];
    const jobs = sizes.map((size, i) => {
      writeFileSync(folder.in(`${i}`), noise(size));
      return jobOf(folder.in(`${i}`));
    });
    const seen: [number, number][] = [];
    await hashFiles(jobs, { onProgress: (done, total) => void seen.push([done, total]) });
    const total = sizes.reduce((a, b) => a + b);
    expect(seen.at(-1)).toEqual([total, total]);
    expect(seen.map(([done]) => done)).toEqual(seen.map(([done]) => done).toSorted((a, b) => a - b));
  });

  test.each<[string, (path: string) => void]>([
    ['grew', (path) => appendFileSync(path, 'x')],
    ['shrank', (path) => truncateSync(path, 5 * 2 ** 20)],
    ['was written to', (path) => writeFileSync(path, noise(9 * 2 ** 20))],
    [
      'was replaced',
      (path) => {
        writeFileSync(`${path}.new`, noise(9 * 2 ** 20));
        renameSync(`${path}.new`, path);
      },
    ],
  ])('refuses a file that %s meanwhile', async (_, change) => {
    const path = folder.in('a');
    writeFileSync(path, noise(9 * 2 ** 20));
    const job = jobOf(path);
    let isChanged = false;
    const onProgress = () => {
      if (!isChanged) change(path);
      isChanged = true;
    };
    await expect(hashFiles([job], { onProgress })).rejects.toThrow(/was changed while it was read/);
    await expect(hashFiles([job])).rejects.toThrow(/was changed while it was read/);
  });

  test('stops when told to, and names what cannot be read', async () => {
    writeFileSync(folder.in('a'), noise(9 * 2 ** 20));
    const stop = new AbortController();
    const stopped = hashFiles([jobOf(folder.in('a'))], { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toMatchObject({ name: 'CancelledError', exitCode: 130 });
    const gone = { ...jobOf(folder.in('a')), path: folder.in('b') };
    await expect(hashFiles([gone])).rejects.toMatchObject({ name: 'DiskError', facts: { code: 'ENOENT' } });
  });
});

describe('threads', () => {
  type Pool = typeof import('../../packages/cli/src/hash/pool.ts');
  const built = async (): Promise<Pool> => {
    buildCli();
    return import(new URL('../../packages/cli/dist/hash/pool.js', import.meta.url).href);
  };
  const files = (count: number) =>
    Array.from({ length: count }, (_, i) => {
      writeFileSync(folder.in(`${i}`), noise(2 ** 20 * (i + 1)));
      return jobOf(folder.in(`${i}`), [[i, 2 ** 20]]);
    });

  test('give what one gives, in order', async () => {
    const jobs = files(7);
    let done = 0;
    const found = await (await built()).hashFiles(jobs, { threads: 3, onProgress: (now) => (done = now) });
    expect(found).toEqual(await hashFiles(jobs));
    expect(done).toBe(28 * 2 ** 20);
  });

  test('stop, all of them, at the first failure or on request', async () => {
    const { hashFiles: hashInThreads } = await built();
    const jobs = files(6);
    appendFileSync(folder.in('3'), 'x');
    await expect(hashInThreads(jobs, { threads: 2 })).rejects.toMatchObject({
      name: 'CheckpointError',
      message: expect.stringMatching(/3 was changed while it was read/),
    });
    const stop = new AbortController();
    const stopped = hashInThreads(files(6), { threads: 2, signal: stop.signal, onProgress: () => stop.abort() });
    await expect(stopped).rejects.toMatchObject({ name: 'CancelledError' });
    await expect(hashInThreads(files(2), { threads: 2, signal: stop.signal })).rejects.toMatchObject({ exitCode: 130 });
    const gone = files(3).map((job) => ({ ...job, path: `${job.path}-gone` }));
    await expect(hashInThreads(gone, { threads: 2 })).rejects.toMatchObject({ name: 'DiskError' });
  });
});

describe('roots', () => {
  const header = (names: readonly string[], dtype = 'F16', shape = [2]) =>
    JSON.stringify(
      Object.fromEntries(names.map((name, i) => [name, { dtype, shape, data_offsets: [4 * i, 4 * i + 4] }])),
    );
  const rootOf = async (file: Uint8Array): Promise<string> =>
    (await hashComponent(await openSafetensors(bytesSource(file, 'a')), '.')).root;

  test('of one tensor is its leaf', async () => {
    const data = noise(4);
    const leaf = hex(Uint8Array.of(0), '["a","F16",[2]]', createHash('sha256').update(data).digest());
    expect(await rootOf(safetensorsFile(header(['a']), { data }))).toBe(leaf);
  });

  test('do not depend on the order in the file, and on all else', async () => {
    const [a, b] = [noise(4), noise(8).subarray(4)];
    const root = await rootOf(safetensorsFile(header(['a', 'b']), { data: Buffer.concat([a, b]) }));
    expect(await rootOf(safetensorsFile(header(['b', 'a']), { data: Buffer.concat([b, a]) }))).toBe(root);
    const data = Buffer.concat([a, b]);
    const others = [
      safetensorsFile(header(['a', 'c']), { data }),
      safetensorsFile(header(['b', 'a']), { data }),
      safetensorsFile(header(['a', 'b'], 'BF16'), { data }),
      safetensorsFile(header(['a', 'b'], 'F16', [1, 2]), { data }),
      safetensorsFile(header(['a']), { data: a }),
    ];
    const roots = await Promise.all(others.map(rootOf));
    expect(new Set([root, ...roots]).size).toBe(others.length + 1);
  });

  test('of a model of the pantry: in one file, in shards, from memory', async () => {
    const whole = await hashModel(`${PANTRY}/noto`);
    const file = readFileSync(`${PANTRY}/noto/unet/diffusion_pytorch_model.safetensors`);
    const unet = whole.components.get('unet')!;
    expect(unet.files).toEqual([
      { path: 'unet/diffusion_pytorch_model.safetensors', bytes: file.length, sha256: hex(file) },
    ]);
    expect(whole.bytes).toBe(file.length);

    const weights = await openSafetensors(bytesSource(file, 'memory'));
    const inMemory = await hashComponent(weights, '.');
    expect([inMemory.root, inMemory.files]).toEqual([unet.root, []]);

    const path = folder.in('shards/unet');
    mkdirSync(path, { recursive: true });
    cpSync(`${PANTRY}/noto/unet/config.json`, `${path}/config.json`);
    const names = [...weights.tensors.keys()].sort();
    const halves = [names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)];
    const weightMap: Record<string, string> = {};
    for (const [i, half] of halves.entries()) {
      const json: Record<string, unknown> = {};
      const data: Uint8Array[] = [];
      let at = 0;
      for (const name of half) {
        const { dtype, shape, offset, byteLength } = weights.tensors.get(name)!;
        json[name] = { dtype, shape, data_offsets: [at, at + byteLength] };
        data.push(file.subarray(offset, offset + byteLength));
        at += byteLength;
        weightMap[name] = `part-${i}.safetensors`;
      }
      writeFileSync(
        `${path}/part-${i}.safetensors`,
        safetensorsFile(JSON.stringify(json), { data: Buffer.concat(data) }),
      );
    }
    writeFileSync(`${path}/diffusion_pytorch_model.safetensors.index.json`, JSON.stringify({ weight_map: weightMap }));
    const inShards = await hashModel(folder.in('shards'));
    expect(inShards.root).toBe(whole.root);
    expect(
      inShards.components
        .get('unet')!
        .files.map((one) => one.path)
        .sort(),
    ).toEqual(['unet/part-0.safetensors', 'unet/part-1.safetensors']);
  });

  test('of a model as a single file is that of its folder; what is no model has one of its own', async () => {
    const base = await loadFolder(`${PANTRY}/base`);
    const single = await singleFileOf(base, configMetadata(base.configs));
    await base.close();
    writeFileSync(folder.in('base.safetensors'), single);
    const inFolder = await hashModel(`${PANTRY}/base`);
    const inFile = await hashModel(folder.in('base.safetensors'));
    expect(inFile.root).toBe(inFolder.root);
    for (const [part, { root, files }] of inFile.components) {
      expect(root).toBe(inFolder.components.get(part)!.root);
      expect(files).toEqual([{ path: 'base.safetensors', bytes: single.length, sha256: hex(single) }]);
    }
    expect(inFile.bytes).toBe(single.length);

    const header = JSON.stringify({ 'lora_unet_x.lora_up.weight': { dtype: 'F16', shape: [2], data_offsets: [0, 4] } });
    writeFileSync(folder.in('lora.safetensors'), safetensorsFile(header, { data: 4 }));
    expect([...(await hashModel(folder.in('lora.safetensors'))).components.keys()]).toEqual(['file']);
  });

  test('a model without weights is refused', async () => {
    mkdirSync(folder.in('empty/scheduler'), { recursive: true });
    writeFileSync(folder.in('empty/scheduler/scheduler_config.json'), '{}');
    await expect(hashModel(folder.in('empty'))).rejects.toThrow(/has no weights/);
  });
});

describe('the cache', () => {
  const HOUR_AGO = new Date(Date.now() - 3_600_000);
  /** A model whose stamp lies long enough back: ctime cannot be set, so the clock is moved instead. */
  const old = (name: string) => {
    cpSync(`${PANTRY}/noto`, folder.in(name), { recursive: true });
    return folder.in(name);
  };
  const later = async <T>(work: () => Promise<T>): Promise<T> => {
    const now = Date.now;
    Date.now = () => now() + 10_000;
    try {
      return await work();
    } finally {
      Date.now = now;
    }
  };
  const env = () => ({ XDG_CACHE_HOME: folder.in('cache') });
  const entries = () => readdirSync(folder.in('cache/diffusion-soup/hashes'));
  const bytesRead = async (path: string, options: object = {}) => {
    let read = 0;
    const cache = openHashCache(env());
    const { root } = await later(() => hashModel(path, { cache, onProgress: (done) => (read = done), ...options }));
    return { read, root };
  };

  test('spares a second read, not after a change', async () => {
    const path = old('a');
    const first = await bytesRead(path);
    expect(first.read).toBeGreaterThan(9e6);
    expect(await bytesRead(path)).toEqual({ read: 0, root: first.root });
    expect(await bytesRead(path, { fresh: true })).toEqual(first);
    renameSync(path, folder.in('b'));
    expect(await bytesRead(folder.in('b'))).toEqual({ read: 0, root: first.root });

    const file = folder.in('b/unet/diffusion_pytorch_model.safetensors');
    const bytes = readFileSync(file);
    const { mtime } = statSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    utimesSync(file, mtime, mtime); // as a tool does that keeps times
    const changed = await bytesRead(folder.in('b'));
    expect(changed.read).toBe(first.read);
    expect(changed.root).not.toBe(first.root);
  });

  test('keeps nothing of a file that was changed a moment ago', async () => {
    const path = old('a');
    const cache = openHashCache(env());
    await hashModel(path, { cache });
    expect(() => entries()).toThrow(/ENOENT/);
    utimesSync(`${path}/unet/diffusion_pytorch_model.safetensors`, HOUR_AGO, HOUR_AGO);
    await hashModel(path, { cache });
    expect(() => entries()).toThrow(/ENOENT/);
  });

  test.each<[string, (text: string) => string]>([
    ['emptied', () => ''],
    ['cut', (text) => text.slice(0, text.length / 2)],
    ['with another hash', (text) => text.replace(/"sha256":"../, '"sha256":"zz')],
    ['not of ours', () => '{}'],
    ['binary', () => '\u0000\uffff'.repeat(1000)],
    ['well summed but empty', () => `${hex('{}')}\n{}\n`],
    ['well summed but no JSON', () => `${hex('nothing')}\nnothing\n`],
    ['well summed, of the wrong form', () => `${hex('{"stamp":1,"ranges":[3]}')}\n{"stamp":1,"ranges":[3]}\n`],
  ])('an entry that is %s counts as none, and is replaced', async (_, damage) => {
    const path = old('a');
    const first = await bytesRead(path);
    const [name] = entries();
    const file = folder.in(`cache/diffusion-soup/hashes/${name}`);
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, damage(good));
    expect(await bytesRead(path)).toEqual(first);
    expect(readFileSync(file, 'utf8')).toBe(good);
  });

  test('that cannot be written is none', async () => {
    const path = old('a');
    writeFileSync(folder.in('cache'), 'a file where the folder should be');
    const first = await bytesRead(path);
    expect(await bytesRead(path)).toEqual(first);
    if (process.getuid?.() === 0) return; // root may write anywhere
    mkdirSync(folder.in('locked'));
    chmodSync(folder.in('locked'), 0o500);
    const cache = openHashCache({ XDG_CACHE_HOME: folder.in('locked') });
    expect((await later(() => hashModel(path, { cache }))).root).toBe(first.root);
  });

  test('serves two at once', async () => {
    const path = old('a');
    const results = await Promise.all([bytesRead(path), bytesRead(path), bytesRead(path)]);
    expect(new Set(results.map(({ root }) => root)).size).toBe(1);
    expect(entries()).toHaveLength(1);
    expect((await bytesRead(path)).read).toBe(0);
  });

  test('is bounded: what was used last stays', async () => {
    const cache = () => openHashCache(env(), { bytes: 2 ** 20, entries: 4 });
    for (let i = 0; i < 8; i++) {
      writeFileSync(folder.in(`${i}`), noise(i));
      const job = jobOf(folder.in(`${i}`));
      await later(() => cache().put(job, { sha256: hex(noise(i)), ranges: [] }));
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (i > 0) expect(await cache().get(jobOf(folder.in('0')))).toBeDefined();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(entries().length).toBeLessThanOrEqual(4);
  });

  test.each([
    [{ XDG_CACHE_HOME: '/x', HOME: '/h' }, '/x/diffusion-soup'],
    [{ XDG_CACHE_HOME: 'x', HOME: '/h' }, '/h/.cache/diffusion-soup'],
    [{ XDG_CACHE_HOME: '', HOME: '/h' }, '/h/.cache/diffusion-soup'],
    [{ HOME: 'h' }, undefined],
    [{}, undefined],
  ])('of %j is %s', (env, path) => {
    expect(cacheFolder(env)).toBe(path);
  });
});

test('a file that is opened through a link has the stamp of the file', async () => {
  writeFileSync(folder.in('a'), noise(8));
  symlinkSync(folder.in('a'), folder.in('link'));
  const [a, link] = [await fileSource(folder.in('a')), await fileSource(folder.in('link'))];
  expect(link.stamp).toBe(a.stamp);
  await Promise.all([a.close?.(), link.close?.()]);
});
