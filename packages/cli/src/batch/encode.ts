/** Pixels to a file's bytes, texts included. PNGs are made in threads of their own, so that the GPU does not wait for them. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Image } from '@diffusion-soup/core';
import type { Texts } from '../image/exif-texts.js';
import { encodePng } from '../image/png.js';
import { opaque } from '../picture-file.js';
import { jpegWithTexts, webpWithTexts } from './exif.js';
import type { Format } from './names.js';

export interface Encoder {
  encode(image: Image, texts: Texts): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface EncoderOptions {
  readonly format: Format;
  /** Of WebP and JPEG, 1 to 100. */
  readonly quality?: number;
  /** For PNGs; 0 encodes in this thread. */
  readonly threads?: number;
}

const DEFAULT_QUALITY = 92;
const WORKER = fileURLToPath(new URL('./encode-worker.js', import.meta.url));

export function createEncoder({ format, quality = DEFAULT_QUALITY, threads = 1 }: EncoderOptions): Encoder {
  if (format !== 'png') return { encode: (image, texts) => withSharp(image, texts, format, quality), async close() {} };
  // Sources that were not compiled cannot be loaded by a thread.
  if (threads === 0 || !existsSync(WORKER)) {
    return { encode: async (image, texts) => encodePng(opaque(image), texts), async close() {} };
  }
  return inThreads(threads);
}

async function withSharp(image: Image, texts: Texts, format: 'webp' | 'jpeg', quality: number): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const { width, height, pixels } = opaque(image);
  const picture = sharp(Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength), {
    raw: { width, height, channels: 3 },
  });
  if (format === 'jpeg')
    return jpegWithTexts(await picture.jpeg({ quality, chromaSubsampling: '4:4:4' }).toBuffer(), texts);
  return webpWithTexts(await picture.webp({ quality }).toBuffer(), width, height, texts);
}

/** What goes to a thread and comes back from it. */
export interface EncodeJob {
  readonly id: number;
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
  readonly texts: Texts;
}
export type Encoded = { readonly id: number } & ({ readonly bytes: Uint8Array } | { readonly failed: string });

function inThreads(count: number): Encoder {
  const waiting = new Map<number, { resolve(bytes: Uint8Array): void; reject(error: Error): void }>();
  const workers: Worker[] = [];
  let next = 0;
  const start = (): Worker => {
    const worker = new Worker(WORKER);
    worker.unref();
    worker.on('message', (message: Encoded) => {
      const job = waiting.get(message.id);
      waiting.delete(message.id);
      if ('bytes' in message) job?.resolve(message.bytes);
      else job?.reject(new Error(message.failed));
    });
    worker.on('error', (error) => {
      for (const { reject } of waiting.values()) reject(error instanceof Error ? error : new Error(String(error)));
      waiting.clear();
    });
    return worker;
  };
  return {
    encode(image, texts) {
      const id = next++;
      const worker = workers[id % count] ?? start();
      workers[id % count] = worker;
      const { width, height, pixels } = opaque(image);
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        const job: EncodeJob = { id, width, height, pixels: pixels as Uint8Array, texts };
        worker.postMessage(job, [pixels.buffer as ArrayBuffer]);
      });
    },
    async close() {
      for (const worker of workers) await worker?.terminate();
    },
  };
}
