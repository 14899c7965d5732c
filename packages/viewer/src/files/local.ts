/** Models on this machine: picked or dropped files and folders. Nothing of them leaves it. */
import { blobSource, type Folder } from '@diffusion-soup/core';
import type { ModelFile } from './model-file.js';

export type OnRead = (bytes: number) => void;

/** Of what was picked or dropped: the same name, size and time may well be another file. */
let places = 0;

export function localFile(file: File, path: string, onRead: OnRead, place = ++places): ModelFile {
  const { readInto, ...source } = blobSource(file, path);
  return {
    ...source,
    path,
    stamp: `local ${place} ${path} ${file.size} ${file.lastModified}`,
    hasVersion: false,
    isLocal: true,
    held: (_, bytes) => bytes,
    async readInto(target, offset) {
      await readInto(target, offset);
      onRead(target.byteLength);
    },
  };
}

export function handleFolder(root: FileSystemDirectoryHandle, onRead: OnRead): Folder {
  const place = ++places;
  return {
    name: root.name,
    async open(path) {
      const names = path.split('/');
      try {
        let folder = root;
        for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
        return localFile(await (await folder.getFileHandle(names.at(-1)!)).getFile(), path, onRead, place);
      } catch (error) {
        // TypeMismatchError: a folder where a file is looked for.
        if (error instanceof DOMException && /^(NotFound|TypeMismatch)Error$/.test(error.name)) return undefined;
        throw error;
      }
    },
  };
}

export function filesFolder(
  name: string,
  files: readonly { readonly path: string; readonly file: File }[],
  onRead: OnRead,
): Folder {
  const place = ++places;
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  return {
    name,
    async open(path) {
      const file = byPath.get(path);
      return file && localFile(file, path, onRead, place);
    },
  };
}
