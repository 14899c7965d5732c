/** Recipes: read, checked and written. */
export { formatRecipe, recipeJson, SCHEMA_FILE } from './format.js';
export { type InlineIngredient, parseInline } from './inline.js';
export { recipeJsonSchema } from './json-schema.js';
export { nearest } from './nearest.js';
export { type ParseOptions, parseRecipe } from './parse.js';
export type { Place, Problem } from './problems.js';
export {
  type HuggingFaceId,
  type LoraReference,
  type ModelReference,
  parseHuggingFaceId,
  type Recipe,
  type RecipeIngredient,
} from './recipe.js';
export { formatWeight } from './weight.js';
