/** The form of ledgers and receipts: which keys there are, and what each may hold. */
import * as z from 'zod/mini';

export const LEDGER_TYPE = 'diffusion-soup-ledger';
export const RECEIPT_TYPE = 'diffusion-soup-removal-receipt';
export const VERSION = 1;

const MOST_INGREDIENTS = 4096;
const MOST_FILES = 1000; // as many shards as a component may have
const MOST_ENTRIES = 1000; // checking a history takes time in proportion to entries times ingredients
const MOST_PROOF_STEPS = 64;
const LONGEST_NAME = 255;
export const LONGEST_PATH = 4096;
const LONGEST_TEXT = 2000;

export function text(longest: number, what = 'text') {
  const message = `expected ${what} of 1 to ${longest} characters`;
  return z.string(message).check(z.minLength(1, message), z.maxLength(longest, message));
}

function matching(pattern: RegExp, message: string) {
  return z.string(message).check(z.regex(pattern, message));
}

export function list<Element extends z.core.SomeType>(element: Element, least: number, most: number) {
  const message = `expected a list of ${least} to ${most}`;
  return z.array(element, message).check(z.minLength(least, message), z.maxLength(most, message));
}

/** An object with these keys and no others. */
export function record<const Shape extends z.core.$ZodShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? `it may have only ${keys}` : 'expected an object'),
  });
}

export const whole = (most: number) => {
  const message = `expected a whole number from 0 to ${most}`;
  return z.number(message).check(z.refine((n) => Number.isInteger(n) && n >= 0 && n <= most, message));
};

export const hash = () => matching(/^[0-9a-f]{64}$/, 'expected a SHA-256 as 64 digits 0-9a-f');
export const name = () => text(LONGEST_NAME, 'a name');
const weight = () =>
  matching(/^(0|-?[1-9][0-9]{0,39}(\/[1-9][0-9]{0,39})?)$/, 'expected a fraction in text, as "2" or "-1/3"');
/** Below the model's folder: names only, with slashes between them. */
const innerPath = () =>
  text(LONGEST_PATH, 'a path').check(
    z.refine(
      (path) => path.split('/').every((part) => !['', '.', '..'].includes(part)) && !/[\\\0]|^\w:/.test(path),
      'expected a path inside the model, with "/" between names',
    ),
  );

const file = record({ path: innerPath(), bytes: whole(Number.MAX_SAFE_INTEGER), sha256: hash() });
export const component = record({ root: hash(), files: list(file, 0, MOST_FILES) });
const components = record({
  unet: z.optional(component),
  vae: z.optional(component),
  text_encoder: z.optional(component),
});
const lora = record({ name: name(), from: text(LONGEST_PATH, 'a path'), sha256: hash(), strength: weight() });
const model = { name: name(), from: text(LONGEST_PATH, 'a path'), root: hash(), components };
const blockName = matching(/^[A-Z][A-Z0-9]{0,15}$/i, 'expected the name of a block, such as IN04');
const blocks = z.union(
  [text(LONGEST_TEXT), z.record(blockName, weight())],
  'expected the name of a preset, or factors by block',
);
const loras = z.optional(list(lora, 1, 100));
const ingredient = record({
  ...model,
  weight: weight(),
  blocks: z.optional(blocks),
  loras,
});
const part = z.union(
  [z.literal('average'), record({ from: name() })],
  'expected "average", or {"from": the name of a model}',
);

/** What of an ingredient counts for the soup; see roots.ts. */
const settings = record({
  blocks: z.optional(blocks),
  loras: z.optional(list(record({ sha256: hash(), strength: weight() }), 1, 100)),
});
const share = record({ name: name(), root: hash(), weight: weight(), settings: z.optional(settings) });
const step = record({ old: hash(), new: hash() });
const proof = record({
  index: whole(MOST_INGREDIENTS),
  size: whole(MOST_INGREDIENTS),
  path: list(hash(), 0, MOST_PROOF_STEPS),
});
const tombstone = record({
  name: name(),
  root: hash(),
  components: record({ unet: z.optional(hash()), vae: z.optional(hash()), text_encoder: z.optional(hash()) }),
});
const entry = z.discriminatedUnion(
  'action',
  [
    record({ action: z.literal('made'), soup: hash(), set: hash() }),
    record({
      action: z.literal('add'),
      share,
      soup: step,
      set: step,
      lifted: z.optional(list(hash(), 1, MOST_ENTRIES)),
    }),
    record({ action: z.literal('remove'), share, soup: step, set: step, proof, tombstone }),
  ],
  'expected an entry with "action": "made", "add" or "remove"',
);

