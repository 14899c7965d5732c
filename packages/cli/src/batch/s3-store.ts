/**
 * Pictures in a bucket of S3, or of anything that speaks its language: s3://bucket/prefix. Credentials and region come from
 * where AWS's own tools take them, another service's address from AWS_ENDPOINT_URL. Each picture is sent with its SHA-256,
 * which the service compares before it shows it; then its size and sum are asked back.
 */
import { resolve } from 'node:path';
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { DiskError, UsageError } from '@diffusion-soup/core';
import type { Io } from '../output.js';
import { printable } from '../text.js';
import type { Store } from './store.js';

const TYPES: Readonly<Record<string, string>> = { png: 'image/png', webp: 'image/webp', jpg: 'image/jpeg' };
const MOST_ATTEMPTS = 5;

export function s3Store(url: string, env: Io['env']): Store {
  const [, bucket = '', rest = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(url) ?? [];
  if (bucket === '') throw new UsageError(`--out ${printable(url)}: expected s3://bucket/prefix`);
  const prefix = rest.replace(/^\/+|\/+$/g, '');
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
  const client = new S3Client({
    maxAttempts: MOST_ATTEMPTS, // with growing pauses
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1',
    // Services of one's own have no name for each bucket.
    ...(endpoint && { endpoint, forcePathStyle: true }),
  });
  const keyOf = (path: string): string => (prefix === '' ? path : `${prefix}/${path}`);
  const locate = (path: string): string => `s3://${bucket}/${keyOf(path)}`;
  const failed = (path: string, doing: string, error: unknown): DiskError => {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return new DiskError(
      `cannot ${doing} ${locate(path)}: ${printable(reason)}`,
      { path: locate(path) },
      { cause: error },
    );
  };
  return {
    name: `s3://${bucket}${prefix && `/${prefix}`}`,
    folder: resolve(`${[bucket, ...prefix.split('/')].filter(Boolean).join('-')}.soup-batch`),
    locate,
    async read(path) {
      try {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(path) }));
        return await Body?.transformToByteArray();
      } catch (error) {
        if (error instanceof Error && (error.name === 'NoSuchKey' || error.name === 'NotFound')) return undefined;
        throw failed(path, 'read', error);
      }
    },
    async put(path, bytes, sha256) {
      const ChecksumSHA256 = Buffer.from(sha256, 'hex').toString('base64');
      const at = { Bucket: bucket, Key: keyOf(path) };
      try {
        const ContentType = TYPES[path.split('.').at(-1)!];
        await client.send(
          new PutObjectCommand({ ...at, Body: bytes, ContentType, ChecksumSHA256, Metadata: { sha256 } }),
        );
        const head = await client.send(new HeadObjectCommand({ ...at, ChecksumMode: 'ENABLED' }));
        if (head.ContentLength !== bytes.length || (head.ChecksumSHA256 ?? ChecksumSHA256) !== ChecksumSHA256) {
          throw new Error(`it has ${head.ContentLength} bytes there; expected ${bytes.length} of another sum`);
        }
      } catch (error) {
        throw failed(path, 'write', error);
      }
    },
    async free() {
      return undefined;
    },
  };
}
