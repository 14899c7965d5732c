/** The pantry's text encoder with so large a table of tokens, all zeros, that its file has 538 MB, which nobody ever makes. */
import { readFileSync } from 'node:fs';
import type { Route } from 'playwright-core';
import { PANTRY } from '../support/files.ts';

const FOLDER = `${PANTRY}/base/text_encoder`;
const TABLE = 'text_model.embeddings.token_embedding.weight';
const TOKENS = 2 ** 20; // the most that is allowed

interface Entry {
  dtype: string;
  shape: number[];
  readonly data_offsets: [number, number];
}

/** Answers what is asked of `.../text_encoder/`. */
export function largeEncoder(): { answer(route: Route): Promise<void>; readonly bytes: number } {
  const config = { ...JSON.parse(readFileSync(`${FOLDER}/config.json`, 'utf8')), vocab_size: TOKENS };
  const file = readFileSync(`${FOLDER}/model.safetensors`);
  const dataAt = 8 + Number(file.readBigUInt64LE());
  const { __metadata__, ...tensors } = JSON.parse(file.toString('utf8', 8, dataAt)) as Record<string, Entry>;
  const table = tensors[TABLE]!;
  const [from, to] = table.data_offsets;
  const added = TOKENS * table.shape[1]! * 4 - (to - from);
  for (const { data_offsets: offsets } of Object.values(tensors)) {
    if (offsets[0] >= to) offsets[0] += added;
    if (offsets[1] >= to) offsets[1] += added;
  }
  table.shape[0] = TOKENS;
  table.dtype = 'F32';
  const json = Buffer.from(JSON.stringify({ __metadata__, ...tensors }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const head = Buffer.concat([length, json, file.subarray(dataAt, dataAt + from)]);
  const tail = file.subarray(dataAt + to);
  const bytes = head.length + (to - from) + added + tail.length;
  const headers = { 'content-type': 'application/octet-stream', etag: '"large"' };
  return {
    bytes,
    async answer(route) {
      const request = route.request();
      if (request.url().endsWith('/config.json')) return route.fulfill({ json: config });
      if (!request.url().endsWith('/model.safetensors')) return route.continue();
      if (request.method() === 'HEAD') {
        return route.fulfill({ headers: { ...headers, 'content-length': String(bytes) } });
      }
      const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers().range!)!.map(Number) as [0, number, number];
      const body = Buffer.alloc(last + 1 - first);
      if (first < head.length) head.copy(body, 0, first);
      const tailAt = bytes - tail.length;
      if (last >= tailAt) tail.copy(body, Math.max(0, tailAt - first), Math.max(0, first - tailAt), last + 1 - tailAt);
      const range = `bytes ${first}-${last}/${bytes}`;
      return route.fulfill({ status: 206, headers: { ...headers, 'content-range': range }, body });
    },
  };
}
