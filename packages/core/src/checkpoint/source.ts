/**
 * Where bytes come from. Core never opens anything: the command line hands in files, the browser hands in
 * blobs, and a checkpoint is read through these two interfaces alone.
 */

/** Random access to a fixed number of bytes. */
export interface Source {
  /** What to call it in an error: a path or a URL. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Fills `target` with the bytes at `offset`; a short read is an error. */
  readInto(target: Uint8Array, offset: number): Promise<void>;
  /** Gives back the file handle, if there is one. */
  close?(): Promise<void>;
}

/** A model folder. Paths use '/' and never leave the folder. */
export interface Folder {
  readonly name: string;
  /** The file at `path`, or undefined when there is none. */
  open(path: string): Promise<Source | undefined>;
}

/** Reads `length` bytes at `offset` into a new array. */
export async function readBytes(source: Source, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  await source.readInto(bytes, offset);
  return bytes;
}

/** A Blob or File of the browser (or of Node) as a source. */
export function blobSource(blob: Blob, name: string): Source {
  return {
    name,
    size: blob.size,
    async readInto(target, offset) {
      const buffer = await blob.slice(offset, offset + target.byteLength).arrayBuffer();
      if (buffer.byteLength !== target.byteLength) {
        throw new RangeError(`${name}: wanted ${target.byteLength} bytes at ${offset}, got ${buffer.byteLength}`);
      }
      target.set(new Uint8Array(buffer));
    },
  };
}

/** Bytes in memory as a source, for tests and small files. */
export function bytesSource(bytes: Uint8Array, name: string): Source {
  return {
    name,
    size: bytes.byteLength,
    async readInto(target, offset) {
      if (offset + target.byteLength > bytes.byteLength) {
        throw new RangeError(`${name}: wanted ${target.byteLength} bytes at ${offset} of ${bytes.byteLength}`);
      }
      target.set(bytes.subarray(offset, offset + target.byteLength));
    },
  };
}
