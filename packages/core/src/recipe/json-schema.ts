/** The form of a recipe for editors: JSON Schema 2020-12, from the schema that recipes are read by. */
import * as z from 'zod/mini';
import { SCHEMA_FILE } from './format.js';
import { descriptions, recipeSchema } from './schema.js';

export function recipeJsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(recipeSchema, { metadata: descriptions, io: 'input' });
  return {
    $schema,
    $id: SCHEMA_FILE,
    title: 'A recipe of Diffusion Soup (soup.yaml)',
    ...schema,
  };
}
