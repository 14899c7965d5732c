/** Copies and membership as numbers: what was measured, and its intervals. */
import {
  bootstrapMean,
  type Contender,
  type Interval,
  type Membership,
  mean,
  membership,
  pairedDifference,
} from '@diffusion-soup/core';
import { type Copies, type Copy, DISTANCES, type Distance } from './copies.js';
import type { Drawing } from './drawing.js';
import type { Lab } from './session.js';

export type Kind = Contender['kind'];

/** What one model has drawn, and the nearest training pictures of each drawing. */
export interface DrawnCopies {
  readonly name: string;
  readonly kind: Kind;
  readonly drawings: readonly Drawing[];
  readonly copies: readonly Copies[];
}

/** The losses of one ingredient's pictures by one model: of each picture, by timestep. */
export interface SetLosses {
  readonly set: string;
  readonly rival: string;
  readonly kind: Kind;
  readonly members: readonly (readonly number[])[];
  readonly others: readonly (readonly number[])[];
}

export interface MemoryFindings {
  readonly drawn: readonly DrawnCopies[];
  /** Real pictures that were not trained on, by the ingredient that they are like. */
  readonly unseen: readonly { readonly set: string; readonly copies: readonly Copies[] }[];
  readonly losses: readonly SetLosses[];
  readonly timesteps: readonly number[];
  readonly notes: readonly string[];
  readonly paragon?: { readonly name: string; readonly root: string };
  /** The content of the CLIP checkpoint. */
  readonly clip?: string;
}

export interface Nearness {
  readonly name: string;
  readonly kind: Kind | 'unseen';
  readonly by: Distance;
  readonly distance: Interval;
  readonly ratio: Interval;
  /** The part of drawings whose nearest training picture has the prompt as its caption. */
  readonly sameCaption: number;
  /** How often the nearest picture is of each ingredient. */
  readonly sets: Readonly<Record<string, number>>;
}

export function nearnessRows(
  { prompts }: Pick<Lab, 'prompts'>,
  { drawn, unseen }: Pick<MemoryFindings, 'drawn' | 'unseen'>,
): Nearness[] {
  const rows: Nearness[] = [];
  for (const by of DISTANCES) {
    for (const { name, kind, drawings, copies } of drawn) {
      const all = copies.map((one, i) => ({ copy: one[by], prompt: drawings[i]!.prompt }));
      const units = prompts.map((prompt) => all.filter((one) => one.prompt === prompt).map(({ copy }) => copy));
      const row = nearness(units);
      if (row) {
        const same = all.map(({ copy, prompt }) => Number(copy?.caption === prompt));
        rows.push({ name, kind, by, ...row, sameCaption: mean(same) });
      }
    }
    const row = nearness(unseen.flatMap(({ copies }) => copies.map((one) => [one[by]])));
    if (row) rows.push({ name: 'not trained on', kind: 'unseen', by, ...row, sameCaption: 0 });
  }
  return rows;
}

/** Units are what is independent: a prompt with all its seeds. */
function nearness(units: readonly (readonly (Copy | undefined)[])[]) {
  const found = units.map((unit) => unit.filter((copy) => copy !== undefined)).filter(({ length }) => length > 0);
  if (found.length === 0) return undefined;
  const sets: Record<string, number> = {};
  for (const { set } of found.flat()) sets[set] = (sets[set] ?? 0) + 1;
  return {
    distance: bootstrapMean(found.map((unit) => mean(unit.map(({ distance }) => distance)))),
    ratio: bootstrapMean(found.map((unit) => mean(unit.map(({ ratio }) => ratio)))),
    sets,
  };
}

export interface Known extends Membership {
  readonly set: string;
  readonly rival: string;
  readonly kind: Kind;
  readonly pictures: { readonly members: number; readonly others: number };
}

/** Of every set that has pictures which were not trained on. */
export function knownRows(losses: readonly SetLosses[]): Known[] {
  return losses
    .filter(({ others }) => others.length > 0)
    .map((own) => {
      const reference = losses.find(({ set, kind }) => set === own.set && kind === 'base');
      const { set, rival, kind, members, others } = own;
      const counts = { members: members.length, others: others.length };
      return { set, rival, kind, pictures: counts, ...membership(own, kind === 'base' ? undefined : reference) };
    });
}

/** The soup's distance less the mean of the ingredients', by prompt, in latents. */
export function gapToAlone({ prompts }: Pick<Lab, 'prompts'>, { drawn }: MemoryFindings): Interval | undefined {
  const byPrompt = ({ drawings, copies }: DrawnCopies) =>
    prompts.map((prompt) =>
      mean(copies.flatMap(({ latents }, i) => (drawings[i]!.prompt === prompt && latents ? [latents.distance] : []))),
    );
  const soup = drawn.find(({ kind }) => kind === 'soup');
  const singles = drawn.filter(({ kind }) => kind === 'ingredient').map(byPrompt);
  if (!soup || singles.length === 0) return undefined;
  return pairedDifference(
    byPrompt(soup),
    prompts.map((_, p) => mean(singles.map((one) => one[p]!))),
  );
}
