/** Where a merged file goes: a file that the user chose, or one of the origin's own that is handed out when it is whole. */

export interface Target {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** The file, where it is the origin's own. */
  commit(): Promise<{ readonly file?: File }>;
  abort(): Promise<void>;
}

const FOLDER = 'merged';
/** After so long nobody downloads it any more. */
const STALE_MS = 3_600_000;

/** What the user chose is replaced at the end, or stays as it was. */
export async function openTarget(chosen?: FileSystemFileHandle): Promise<Target> {
  if (chosen) {
    const writer = await chosen.createWritable();
    return {
      ...streaming(writer),
      async commit() {
        await writer.close();
        return {};
      },
    };
  }
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
  await clearStale(folder);
  const name = `${crypto.randomUUID()}.safetensors`;
  const handle = await folder.getFileHandle(name, { create: true });
  const writer = await handle.createWritable();
  const { write, abort } = streaming(writer);
  return {
    write,
    async commit() {
      await writer.close();
      return { file: await handle.getFile() };
    },
    async abort() {
      await abort();
      await folder.removeEntry(name);
    },
  };
}

const streaming = (writer: FileSystemWritableFileStream) => ({
  write: (bytes: Uint8Array<ArrayBuffer>) => writer.write(bytes),
  abort: () => writer.abort(),
});

/** What tabs left behind. */
async function clearStale(folder: FileSystemDirectoryHandle): Promise<void> {
  for await (const entry of (folder as unknown as { values(): AsyncIterable<FileSystemHandle> }).values()) {
    if (entry.kind !== 'file') continue;
    const { lastModified } = await (entry as FileSystemFileHandle).getFile();
    if (Date.now() - lastModified > STALE_MS) await folder.removeEntry(entry.name).catch(() => {});
  }
}
