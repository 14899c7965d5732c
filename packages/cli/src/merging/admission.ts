/**
 * The admission gate on the command line: what it finds is told, and kept, since it depends on nothing but the content
 * of the ingredients. Ingredients that were looked at before, together, are not read for it again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Admission,
  admit,
  type CookedPart,
  type Gpu,
  type MergePlan,
  type WeightedComponent,
} from '@diffusion-soup/core';
import { writeFileAtomic } from '../atomic-file.js';
import { cacheFolder } from '../hash/cache.js';
import type { Output } from '../output.js';
import { byteProgress } from '../progress.js';
import { printable } from '../text.js';
import type { HashOf } from './merge.js';

export type Admissions = ReadonlyMap<WeightedComponent, readonly Admission[]>;

/** Looks at every number of what is to be averaged, and tells of ingredients that stand out. */
export async function admitAll(gpu: Gpu, plan: MergePlan, hashOf: HashOf, output: Output): Promise<Admissions> {
  const admitted = new Map<WeightedComponent, readonly Admission[]>();
  for (const [part, cooked] of plan.cooked) {
    if (cooked.isCopy || cooked.blend.allowNonFinite) continue;
    const file = cacheFile(part, cooked, hashOf, output);
    const found = (await readVerdict(file, cooked)) ?? (await look(gpu, part, cooked, output));
    await keep(file, found);
    admitted.set(part, found);
    for (const { name, distance, isOutlier } of found) {
      if (!isOutlier) continue;
      output.warn(
        `${part}: ${printable(name)} lies ${distance.toPrecision(3)} away, more than three times as far as the others do: it ` +
          'may drown them. Was it trained from the same base?',
      );
    }
  }
  output.endStatus();
  return admitted;
}

function look(gpu: Gpu, part: WeightedComponent, { sources, base }: CookedPart, output: Output): Promise<Admission[]> {
  const line = byteProgress();
  const onProgress = (done: number, total: number) => output.status(`looking at every ${part}: ${line(done, total)}`);
  return admit(gpu, sources, base, { signal: output.io.signal, onProgress });
}

/** Undefined when the content is not known: baked and computed weights have no hash. */
function cacheFile(part: WeightedComponent, cooked: CookedPart, hashOf: HashOf, output: Output): string | undefined {
  const folder = cacheFolder(output.io.env);
  const roots = cooked.from.map((model) => hashOf(model, part)?.root);
  if (folder === undefined || cooked.isBaked || roots.some((root) => root === undefined)) return undefined;
  const key = createHash('sha256')
    .update(JSON.stringify([1, part, cooked.base !== undefined, roots]))
    .digest('hex');
  return join(folder, 'admitted', `${key}.json`);
}

async function readVerdict(file: string | undefined, { sources }: CookedPart): Promise<Admission[] | undefined> {
  if (file === undefined) return undefined;
  try {
    const verdict = JSON.parse(await readFile(file, 'utf8')) as Omit<Admission, 'name'>[];
    const isSound = verdict.length === sources.length && verdict.every(({ distance }) => typeof distance === 'number');
    return isSound ? verdict.map((one, i) => ({ ...one, name: sources[i]!.name })) : undefined;
  } catch {
    return undefined; // not looked at yet, or the cache is damaged
  }
}

async function keep(file: string | undefined, found: readonly Admission[]): Promise<void> {
  if (file === undefined) return;
  try {
    await mkdir(join(file, '..'), { recursive: true, mode: 0o700 });
    await writeFileAtomic(file, `${JSON.stringify(found.map(({ name: _, ...one }) => one))}\n`);
  } catch {
    // A cache that cannot be written is none.
  }
}