const scalar = z.union([z.number(), text(LONGEST_TEXT), z.boolean()], 'expected a number, a text, true or false');

const sum = record({ path: innerPath(), bytes: whole(Number.MAX_SAFE_INTEGER), sha256: hash(), scale: weight() });

export const ledgerSchema = record({
  type: z.literal(LEDGER_TYPE, `expected "${LEDGER_TYPE}"`),
  version: z.literal(VERSION, `this program reads version ${VERSION}; a newer one may read it`),
  /** Version of the program that made it. */
  tool: text(100),
  method: matching(/^[a-z][a-z_]{0,39}$/, 'expected the name of a method'),
  parameters: z.record(
    matching(/^[a-z][a-z0-9_]{0,39}$/i, 'expected the name of a parameter'),
    scalar,
    'expected an object',
  ),
  /** Whether the weights are scaled to add up to 1. */
  normalize: z.boolean('expected true or false'),
  /** `exact`: the same bytes on every adapter. `deterministic`: on the same adapter and driver. */
  arithmetic: z.literal(['exact', 'deterministic'], 'expected "exact" or "deterministic"'),
  dtype: z.optional(z.literal(['F16', 'BF16', 'F32'], 'expected F16, BF16 or F32')),
  allowNonFinite: z.optional(z.literal(true, 'expected true, or nothing')),
  base: z.optional(record(model)),
  /** In order of their names. */
  ingredients: list(ingredient, 1, MOST_INGREDIENTS),
  /** Models that are no ingredients and of which a part is taken as it is. */
  sources: z.optional(list(record(model), 1, MOST_INGREDIENTS)),
  /** Where parts come from; those that are not named are averaged where several ingredients have them. */
  parts: z.optional(record({ unet: z.optional(part), vae: z.optional(part), text_encoder: z.optional(part) })),
  /** Baked into the result. */
  loras,
  result: record({ root: hash(), components }),
  /** Running sums that are kept: Σ scale * weight * ingredient, in steps of 2^-24. */
  sums: z.optional(record({ unet: z.optional(sum), vae: z.optional(sum), text_encoder: z.optional(sum) })),
  /** Root of the set of ingredients. */
  set: hash(),
  history: list(entry, 1, MOST_ENTRIES),
  tombstones: list(tombstone, 0, MOST_ENTRIES),
});

export const receiptSchema = record({
  type: z.literal(RECEIPT_TYPE, `expected "${RECEIPT_TYPE}"`),
  version: z.literal(VERSION, `this program reads version ${VERSION}; a newer one may read it`),
  removed: share,
  /** Root of the soup's weights, with the shard and without. */
  soup: step,
  /** Root of the set of ingredients, with the shard and without. */
  set: step,
  /** That the shard was in the old set. */
  proof,
  /** The whole new set, in order: the shard is not in it. */
  remaining: list(share, 1, MOST_INGREDIENTS),
  tombstone,
  statement: text(LONGEST_TEXT),
  warning: text(LONGEST_TEXT),
  /** SHA-256 of the canonical JSON of all the rest. Noted elsewhere, it tells whether a receipt is still the same. */
  digest: hash(),
});

/** Data that nobody changes in place. */
export type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;

export type Ledger = Frozen<z.output<typeof ledgerSchema>>;
export type LedgerModel = NonNullable<Ledger['base']>;
export type LedgerIngredient = Ledger['ingredients'][number];
export type LedgerComponents = LedgerModel['components'];
export type LedgerResult = Ledger['result'];
export type LedgerSums = NonNullable<Ledger['sums']>;
export type HistoryEntry = Ledger['history'][number];
export type Removal = Extract<HistoryEntry, { readonly action: 'remove' }>;
/** What of an ingredient counts for the soup: which weights, how much of them, and how they are changed before. */
export type Share = RemovalReceipt['removed'];
export type Tombstone = Ledger['tombstones'][number];
export type RemovalReceipt = Frozen<z.output<typeof receiptSchema>>;
