/** The model that is loaded: other weights of its ingredients are averaged where it lies, for other ingredients it goes. */
import {
  checkRecipe,
  type Gpu,
  loadModel,
  type Model,
  type ModelIngredient,
  type OpenRecipe,
  type WeightedComponent,
} from '@diffusion-soup/core';
import type { HashOf } from './files.js';

export interface PotOptions {
  readonly signal: AbortSignal;
  /** Of the models of a soup that is loaded. */
  readonly hashesOf?: (recipe: OpenRecipe) => Promise<HashOf>;
  readonly onProgress: (part: WeightedComponent, done: number, total: number) => void;
}

export class Pot {
  #loaded: { readonly recipe: OpenRecipe; readonly model: Model } | undefined;

  constructor(private readonly gpu: Gpu) {}

  /** The model of a soup. */
  async cook(recipe: OpenRecipe, options: PotOptions): Promise<Model> {
    const others = this.#loaded && reweighed(this.#loaded.recipe, recipe);
    if (this.#loaded && others) {
      await this.#loaded.model.reblend(others.weights, { ...options, blocks: others.blocks });
      return this.#loaded.model;
    }
    // Said before the soup that is there is given up for one that cannot be.
    if (this.#loaded) await checkRecipe(this.gpu, recipe);
    await this.empty();
    const { ingredients, ...settings } = recipe;
    const { hashesOf, ...rest } = options;
    const hashOf = await hashesOf?.(recipe);
    const loading = { ...settings, ...rest, residents: true, ...(hashOf && { hashOf }) };
    const model = await loadModel(this.gpu, ingredients, loading);
    this.#loaded = { recipe, model };
    return model;
  }

  /** Gives back what the model took, and what its plans shared. */
  async empty(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    await loaded?.model.destroy();
    for (const buffer of this.gpu.activations.splice(0)) this.gpu.destroyBuffer(buffer);
  }
}

interface Reweighed {
  readonly weights: readonly ModelIngredient['weight'][];
  readonly blocks: readonly ModelIngredient['blocks'][];
}

/**
 * By which weights of its ingredients a model that was loaded becomes `wanted`; undefined where weights cannot do that.
 * Ingredients that are not wanted weigh nothing. They must be UNets only, or they would lend the soup parts that it does
 * not have without them.
 */
export function reweighed(loaded: OpenRecipe, wanted: OpenRecipe): Reweighed | undefined {
  if (loaded.base !== wanted.base) return undefined;
  const places = wanted.ingredients.map(({ folder }) => loaded.ingredients.findIndex((one) => one.folder === folder));
  if (places.includes(-1) || new Set(places).size < places.length) return undefined;
  const rest = loaded.ingredients.filter((_, i) => !places.includes(i));
  if (rest.some(({ folder }) => [...folder.components].some((component) => component !== 'unet'))) return undefined;
  const tables = wanted.ingredients.filter(({ blocks }) => blocks !== undefined).length;
  // The only table of two is the share of its ingredient; of more, it is a factor.
  if (rest.length > 0 && wanted.ingredients.length === 2 && tables === 1) return undefined;
  const of = (i: number): ModelIngredient | undefined => wanted.ingredients[places.indexOf(i)];
  return {
    weights: loaded.ingredients.map((_, i) => of(i)?.weight ?? 0),
    blocks: loaded.ingredients.map((_, i) => (tables > 0 && !of(i) ? {} : of(i)?.blocks)),
  };
}
