/** Recipes: read, checked and written. */
export { blocksJson, formatRecipe, recipeJson, SCHEMA_FILE } from './format.js';
export { type InlineIngredient, parseInline } from './inline.js';
export { recipeJsonSchema } from './json-schema.js';
export { type Located, type LocatedLimits, readLocated } from './located.js';
export { nearest } from './nearest.js';
export { type ParseOptions, parseRecipe } from './parse.js';
export { type Path, type Place, type Problem, pathText, refuse } from './problems.js';
export {
  type HuggingFaceId,
  type LoraReference,
  type ModelReference,
  parseHuggingFaceId,
  type Recipe,
  type RecipeIngredient,
} from './recipe.js';
export { formatWeight } from './weight.js';
