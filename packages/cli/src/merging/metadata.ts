/** What is written into the files of a soup about itself. It has no dates: the same soup is the same bytes. */
import type { Plan } from '@diffusion-soup/core';
import { toJson } from '../output.js';

export function soupMetadata(plan: Plan): Record<string, string> {
  const { ingredients, base, sources, loras, ...rest } = plan;
  // Paths are nobody's business; hashes say which files were meant.
  const named = <Model extends { from: string }>({ from, ...model }: Model) => model;
  return {
    diffusion_soup: toJson({
      type: 'diffusion-soup',
      ...rest,
      ingredients: ingredients.map(named).sort((a, b) => (a.name < b.name ? -1 : 1)),
      ...(base && { base: named(base) }),
      ...(sources && { sources: sources.map(named) }),
      ...(loras && { loras: loras.map(named) }),
    }),
  };
}
