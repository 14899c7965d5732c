/** The index of a pantry, `pantry.json`: models by name, where they are, and the hashes that they had when they came in. */
import * as z from 'zod/mini';
import { refusalOfOption } from '../checkpoint/config-schema.js';
import { byCodePoint } from './canonical.js';
import { parseAs } from './ledger.js';
import { component, type Frozen, hash, LONGEST_PATH, list, record, text, VERSION, whole } from './schema.js';

const TYPE = 'diffusion-soup-pantry';
const MOST_MODELS = 10_000;
const NAME = /^(?![-.])[^/\\+:*?"<>|\p{C}\p{Zl}\p{Zp}]{1,100}$/u;

/** Whether a model may be called that: a recipe can name it, and a folder can have the name on every system. */
export const isPantryName = (name: string): boolean =>
  NAME.test(name) && name === name.trim() && !name.endsWith('.') && name.toLowerCase() !== 'pantry.json';

const schema = record({
  type: z.literal(TYPE, `expected "${TYPE}"`),
  version: z.literal(VERSION, `this program reads version ${VERSION}; a newer one may read it`),
  models: list(
    record({
      name: z
        .string('expected a name')
        .check(z.refine(isPantryName, 'expected a plain name, without / \\ + : and not hidden')),
      /** Relative to the pantry, or absolute. */
      path: text(LONGEST_PATH, 'a path').check(z.refine((path) => !path.includes('\0'), 'expected a path')),
      kind: z.literal(['folder', 'file'], 'expected "folder" or "file"'),
      /** `copy` and `link` lie in the pantry and were put there by it. */
      held: z.literal(['reference', 'copy', 'link'], 'expected "reference", "copy" or "link"'),
      root: hash(),
      /** `file` stands for all of a single file, with its tensors as they are named there. */
      components: record({
        unet: z.optional(component),
        vae: z.optional(component),
        text_encoder: z.optional(component),
        file: z.optional(component),
      }),
      bytes: whole(Number.MAX_SAFE_INTEGER),
      note: z.optional(text(1000)),
    }),
    0,
    MOST_MODELS,
  ),
});

export type PantryIndex = Frozen<z.output<typeof schema>>;
export type PantryEntry = PantryIndex['models'][number];

/** An index of these models, in order of their names. */
export const pantryIndex = (models: readonly PantryEntry[] = []): PantryIndex => ({
  type: TYPE,
  version: VERSION,
  models: [...models].sort((a, b) => byCodePoint(a.name, b.name)),
});

export function parsePantryIndex(json: string, file = 'pantry.json'): PantryIndex {
  const index = parseAs(schema, json, file, 'index of a pantry') as PantryIndex;
  const seen = new Set<string>();
  index.models.forEach(({ name }, i) => {
    if (seen.has(name)) refusalOfOption(file)(`models[${i}].name`, name, 'another model has that name');
    seen.add(name);
  });
  return index;
}
