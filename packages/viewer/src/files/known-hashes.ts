/**
 * What is known of files by their content: hashes of tensors, and of the whole. They are computed when a model is merged,
 * and of tensors that are read to be loaded, while their bytes pass through; never by reading for their own sake.
 */
import type { ModelFile } from './model-file.js';
import type { Notes } from './notes.js';

export interface FileHash {
  /** Of the whole file. */
  readonly sha256?: string;
  /** SHA-256 by "begin-end". */
  readonly ranges: Readonly<Record<string, string>>;
}

/** What may be hashed at a time, beside the bytes themselves: more is let pass unheard. */
const MOST_PENDING = 64 * 2 ** 20;

export class KnownHashes {
  readonly #files = new Map<string, FileHash>();
  readonly #expected = new Map<string, (readonly [begin: number, end: number])[]>();
  readonly #running = new Set<Promise<void>>();
  #pending = 0;

  constructor(private readonly notes?: Notes<FileHash>) {}

  /** The hashes of a file as far as they are known, those of an earlier visit with them. */
  async of(file: ModelFile): Promise<FileHash> {
    const known = this.#files.get(file.stamp);
    if (known) return known;
    const kept = (file.isLocal ? undefined : await this.notes?.get(file.stamp)) ?? { ranges: {} };
    const found = this.#files.get(file.stamp) ?? kept;
    this.#files.set(file.stamp, found);
    return found;
  }

  async learn(file: ModelFile, more: FileHash): Promise<void> {
    const known = await this.of(file);
    const all = { ...known, ...more, ranges: { ...known.ranges, ...more.ranges } };
    this.#files.set(file.stamp, all);
    if (file.hasVersion && !file.isLocal) await this.notes?.put(file.stamp, all);
  }

  /** Where the file's tensors are: of those that are read at once, from now on, the hashes are learnt. */
  expect(file: ModelFile, ranges: readonly (readonly [begin: number, end: number])[]): void {
    this.#expected.set(file.stamp, [...ranges]);
  }

  /** The file, listened to. */
  overhear(file: ModelFile): ModelFile {
    return {
      ...file,
      readInto: async (target, offset) => {
        await file.readInto(target, offset);
        this.#hear(file, target, offset);
      },
    };
  }

  /** Once what has been heard is known. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #hear(file: ModelFile, bytes: Uint8Array, offset: number): void {
    const expected = this.#expected.get(file.stamp);
    const known = this.#files.get(file.stamp)?.ranges ?? {};
    const end = offset + bytes.byteLength;
    const whole = expected?.filter(([from, to]) => from >= offset && to <= end && known[`${from}-${to}`] === undefined);
    if (!whole?.length || this.#pending + bytes.byteLength > MOST_PENDING) return;
    this.#pending += bytes.byteLength;
    // The browser takes a copy of what it is to hash, and hashes it in a thread of its own.
    const hashes = whole.map(async ([from, to]) => {
      const part = bytes.subarray(from - offset, to - offset) as Uint8Array<ArrayBuffer>;
      return [`${from}-${to}`, hex(await crypto.subtle.digest('SHA-256', part))] as const;
    });
    const learning = Promise.all(hashes)
      .then((ranges) => this.learn(file, { ranges: Object.fromEntries(ranges) }))
      .catch(() => {}) // then these tensors are not shared
      .finally(() => {
        this.#pending -= bytes.byteLength;
        this.#running.delete(learning);
      });
    this.#running.add(learning);
  }
}

export const isFileHash = (value: unknown): value is FileHash => {
  const { sha256, ranges } = (value ?? {}) as { sha256?: unknown; ranges?: unknown };
  if (typeof ranges !== 'object' || ranges === null || !(sha256 === undefined || isHash(sha256))) return false;
  return Object.values(ranges).every(isHash);
};

const isHash = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

const hex = (bytes: ArrayBuffer): string =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
