/** Pictures that hang in the blend space. */
import type { Image } from '@diffusion-soup/core';
import { normalise } from '../state/barycentric.js';
import { isUsed, weightOf } from '../state/ingredients.js';
import type { State } from '../state/state.js';

export interface Made {
  readonly key: string;
  readonly image: Image;
  readonly weights: readonly number[];
}

/** Pictures of these ingredients alone, with their place among them. */
export function madeIn({ pictures }: Pick<State, 'pictures'>, names: readonly string[]): Made[] {
  return pictures.flatMap(({ key, doc, image, quality }) => {
    const used = doc.ingredients.filter(isUsed);
    if (quality === 'coarse' || used.some(({ name }) => !names.includes(name))) return [];
    const parts = names.map((name) => {
      const one = used.find((ingredient) => ingredient.name === name);
      return one ? weightOf(one) : 0;
    });
    return [{ key, image, weights: normalise(parts) }];
  });
}
