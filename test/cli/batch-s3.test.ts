/** Pictures in a bucket: a small server that keeps what it is sent, if its sum is right, as S3 does. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UsageError } from '@diffusion-soup/core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { s3Store } from '../../packages/cli/src/batch/s3-store.ts';
import type { Store } from '../../packages/cli/src/batch/store.ts';
import { sha256Bytes } from '../../packages/cli/src/batch/verify.ts';

const objects = new Map<string, Buffer>();
/** Answers of trouble, given before the true ones. */
const trouble: number[] = [];
let server: Server;
let store: Store;

const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('base64');

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test';
  process.env.AWS_SECRET_ACCESS_KEY = 'test';
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      const status = trouble.shift();
      const key = new URL(request.url!, 'http://x').pathname;
      const answer = (code: number, headers = {}, body: Buffer | string = '') =>
        response.writeHead(code, headers).end(request.method === 'HEAD' ? undefined : body);
      if (status !== undefined) return answer(status, {}, '<Error><Code>SlowDown</Code></Error>');
      if (request.method === 'PUT') {
        const bytes = Buffer.concat(chunks);
        if (request.headers['x-amz-checksum-sha256'] !== sum(bytes)) {
          return answer(400, {}, '<Error><Code>BadDigest</Code></Error>');
        }
        objects.set(key, bytes);
        return answer(200);
      }
      const found = objects.get(key);
      if (!found) return answer(404, {}, '<Error><Code>NoSuchKey</Code></Error>');
      return answer(200, { 'content-length': found.length, 'x-amz-checksum-sha256': sum(found) }, found);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  store = s3Store('s3://my-bucket/some/prefix/', { AWS_ENDPOINT_URL: `http://127.0.0.1:${port}` });
});
afterAll(() => void server.close());
beforeEach(() => {
  objects.clear();
  trouble.length = 0;
});

const bytes = new TextEncoder().encode('a picture');

test('what is put is there, under its name, and read back', async () => {
  expect(await store.read('a/b.png')).toBeUndefined();
  await store.put('a/b.png', bytes, sha256Bytes(bytes));
  expect([...objects.keys()]).toEqual(['/my-bucket/some/prefix/a/b.png']);
  expect(Buffer.from((await store.read('a/b.png'))!).equals(bytes)).toBe(true);
  expect(store.locate('a/b.png')).toBe('s3://my-bucket/some/prefix/a/b.png');
});

test('a service that is busy is asked again', async () => {
  trouble.push(503, 503);
  await store.put('a.png', bytes, sha256Bytes(bytes));
  expect(objects.size).toBe(1);
});

test('bytes of another sum are refused', async () => {
  await expect(store.put('a.png', bytes, 'ab'.repeat(32))).rejects.toMatchObject({
    name: 'DiskError',
    message: expect.stringContaining('cannot write s3://my-bucket/some/prefix/a.png'),
  });
  expect(objects.size).toBe(0);
});

test.each(['s3://', 's3://A', 's3://a_b/c'])('%s is no bucket', (url) => {
  expect(() => s3Store(url, {})).toThrow(UsageError);
});
