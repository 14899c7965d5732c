/** A planned model on the disk: a folder with its ledger inside, or a file with its ledger beside it. */
import { basename, dirname, resolve } from 'node:path';
import { type Gpu, type MergePlan, throwIfAborted } from '@diffusion-soup/core';
import { atomicWriter } from '../atomic-file.js';
import { type FolderFile, writeFolderAtomic } from '../atomic-folder.js';
import { LEDGER_FILE, ledgerPath } from '../ledger/file.js';
import { makeFolder } from '../picture-file.js';
import { type ComputedHashes, type Content, type ContentOptions, contentOf } from './content.js';

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface WriteOptions extends ContentOptions {
  /** Filled with the hashes of the tensors that are computed. */
  readonly computed: ComputedHashes;
  readonly onProgress: (done: number, total: number) => void;
  /** The ledger, once all weights are written; `nameOf` says what the ledger calls a planned file. */
  readonly ledger: (written: readonly WrittenFile[], nameOf: (path: string) => string) => string;
}

export async function writeModel(gpu: Gpu, plan: MergePlan, target: string, options: WriteOptions) {
  const path = resolve(target);
  await makeFolder(dirname(path));
  const isFile = plan.files.length === 1 && plan.files[0]!.path === '';
  const files = isFile ? await writeSingle(gpu, plan, path, options) : await writeFolder(gpu, plan, path, options);
  return { files, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

async function writeFolder(gpu: Gpu, plan: MergePlan, path: string, options: WriteOptions): Promise<WrittenFile[]> {
  const planned = plan.files.map((file) =>
    folderFile(file.path, () => contentOf(gpu, file, options, options.computed)),
  );
  async function* ledger(written: readonly WrittenFile[]) {
    yield new TextEncoder().encode(options.ledger(written, (inner) => inner));
  }
  const { files } = await writeFolderAtomic(path, [...planned, { path: LEDGER_FILE, content: ledger }], {
    signal: options.signal,
    onProgress: (done) => options.onProgress(Math.min(done, plan.bytes), plan.bytes),
  });
  return files;
}

/** A file whose content knows its own hash. */
export function folderFile(path: string, contentOf: () => Content): FolderFile {
  let content: Content | undefined;
  return {
    path,
    content() {
      content = contentOf();
      return content.pieces;
    },
    sha256: () => content!.sha256(),
  };
}

async function writeSingle(gpu: Gpu, plan: MergePlan, path: string, options: WriteOptions): Promise<WrittenFile[]> {
  const [file] = plan.files;
  const name = basename(path);
  let bytes = 0;
  const writer = await atomicWriter(path);
  try {
    const content = contentOf(gpu, file!, options, options.computed);
    for await (const piece of content.pieces) {
      throwIfAborted(options.signal);
      await writer.write(piece);
      bytes += piece.length;
      options.onProgress(Math.min(bytes, plan.bytes), plan.bytes);
    }
    const written = { path: '', bytes, sha256: content.sha256() };
    const ledger = options.ledger([written], () => name);
    await writer.commit({ path: ledgerPath(path), content: ledger });
    return [{ ...written, path: name }];
  } finally {
    await writer.abort();
  }
}
