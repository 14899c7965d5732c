/**
 * The ledger of a soup: what it is made of, by content, and what was done to it since. It stands beside the weights as
 * `soup.json` and is plain JSON data: weights are texts such as "2/3", hashes are hexadecimal.
 */
import type * as z from 'zod/mini';
import { safeParse } from 'zod/mini';
import { type RefuseOption, refusalOfOption } from '../checkpoint/config-schema.js';
import { parseConfigJson } from '../checkpoint/json.js';
import { printable } from '../checkpoint/printable.js';
import { ConfigError } from '../errors.js';
import { formatFraction, parseFraction } from '../soup/fraction.js';
import { canonicalJson } from './canonical.js';
import type { PantryIndex } from './pantry-index.js';
import {
  type Ledger,
  type LedgerIngredient,
  type LedgerModel,
  ledgerSchema,
  type RemovalReceipt,
  receiptSchema,
} from './schema.js';

/** A ledger of a thousand ingredients has 1 MB; what is much larger is no ledger. */
export const MAX_LEDGER_BYTES = 16_000_000;

/** Reads the text of a ledger. Whether its hashes agree with each other is checkLedger's question. */
export function parseLedger(text: string, file = 'soup.json'): Ledger {
  const ledger = parseAs(ledgerSchema, text, file) as Ledger;
  checkLedgerRules(ledger, refusalOfOption(file));
  return ledger;
}

/** Reads the text of a removal receipt. Whether it proves anything is verifyReceipt's question. */
export const parseReceipt = (text: string, file = 'receipt'): RemovalReceipt =>
  parseAs(receiptSchema, text, file, 'receipt') as RemovalReceipt;

/** The one text of a ledger, a receipt or an index: keys in order, two spaces, a line feed at the end. */
export const formatLedger = (ledger: Ledger | RemovalReceipt | PantryIndex): string => `${canonicalJson(ledger, 2)}\n`;

/** Strict JSON of a form; `kind` is what to call it. */
export function parseAs(schema: z.core.$ZodType, text: string, file: string, kind = 'ledger'): unknown {
  const shown = printable(file, 1000);
  if (text.length > MAX_LEDGER_BYTES) {
    throw new ConfigError(
      `${shown} has more than ${MAX_LEDGER_BYTES} characters, which no ${kind} has. Get the file again.`,
      { file: shown },
    );
  }
  const json = parseConfigJson(text, file);
  const refuse: RefuseOption = refusalOfOption(file);
  refuseProto(json, [], refuse);
  const result = safeParse(schema, json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  if (path.length === 0 && (typeof json !== 'object' || Array.isArray(json) || json === null)) {
    throw new ConfigError(`${shown} is no ${kind}: expected a JSON object. Get the file again.`, { file: shown });
  }
  const found = path.reduce((value: unknown, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], json);
  return refuse(pathText(path) || 'the whole', found, message);
}

/** ingredients[0].root */
const pathText = (path: readonly PropertyKey[]): string =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');

/** zod would leave such a key out in silence. */
function refuseProto(value: unknown, path: PropertyKey[], refuse: RefuseOption): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const here = [...path, Array.isArray(value) ? Number(key) : key];
    if (key === '__proto__') refuse(pathText(here), inner, 'expected no key of that name');
    refuseProto(inner, here, refuse);
  }
}

/** By which two ingredients are one: the model, and what is done to it before it goes in. */
export const contentOf = ({ root, blocks, loras }: Pick<LedgerIngredient, 'root' | 'blocks' | 'loras'>): string =>
  canonicalJson([root, blocks ?? null, (loras ?? []).map(({ sha256, strength }) => [sha256, strength])]);

/** What a ledger's form cannot say: no name and no model twice, and nothing refers to what is not there. */
export function checkLedgerRules(ledger: Ledger, refuse: RefuseOption): void {
  const models = new Map<string, LedgerModel>();
  const roots = new Map<string, string>();
  const contents = new Map<string, string>();
  ledger.ingredients.forEach((ingredient, i) => {
    const { name, root, weight } = ingredient;
    const at = `ingredients[${i}]`;
    checkFraction(weight, `${at}.weight`, refuse);
    if (models.has(name)) refuse(`${at}.name`, name, 'another ingredient has that name; each needs one of its own');
    const twin = contents.get(contentOf(ingredient));
    if (twin !== undefined) {
      refuse(
        `${at}.root`,
        root,
        `that is the same model as ${printable(twin)}; name it once, with the sum of the weights`,
      );
    }
    models.set(name, ingredient);
    contents.set(contentOf(ingredient), name);
    roots.set(root, name);
  });
  const others = [ledger.base && ['base', ledger.base], ...(ledger.sources ?? []).map((s, i) => [`sources[${i}]`, s])];
  for (const [at, model] of others.filter((pair) => pair !== undefined) as [string, LedgerModel][]) {
    const same = models.get(model.name);
    if (same && same.root !== model.root) refuse(`${at}.name`, model.name, 'another model has that name');
    models.set(model.name, model);
  }
  for (const [part, from] of Object.entries(ledger.parts ?? {})) {
    if (from === undefined || from === 'average') continue;
    const model = models.get(from.from);
    if (!model)
      refuse(`parts.${part}.from`, from.from, 'expected the name of an ingredient, of the base or of a source');
    if (!Object.hasOwn(model.components, part)) refuse(`parts.${part}.from`, from.from, `that model has no ${part}`);
  }
  ledger.tombstones.forEach((stone, i) => {
    const name = roots.get(stone.root);
    if (name !== undefined)
      refuse(`tombstones[${i}].root`, stone.root, `${printable(name)} has that root and is in the soup`);
  });
}

function checkFraction(weight: string, at: string, refuse: RefuseOption): void {
  const lowest = formatFraction(parseFraction(weight));
  if (lowest !== weight) refuse(at, weight, `expected lowest terms: "${lowest}"`);
}
