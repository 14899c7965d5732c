/**
 * A copy of a remote file in the origin's private file system, filled block by block as it is read. Which blocks are there
 * stands in a record beside it, written after them: what broke off goes on where it stopped.
 */
import { decodeBits, encodeBits } from './bits.js';

/** Downloaded at once, at least: a header, a small file, or a piece of a tensor. */
export const BLOCK_BYTES = 2 ** 20;
/** The record is written again after so many bytes of blocks, or so many milliseconds: a page may go without a word. */
const RECORD_EVERY = 16 * BLOCK_BYTES;
const RECORD_AFTER_MS = 250;

/** Which version of a file a mirror is of. */
export interface Version {
  readonly url: string;
  readonly size: number;
  /** What the server says of the version: its ETag, or when it was last modified; empty when it says neither. */
  readonly tag: string;
}

/** The two files, as FileSystemSyncAccessHandle has them. */
export interface Handle {
  read(target: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** Fills `target` with the bytes at `offset` of the remote file. */
export type FetchInto = (target: Uint8Array<ArrayBuffer>, offset: number) => Promise<void>;
export type OnRead = (origin: 'network' | 'cache', bytes: number) => void;

export class Mirror {
  #unrecorded = 0;
  #recording: ReturnType<typeof setTimeout> | undefined;
  /** One reader fills at a time; two would download the same block. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Set when the disk is full: what is there serves, and the rest comes from the network. */
  #isFull = false;
  /** It was thrown away while somebody reads. */
  #isClosed = false;

  private constructor(
    private readonly version: Version,
    private readonly data: Handle,
    private readonly record: Handle,
    private readonly here: Uint8Array,
  ) {}

  /** Takes over what lies in the files when it is of this version, and begins anew otherwise. */
  static open(version: Version, data: Handle, record: Handle): Mirror {
    const blocks = Math.ceil(version.size / BLOCK_BYTES);
    let here = readRecord(record, version, blocks);
    if (here && data.getSize() < endOf(here, version.size)) here = undefined; // cut off, by whatever did it
    if (!here) {
      record.truncate(0);
      data.truncate(0);
    }
    return new Mirror(version, data, record, here ?? new Uint8Array(blocks));
  }

  /** Bytes that are here. */
  get bytes(): number {
    return this.held(0, this.version.size);
  }

  /** How many of `bytes` bytes at `offset` are here. */
  held(offset: number, bytes: number): number {
    const end = offset + bytes;
    let held = 0;
    for (let block = Math.floor(offset / BLOCK_BYTES); block * BLOCK_BYTES < end; block++) {
      if (!this.here[block]) continue;
      held += Math.min(end, (block + 1) * BLOCK_BYTES) - Math.max(offset, block * BLOCK_BYTES);
    }
    return held;
  }

  /** Fills `target`; what is not here is fetched first, in whole blocks. */
  async readInto(target: Uint8Array, offset: number, fetchInto: FetchInto, onRead: OnRead): Promise<void> {
    const turn = this.#turn.then(
      () => this.#read(target, offset, fetchInto, onRead),
      () => this.#read(target, offset, fetchInto, onRead),
    );
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #read(target: Uint8Array, offset: number, fetchInto: FetchInto, onRead: OnRead): Promise<void> {
    for (let done = 0; done < target.byteLength; ) {
      if (this.#isClosed) {
        const rest = new Uint8Array(target.byteLength - done);
        await fetchInto(rest, offset + done);
        target.set(rest, done);
        onRead('network', rest.byteLength);
        return;
      }
      const at = offset + done;
      const first = Math.floor(at / BLOCK_BYTES);
      const isHere = this.here[first] === 1;
      // As many blocks as are alike, up to the end of what is wanted.
      let last = first;
      const lastWanted = Math.floor((offset + target.byteLength - 1) / BLOCK_BYTES);
      while (last < lastWanted && (this.here[last + 1] === 1) === isHere) last++;
      const end = Math.min(offset + target.byteLength, (last + 1) * BLOCK_BYTES);
      const part = target.subarray(done, done + end - at);
      if (isHere) {
        this.#readHere(part, at);
        onRead('cache', part.byteLength);
      } else {
        await this.#fill(first, last, part, at, fetchInto);
        onRead('network', part.byteLength);
      }
      done += part.byteLength;
    }
  }

  #readHere(part: Uint8Array, at: number): void {
    for (let done = 0; done < part.byteLength; ) {
      const read = this.data.read(part.subarray(done), { at: at + done });
      if (read === 0) throw new RangeError(`${this.version.url}: its copy ends at byte ${at + done}`);
      done += read;
    }
  }

  /** Fetches blocks, a few at a time, and keeps what is wanted of them. */
  async #fill(first: number, last: number, part: Uint8Array, at: number, fetchInto: FetchInto): Promise<void> {
    for (let block = first; block <= last; block += BLOCKS_AT_ONCE) {
      const begin = block * BLOCK_BYTES;
      const end = Math.min(this.version.size, Math.min(last + 1, block + BLOCKS_AT_ONCE) * BLOCK_BYTES);
      const bytes = new Uint8Array(end - begin);
      await fetchInto(bytes, begin);
      const [from, to] = [Math.max(at, begin), Math.min(at + part.byteLength, end)];
      part.set(bytes.subarray(from - begin, to - begin), from - at);
      this.#keep(bytes, begin);
    }
  }

  #keep(bytes: Uint8Array, begin: number): void {
    if (this.#isFull || this.#isClosed) return;
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        done += this.data.write(bytes.subarray(done), { at: begin + done });
      }
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'QuotaExceededError')) throw error;
      this.#isFull = true;
      return;
    }
    const first = begin / BLOCK_BYTES;
    this.here.fill(1, first, first + Math.ceil(bytes.byteLength / BLOCK_BYTES));
    this.#unrecorded += bytes.byteLength;
    if (this.#unrecorded >= RECORD_EVERY) this.#writeRecord();
    else this.#recording ??= setTimeout(() => this.#tryRecord(), RECORD_AFTER_MS);
  }

  #tryRecord(): void {
    try {
      if (this.#unrecorded > 0) this.#writeRecord();
    } catch {
      // What is not recorded is fetched again.
    }
  }

  #writeRecord(): void {
    clearTimeout(this.#recording);
    this.#recording = undefined;
    this.data.flush(); // the blocks before the word that they are there
    const text = JSON.stringify({ ...this.version, blocks: encodeBits(this.here) });
    const bytes = new TextEncoder().encode(text);
    this.record.truncate(0);
    this.record.write(bytes, { at: 0 });
    this.record.flush();
    this.#unrecorded = 0;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#turn;
    this.#tryRecord();
    clearTimeout(this.#recording);
    this.data.close();
    this.record.close();
  }
}

const BLOCKS_AT_ONCE = 8;

/** Where the last block that is there ends. */
const endOf = (here: Uint8Array, size: number): number => Math.min(size, (here.lastIndexOf(1) + 1) * BLOCK_BYTES);

function readRecord(record: Handle, version: Version, blocks: number): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.min(record.getSize(), 2 ** 20));
  record.read(bytes, { at: 0 });
  try {
    const { url, size, tag, blocks: bits } = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    if (url !== version.url || size !== version.size || tag !== version.tag || typeof bits !== 'string')
      return undefined;
    return decodeBits(bits, blocks);
  } catch {
    return undefined; // a new one, or one whose writing broke off
  }
}
