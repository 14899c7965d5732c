/** The form of a recipe: which keys there are, and what each may hold. What they mean together is in check.ts. */
import * as z from 'zod/mini';
import { methods } from '../methods/index.js';
import type { ResultType } from '../soup/blend.js';
import { isWeight, LARGEST_WEIGHT } from './weight.js';

const MOST_INGREDIENTS = 4096; // as many as a ledger may have
const MOST_LORAS = 100;
const LONGEST_REFERENCE = 4096; // the longest path of Linux
const MOST_SEED_DIGITS = 20; // of 2^64

/** What is shown for each of them in an editor. */
export const descriptions = z.registry<{ description: string; examples?: unknown[] }>();

function described<Schema extends z.core.$ZodType>(
  schema: Schema,
  description: string,
  ...examples: unknown[]
): Schema {
  descriptions.add(schema, { description, ...(examples.length > 0 && { examples }) });
  return schema;
}

function text(what: string, longest = LONGEST_REFERENCE) {
  const message = `expected ${what}`;
  return z.string(message).check(z.minLength(1, message), z.maxLength(longest, message));
}

/** A map with these keys and no others; of another key the message is only which there are. */
export function record<const Shape extends z.core.$ZodShape>(shape: Shape, what: string) {
  const keys = Object.keys(shape)
    .filter((key) => key !== '$schema')
    .join(', ');
  const expected = `expected ${what}: a map of ${keys}`;
  return z.strictObject(shape, { error: ({ code }) => (code === 'unrecognized_keys' ? keys : expected) });
}

function list<Element extends z.core.$ZodType>(element: Element, most: number, what: string) {
  const message = `expected a list of 1 to ${most} ${what}`;
  return z.array(element, message).check(z.minLength(1, message), z.maxLength(most, message));
}

const FRACTION =
  /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?(\s*\/\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?)?\s*$/;

/** A number, or a fraction as text. */
function number(least: number, most: number, what: string) {
  const message = `expected ${what}`;
  return z.union(
    [
      z.number(message).check(z.minimum(least, message), z.maximum(most, message), z.refine(isWeight, message)),
      z.string(message).check(
        z.regex(FRACTION, message),
        z.refine((value) => isWeight(value, least, most), message),
      ),
    ],
    message,
  );
}

const weight = () =>
  described(
    number(-LARGEST_WEIGHT, LARGEST_WEIGHT, `a number or a fraction, as 2, 0.25 or "1/3", up to ${LARGEST_WEIGHT}`),
    'How much of it, in proportion to the others: a number, or a fraction such as "1/3".',
    1,
    '1/3',
  );
const part = (what: string) => number(0, 1, `${what}: a number from 0 to 1`);
const strength = () => number(-LARGEST_WEIGHT, LARGEST_WEIGHT, 'a number or a fraction, as 1, 0.75 or "2/3"');

const model = () =>
  described(
    text('a model: a path, a name of the pantry, or a Hugging Face id'),
    'A path, a name of the pantry, or a Hugging Face id (org/name, org/name@revision).',
  );

const lora = z.union(
  [
    text('the file of a LoRA'),
    record({ file: text('the file of a LoRA'), strength: z.optional(strength()) }, 'a LoRA'),
  ],
  'expected the file of a LoRA, or a map of file and strength',
);
const loras = () => described(list(lora, MOST_LORAS, 'LoRAs'), 'LoRA files to bake in, each with its strength.');

const BLOCK = /^(BASE|IN|MID|OUT|M00|(IN|OUT)\d\d)$/;
const blockMessage =
  'expected the name of a preset, or factors by block (BASE, IN00, ..., M00, ..., OUT11; IN, MID, OUT)';
const blocks = () =>
  described(
    z.union(
      [
        text('the name of a preset, or numbers with commas between them'),
        z.record(z.string().check(z.regex(BLOCK, 'no block of a UNet')), weight(), blockMessage),
      ],
      blockMessage,
    ),
    'Factors by block of the UNet, on top of the weight: a preset such as GRAD_V, or a map such as {IN04: 0.5, OUT: 0}.',
  );

