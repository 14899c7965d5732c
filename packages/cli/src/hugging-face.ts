/**
 * Models that Hugging Face's tools have downloaded, by their ids. Nothing is fetched: the cache of huggingface_hub is
 * looked into, in the places where its own library looks (constants.py, file_download.py).
 */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type HuggingFaceId, parseHuggingFaceId } from '@diffusion-soup/core';

type Env = Readonly<Record<string, string | undefined>>;

/** The folder of a snapshot of "org/name" or "org/name@revision"; undefined when it is not in the cache. */
export function locateHuggingFace(reference: string, env: Env): string | undefined {
  const id = parseHuggingFaceId(reference);
  const hub = hubFolder(env);
  if (!id || hub === undefined) return undefined;
  const folder = join(hub, `models--${id.repository.replaceAll('/', '--')}`);
  const commit = commitOf(folder, id);
  const snapshot = commit === undefined ? undefined : join(folder, 'snapshots', commit);
  return snapshot && statSync(snapshot, { throwIfNoEntry: false })?.isDirectory() ? snapshot : undefined;
}

function hubFolder(env: Env): string | undefined {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HOME } = env;
  const home = HF_HOME || ((XDG_CACHE_HOME || HOME) && join(XDG_CACHE_HOME || join(HOME!, '.cache'), 'huggingface'));
  return HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || (home ? join(home, 'hub') : undefined);
}

/** A commit is its own name; a branch or tag is a file that holds the commit. */
function commitOf(folder: string, { revision = 'main' }: HuggingFaceId): string | undefined {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  try {
    const commit = readFileSync(join(folder, 'refs', revision), 'utf8').trim();
    return /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
  } catch {
    return undefined;
  }
}
