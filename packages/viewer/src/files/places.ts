/** Where models are, as the folders that core opens. */
import {
  type Folder,
  type ModelFolder,
  openModelFolder,
  openSingleFile,
  parseHuggingFaceId,
  printable,
  UsageError,
} from '@diffusion-soup/core';
import type { ByteOrigin, ModelPlace } from '../messages.js';
import type { Cache } from './cache.js';
import { type Fetch, httpFolder } from './http.js';
import { filesFolder, handleFolder, localFile } from './local.js';
import type { ModelFile } from './model-file.js';

export interface PlacesOptions {
  /** The page's address: what paths of its own listing are relative to. */
  readonly page: string;
  /** Goes to the page's own origin, and nowhere else. */
  readonly token?: string;
  readonly cache?: Cache;
  readonly onBytes?: (origin: ByteOrigin, bytes: number) => void;
  readonly fetch?: Fetch;
  /** Every file goes through it. */
  readonly overhear?: (file: ModelFile) => ModelFile;
}

const HUB = 'https://huggingface.co';
const isSingleFile = (path: string): boolean => /\.safetensors$/i.test(path);

export async function openPlace(place: ModelPlace, options: PlacesOptions): Promise<ModelFolder> {
  const { page, onBytes, overhear = (file) => file } = options;
  const onRead = (bytes: number) => onBytes?.('disk', bytes);
  switch (place.type) {
    case 'pantry':
      return openUrl(new URL(place.path, page), options);
    case 'url':
      return openUrl(webAddress(place.url, page), options);
    case 'hub':
      return openUrl(hubAddress(place.model), options);
    case 'directory':
      return openModelFolder(heard(handleFolder(place.handle, onRead), options));
    case 'files':
      return openModelFolder(heard(filesFolder('dropped files', place.files, onRead), options));
    case 'file': {
      refuseOtherFiles(place.file.name);
      const file = overhear(localFile(place.file, place.file.name, onRead));
      return openSingleFile(async () => file);
    }
  }
}

/** The files of our folders are all ModelFiles. */
const heard = (folder: Folder, { overhear }: PlacesOptions): Folder => ({
  ...folder,
  async open(path) {
    const file = await folder.open(path);
    return file && overhear ? overhear(file as ModelFile) : file;
  },
});

async function openUrl(url: URL, options: PlacesOptions): Promise<ModelFolder> {
  const { page, token, cache, onBytes, fetch: ask } = options;
  const own = new URL(page).origin;
  const request: Fetch = (address, init) => {
    const headers = new Headers(init.headers);
    if (token !== undefined && new URL(address).origin === own) headers.set('authorization', `Bearer ${token}`);
    return (ask ?? fetch)(address, { ...init, headers, credentials: 'omit' });
  };
  const plain = (folder: string): Folder => heard(httpFolder(folder, request, { cache, onBytes }), options);
  if (!isSingleFile(url.pathname)) return openModelFolder(plain(url.href));
  const at = url.href.lastIndexOf('/');
  const [folder, name] = [url.href.slice(0, at), decodeURIComponent(url.pathname.split('/').at(-1)!)];
  return openSingleFile(async () => {
    const file = await plain(folder).open(name);
    if (!file) throw new UsageError(`There is no ${printable(url.href, 500)}. Check the address.`);
    return file;
  });
}

function webAddress(text: string, page: string): URL {
  const url = URL.parse(text);
  if (url?.protocol === 'https:' || (url && url.origin === new URL(page).origin)) return url;
  throw new UsageError(
    `"${printable(text, 200)}" is no address that models are read from. Give one that begins with https://.`,
  );
}

function hubAddress(model: string): URL {
  const id = parseHuggingFaceId(model);
  if (!id) throw new UsageError(`"${printable(model, 200)}" is no Hugging Face id. Give one such as owner/name.`);
  return new URL(`${HUB}/${id.repository}/resolve/${encodeURIComponent(id.revision ?? 'main')}`);
}

function refuseOtherFiles(name: string): void {
  if (isSingleFile(name)) return;
  throw new UsageError(
    `${printable(name, 200)} is no .safetensors file. Files such as .ckpt can run code: convert them on a machine that ` +
      'you trust.',
  );
}
