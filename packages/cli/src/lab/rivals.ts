/** Everything that a soup is compared with, ready to draw and to be asked for its losses. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Contender,
  captionOf,
  denoisingLosses,
  type LossCase,
  latentsOf,
  type Model,
  openContenders,
  randn,
  UsageError,
} from '@diffusion-soup/core';
import { loadWithProgress } from '../drawing.js';
import { type NamedModel, openModel } from '../kitchen.js';
import { hashModels } from '../merging/hashes.js';
import { locate } from '../recipe.js';
import type { Painter } from './drawing.js';
import type { Lab } from './session.js';
import { soupKey } from './soups.js';
import type { TrainingPicture } from './training.js';

export interface Rival extends Contender {
  /** All that decides its numbers beside the lab's identity. */
  readonly key: unknown;
  readonly painter: Painter;
}

export interface Rivals {
  readonly model: Model;
  readonly all: readonly Rival[];
  /** Pixels of a picture. */
  readonly size: { readonly width: number; readonly height: number };
  readonly paragon?: { readonly name: string; readonly root: string };
  /** The loss of each picture at each timestep, under the same noise for every rival and picture. */
  losses(
    rival: Rival,
    pictures: readonly TrainingPicture[],
    timesteps: readonly number[],
    tick: Tick,
  ): Promise<number[][]>;
  latents(picture: TrainingPicture): Promise<Float32Array>;
  close(): Promise<void>;
}

export type Tick = () => void;

/** `paragon` is the name of a model; without one, a folder "paragon" beside the ingredients is it, if there is one. */
export async function openRivals(lab: Lab, paragon?: string): Promise<Rivals> {
  const { kitchen, gpu, opened, output } = lab;
  if (kitchen.ingredients.length < 2) {
    throw new UsageError('a soup of one model has nothing to be compared with: name two or more');
  }
  const named = await paragonOf(lab, paragon);
  const root = named && (await hashModels([named], output)).of(named.folder).root;
  const { model } = await loadWithProgress(opened, kitchen, output);
  const contenders = await openContenders(gpu, kitchen.open, {
    names: kitchen.ingredients.map(({ name }) => name),
    ...(named && { paragon: named.folder }),
    signal: output.io.signal,
  }).catch(async (error: unknown) => {
    await model.destroy();
    throw error;
  });
  const soup = soupKey(lab);
  const all = contenders.all.map((contender): Rival => {
    const { kind, name, unet } = contender;
    const own = kitchen.ingredients.find((ingredient) => kind === 'ingredient' && ingredient.name === name);
    // Text encoder and VAE are the soup's for all of them.
    const alone = own ? lab.hashes.of(own.folder).root : kind === 'paragon' ? root : null;
    const key = { rival: kind, alone, soup };
    return { ...contender, key, painter: { name, key, model: async () => ({ ...model, unet }) } };
  });
  const latents = remember(async (picture: TrainingPicture) => latentsOf(model.vae, await picture.image()));
  const contexts = remember((caption: { readonly id: string }) => captionOf(model, caption.id));
  const factor = model.vae.factor;
  const side = model.unet.config.sampleSize * factor;
  return {
    ...{ model, all, latents, size: { width: side, height: side } },
    ...(named && { paragon: { name: named.name, root: root! } }),
    async losses(rival, pictures, timesteps, tick) {
      const { measurements, identity, flags } = lab;
      const seed = flags.seed;
      const keyOf = (picture: TrainingPicture) => ({
        ...{ measure: 'loss', identity, rival: rival.key, picture: picture.id, caption: picture.caption },
        ...{ timesteps, seed: String(seed) },
      });
      const size = { height: side / factor, width: side / factor };
      const found: number[][] = [];
      for (const picture of pictures) {
        const make = async () => {
          const x = await latents(picture);
          const context = await contexts({ id: picture.caption });
          const cases = timesteps.map(
            (timestep, j): LossCase => ({
              ...{ latents: x, context, timestep },
              noise: randn(seed + BigInt(j), [x.length]),
            }),
          );
          return denoisingLosses(rival.unet, model.scheduler, size, cases, { signal: output.io.signal });
        };
        found.push(await measurements.of(keyOf(picture), make));
        tick();
      }
      return found;
    },
    async close() {
      await contenders.close();
      await model.destroy();
    },
  };
}

/** Once for each id. */
function remember<T extends { readonly id: string }, R>(make: (of: T) => Promise<R>): (of: T) => Promise<R> {
  const known = new Map<string, R>();
  return async (of) => {
    const found = known.get(of.id) ?? (await make(of));
    known.set(of.id, found);
    return found;
  };
}

async function paragonOf({ kitchen, output }: Lab, asked: string | undefined): Promise<NamedModel | undefined> {
  const open = async (path: string, from: string): Promise<NamedModel> => ({
    ...{ name: 'paragon', path, from },
    folder: await openModel(path, output),
  });
  if (asked !== undefined) return open(await locate(asked, output.io.env), asked);
  for (const parent of new Set(kitchen.ingredients.map(({ path }) => dirname(path)))) {
    const path = join(parent, 'paragon');
    const isThere = await stat(join(path, 'unet')).catch(() => undefined);
    if (isThere) return open(path, path);
  }
  return undefined;
}
