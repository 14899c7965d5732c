/** Models from files, folders and addresses. None of them is sent anywhere: they are read where they are. */
import type { ModelPlace, ModelReference } from './messages.js';

/** A name that is not taken: "ink", "ink-2". */
export function freeName(wanted: string, taken: readonly string[]): string {
  const plain = wanted.replace(/\.safetensors$/i, '').trim() || 'model';
  let name = plain;
  for (let i = 2; taken.includes(name); i++) name = `${plain}-${i}`;
  return name;
}

export function referenceOf(place: ModelPlace, taken: readonly string[]): ModelReference {
  return { name: freeName(wantedName(place), taken), place };
}

function wantedName(place: ModelPlace): string {
  switch (place.type) {
    case 'pantry':
      return place.path.split('/').at(-1)!;
    case 'url':
      return decodeURIComponent(new URL(place.url).pathname.split('/').filter(Boolean).at(-1) ?? 'model');
    case 'hub':
      return place.model;
    case 'directory':
      return place.handle.name;
    case 'file':
      return place.file.name;
    case 'files':
      return place.files[0]?.file.webkitRelativePath.split('/')[0] || 'folder';
  }
}

const HUB = /^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/;

/** An https address or "owner/name"; undefined for anything else. */
export function placeOf(text: string): ModelPlace | undefined {
  const typed = text.trim();
  if (HUB.test(typed)) return { type: 'hub', model: typed };
  return /^https?:\/\//.test(typed) && URL.canParse(typed) ? { type: 'url', url: typed } : undefined;
}

/** Of a folder picker where there are no handles: paths below the folder. */
export const placeOfFiles = (files: readonly File[]): ModelPlace => ({
  type: 'files',
  files: files.map((file) => ({ path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name, file })),
});

export interface Dropped {
  readonly models: readonly ModelPlace[];
  /** A picture or recipe, to restore. */
  readonly recipes: readonly File[];
}

export const isRecipe = (name: string): boolean => /\.(png|ya?ml|json|txt)$/i.test(name);

export async function dropped(transfer: DataTransfer): Promise<Dropped> {
  const files = [...transfer.files];
  // Handles must be asked for before the first await: the transfer is emptied after it.
  const items = [...transfer.items].filter(({ kind }) => kind === 'file');
  const isFolder = items.map((item) => item.webkitGetAsEntry?.()?.isDirectory ?? false);
  const entries = items.map((item) => item.webkitGetAsEntry?.());
  const handles = await Promise.all(
    items.map((item) => ('getAsFileSystemHandle' in item ? handleOf(item) : undefined)),
  );
  const models: ModelPlace[] = [];
  for (const [i, folder] of isFolder.entries()) {
    const handle = handles[i];
    const file = files[i];
    if (folder && handle?.kind === 'directory')
      models.push({ type: 'directory', handle: handle as FileSystemDirectoryHandle });
    else if (folder && entries[i]) models.push(await filesOf(entries[i] as FileSystemDirectoryEntry));
    else if (file && /\.safetensors$/i.test(file.name)) {
      models.push({ type: 'file', file, ...(handle?.kind === 'file' && { handle: handle as FileSystemFileHandle }) });
    }
  }
  return { models, recipes: files.filter((file, i) => !isFolder[i] && isRecipe(file.name)) };
}

const handleOf = (item: DataTransferItem): Promise<FileSystemHandle | null | undefined> =>
  (item as unknown as { getAsFileSystemHandle(): Promise<FileSystemHandle | null> })
    .getAsFileSystemHandle()
    .catch(() => undefined);

async function filesOf(folder: FileSystemDirectoryEntry): Promise<ModelPlace> {
  const files: { path: string; file: File }[] = [];
  const visit = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      files.push({ path, file });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return;
      for (const inner of some) await visit(inner, path ? `${path}/${inner.name}` : inner.name);
    }
  };
  await visit(folder, '');
  return { type: 'files', files };
}
