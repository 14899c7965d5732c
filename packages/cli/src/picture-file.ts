/** Pictures as files: how they are called, and what they say about how they were made. */
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { type Image, type PictureProvenance, pictureTexts, type Settings, UsageError } from '@diffusion-soup/core';
import { diskError, writeFileAtomic } from './atomic-file.js';
import { encodePng } from './image/png.js';
import { printable } from './text.js';

export type Provenance = PictureProvenance;

export interface SavedPicture {
  readonly path: string;
  readonly seed: bigint;
  readonly prompt: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Where the pictures of one command go: into a folder under names of their own, or under one given name. */
export interface Destination {
  readonly folder: string;
  /** Without its ending. */
  readonly stem?: string;
}

export function destination(out: string): Destination {
  if (out.trim() === '') throw new UsageError('--out is empty; give a folder or the name of a .png');
  const path = resolve(out);
  checkWritable(path);
  const ending = extname(path).toLowerCase();
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() || /[/\\]$/.test(out);
  if (isFolder) return { folder: path };
  if (ending === '.png') return { folder: dirname(path), stem: path.slice(0, -ending.length) };
  if (/^\.(jpe?g|webp|avif|gif|tiff?|bmp|jxl)$/.test(ending)) {
    throw new UsageError(`--out ${printable(out)}: pictures are written as png only, so far; end the name in .png`);
  }
  if (existsSync(path)) throw new UsageError(`--out ${printable(out)} is a file; give a folder or the name of a .png`);
  return { folder: path };
}

/** Said now rather than after minutes of drawing; nothing is created yet. */
export function checkWritable(path: string): void {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    if (folder !== path && !statSync(folder).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw diskError(path, error);
  }
}

/** A path that does not exist yet: the name, then name-2, name-3 and so on. */
export function freePath({ folder, stem }: Destination, prompt: string, seed: bigint): string {
  const start = stem ?? join(folder, `${slug(prompt)}-${seed}`);
  for (let n = 1; ; n++) {
    const path = `${start}${n === 1 ? '' : `-${n}`}.png`;
    if (!existsSync(path)) return path;
  }
}

const LONGEST_SLUG = 60; // characters, of up to 4 bytes; file systems allow names of 255 bytes

/** "Red apple, 4k!" -> "red-apple-4k". */
export function slug(prompt: string): string {
  const words = prompt
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-');
  return (
    [...words]
      .slice(0, LONGEST_SLUG)
      .join('')
      .replace(/^-+|-+$/g, '') || 'picture'
  );
}

export async function savePicture(
  path: string,
  image: Image,
  settings: Settings,
  seed: bigint,
  provenance: Provenance,
): Promise<SavedPicture> {
  const png = encodePng(opaque(image), pictureTexts(settings, seed, provenance));
  await makeFolder(dirname(path));
  await writeFileAtomic(path, png);
  const sha256 = createHash('sha256').update(png).digest('hex');
  return { path, seed, prompt: settings.prompt, width: image.width, height: image.height, bytes: png.length, sha256 };
}

export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw diskError(path, error, 'create');
  });
}

/** Nothing that we draw is transparent: RGBA without the A. */
export function opaque({ width, height, pixels }: Image): Image {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) rgb.set(pixels.subarray(i * 4, i * 4 + 3), i * 3);
  return { width, height, pixels: rgb };
}