const details = () => ({
  weight: z.optional(weight()),
  blocks: z.optional(blocks()),
  root: z.optional(
    described(
      z
        .string('expected a content hash: 64 digits 0-9a-f')
        .check(z.regex(/^[0-9a-fA-F]{64}$/, 'expected a content hash: 64 digits 0-9a-f')),
      'The content hash that the model must have, as "soup pantry list" and "soup inspect" show it.',
    ),
  ),
  loras: z.optional(loras()),
});

const ingredient = z.union(
  [model(), record({ model: model(), ...details() }, 'an ingredient')],
  'expected an ingredient: the name of a model, or a map of model, weight, blocks, root, loras',
);
const ingredientsMessage = 'expected a list of models, or a map of models and weights';
const ingredients = described(
  z.union(
    [
      list(ingredient, MOST_INGREDIENTS, 'models'),
      z.record(
        text('the name of a model'),
        z.union(
          [weight(), record(details(), 'an ingredient')],
          'expected a weight, or a map of weight, blocks, root, loras',
        ),
        ingredientsMessage,
      ),
    ],
    ingredientsMessage,
  ),
  'What the soup is made of: names, names with weights, or maps.',
  ['noto', 'ink'],
  { noto: 2, ink: 1 },
);

const source = () => described(model(), '"average", or the model that the part is taken from.');
const seedMessage = `expected a whole number from 0 to ${2n ** 64n - 1n}`;
const seed = z.union(
  [
    z.number(seedMessage).check(z.int(seedMessage), z.minimum(0, seedMessage)),
    z.string(seedMessage).check(
      z.regex(new RegExp(`^\\d{1,${MOST_SEED_DIGITS}}$`), seedMessage),
      z.refine((digits) => BigInt(digits) < 2n ** 64n, seedMessage),
    ),
  ],
  seedMessage,
);

const parameters = record(
  {
    strength: z.optional(described(strength(), 'linear: how far to go from the base to the average; 1 by default.')),
    lambda: z.optional(described(strength(), 'Task vectors: what their sum is multiplied with; 1 by default.')),
    t: z.optional(described(part('t'), 'slerp: from 0, the first, to 1, the second.')),
    deltas: z.optional(described(z.boolean('expected true or false'), 'slerp: on the differences from the base.')),
    density: z.optional(described(part('density'), 'ties: the part of each task vector that is kept; 0.2 by default.')),
    drop: z.optional(described(part('drop'), 'dare: the probability of each element to be dropped; 0.9 by default.')),
    seed: z.optional(described(seed, 'dare: of the random numbers; 0 by default.')),
    scope: z.optional(
      described(
        z.literal(['tensor', 'model'], 'expected tensor or model'),
        'geometric_median: of each tensor, or of all tensors of the part together.',
      ),
    ),
  },
  'parameters',
);

export const DTYPES = {
  F16: 'F16',
  BF16: 'BF16',
  F32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float32: 'F32',
  fp16: 'F16',
  bf16: 'BF16',
  fp32: 'F32',
} as const satisfies Record<string, ResultType>;

const keysOf = <Key extends string>(table: Readonly<Record<Key, unknown>>): Key[] => Object.keys(table) as Key[];

export const recipeSchema = record(
  {
    $schema: z.optional(text('the address of a JSON Schema')),
    method: z.optional(
      described(
        z.literal([...methods], `expected one of ${methods.join(', ')}`),
        'How the models are merged; linear by default.',
      ),
    ),
    ingredients,
    base: z.optional(
      described(model(), 'What the ingredients were fine-tuned from; parts that no ingredient has come from it.'),
    ),
    parameters: z.optional(parameters),
    normalize: z.optional(
      described(
        z.boolean('expected true or false'),
        'linear: whether weights are scaled to add up to 1; true by default.',
      ),
    ),
    dtype: z.optional(
      described(
        z.literal(keysOf(DTYPES), `expected F16, BF16 or F32`),
        'What numbers are stored as; by default what the ingredients are.',
      ),
    ),
    components: z.optional(
      described(
        record(
          { unet: z.optional(source()), vae: z.optional(source()), text_encoder: z.optional(source()) },
          'components',
        ),
        'Where each part comes from: "average", which is the default, or one model.',
      ),
    ),
    loras: z.optional(loras()),
    out: z.optional(
      described(
        text('a path'),
        'Where the soup goes, if the command does not say: a folder, or a file *.safetensors; seen from the recipe.',
      ),
    ),
  },
  'a recipe',
);

export type RecipeInput = z.output<typeof recipeSchema>;
