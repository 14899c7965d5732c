/**
 * Copies of remote files in the origin's private file system (OPFS), and what is known of each address: with both, what was
 * read once is there without a network. Everything here may be missing, full or in use by another tab; then files simply come
 * over the network.
 */
import { type FileHash, isFileHash } from './known-hashes.js';
import { type Handle, Mirror, type Version } from './mirror.js';
import { Notes } from './notes.js';

/** What a server said of an address; `absent` when there is no such file. */
export type Facts = { readonly size: number; readonly tag: string } | 'absent';

const FOLDER = 'models';
/** Of this many files: one of Stable Diffusion 1.5's has 60 kB of them. */
const MOST_HASHES = 60;
/** A page that was reloaded gives its copies back a moment after the next one wants them. */
const PATIENCE_MS = 2000;
const AGAIN_MS = 50;

interface OpenMirror {
  readonly mirror: Promise<Mirror | undefined>;
  users: number;
}

export class Cache {
  readonly #open = new Map<string, OpenMirror>();
  readonly #facts: Notes<Facts>;
  /** Of the content of files, by their stamps. */
  readonly hashes: Notes<FileHash>;
  readonly #patientUntil = performance.now() + PATIENCE_MS;

  private constructor(
    private readonly root: FileSystemDirectoryHandle,
    private folder: FileSystemDirectoryHandle,
  ) {
    this.#facts = new Notes(() => this.folder, 'known.json', isFacts);
    this.hashes = new Notes(() => this.folder, 'hashes.json', isFileHash, MOST_HASHES);
  }

  /** Undefined where the browser has no such file system, or does not let this page use it. */
  static async open(root = () => navigator.storage.getDirectory()): Promise<Cache | undefined> {
    try {
      const directory = await root();
      return new Cache(directory, await directory.getDirectoryHandle(FOLDER, { create: true }));
    } catch {
      return undefined;
    }
  }

  /** What was known of an address the last time. */
  facts(url: string): Promise<Facts | undefined> {
    return this.#facts.get(url);
  }

  learn(url: string, facts: Facts): Promise<void> {
    return this.#facts.put(url, facts);
  }

  /** The copy of a file, shared by all who read it; undefined when it cannot be had. Each user releases it. */
  use(version: Version): Promise<Mirror | undefined> {
    const open = this.#open.get(version.url) ?? { mirror: this.#openMirror(version), users: 0 };
    this.#open.set(version.url, open);
    open.users++;
    return open.mirror;
  }

  async release(url: string): Promise<void> {
    const open = this.#open.get(url);
    if (!open || --open.users > 0) return;
    this.#open.delete(url);
    await (await open.mirror)?.close();
  }

  /** Bytes of all copies, and what the browser grants to the whole origin. */
  async info(): Promise<{ used: number; quota: number }> {
    let used = 0;
    for await (const entry of (this.folder as unknown as { values(): AsyncIterable<FileSystemHandle> }).values()) {
      if (entry.kind === 'file') used += (await (entry as FileSystemFileHandle).getFile()).size;
    }
    const { quota = 0 } = await navigator.storage.estimate();
    return { used, quota };
  }

  /** Throws away all copies. What is read at the moment goes on from the network. */
  async clear(): Promise<void> {
    for (const { mirror } of this.#open.values()) await (await mirror)?.close();
    this.#open.clear();
    this.#facts.forget();
    this.hashes.forget();
    await this.root.removeEntry(FOLDER, { recursive: true });
    this.folder = await this.root.getDirectoryHandle(FOLDER, { create: true });
  }

  async #openMirror(version: Version): Promise<Mirror | undefined> {
    const opened: Handle[] = [];
    try {
      const name = await nameOf(version.url);
      for (const ending of ['bin', 'json']) {
        const file = await this.folder.getFileHandle(`${name}.${ending}`, { create: true });
        opened.push(await this.#openHandle(file));
      }
      return Mirror.open(version, opened[0]!, opened[1]!);
    } catch {
      for (const handle of opened) handle.close(); // another tab has it, or there is no room at all
      return undefined;
    }
  }

  /** Only the first moments are waited for: afterwards, whoever has it keeps it. */
  async #openHandle(file: FileSystemFileHandle): Promise<Handle> {
    for (;;) {
      try {
        return await (file as unknown as { createSyncAccessHandle(): Promise<Handle> }).createSyncAccessHandle();
      } catch (error) {
        const isInUse = error instanceof DOMException && error.name === 'NoModificationAllowedError';
        if (!isInUse || performance.now() > this.#patientUntil) throw error;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }
}

const isFacts = (value: unknown): value is Facts =>
  value === 'absent' ||
  (typeof value === 'object' &&
    value !== null &&
    Number.isSafeInteger((value as { size?: unknown }).size) &&
    typeof (value as { tag?: unknown }).tag === 'string');

async function nameOf(url: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
