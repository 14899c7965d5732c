/** Ledgers of soups that nobody cooked: random models, and weights that are hashes of what they are made of. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  type Change,
  canonicalJson,
  type Ledger,
  type LedgerComponents,
  type LedgerIngredient,
  makeLedger,
  modelRoot,
  type Plan,
  seal,
  shareOf,
} from '../../../packages/core/src/ledger/index.ts';
import { formatFraction, fraction } from '../../../packages/core/src/soup/fraction.ts';

export const sha256 = () => createHash('sha256');
export const hashOf = (value: unknown): string => sha256().update(canonicalJson(value)).digest('hex');

export interface Spec {
  readonly name: string;
  readonly weight: string;
  readonly parts: readonly ('unet' | 'vae' | 'text_encoder')[];
  readonly blocks?: Readonly<Record<string, string>>;
}

/** A model of that name; its VAE is frozen, as everybody's is. */
export function ingredient({ name, weight, parts, blocks }: Spec): LedgerIngredient {
  const components: LedgerComponents = Object.fromEntries(
    parts.map((part) => [
      part,
      {
        root: hashOf(part === 'vae' ? 'frozen' : [name, part]),
        files: [{ path: `${part}/model.safetensors`, bytes: name.length, sha256: hashOf([name, part, 'file']) }],
      },
    ]),
  );
  const root = modelRoot(components, sha256);
  return { name, from: `./${name}`, root, components, weight, ...(blocks && { blocks }) };
}

/** What averaging would write: it depends on what is averaged, and on nothing else. */
export function cooked({ ingredients, method }: Pick<Plan, 'ingredients' | 'method'>): LedgerComponents {
  const root = hashOf([method, [...ingredients].map(shareOf).sort((a, b) => (a.root < b.root ? -1 : 1))]);
  return { unet: { root, files: [{ path: 'unet/soup.safetensors', bytes: 1, sha256: hashOf(root) }] } };
}

export const planOf = (ingredients: readonly LedgerIngredient[]): Plan => ({
  tool: '0.1.0',
  method: 'linear',
  parameters: {},
  normalize: true,
  arithmetic: 'exact',
  dtype: 'F16',
  ingredients,
});

export const ledgerOf = (specs: readonly Spec[]): Ledger => {
  const plan = planOf(specs.map(ingredient));
  return makeLedger(plan, cooked(plan), sha256);
};

export const sealed = (change: Change) => seal(change, cooked(change.plan), { tool: '0.1.0', sha256 });

const weight = fc
  .tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }))
  .map(([n, d]) => formatFraction(fraction(BigInt(n), BigInt(d))));

const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
  fc.constantFrom('noto', 'ink', '\uffee', '😀', 'toString', 'a\u0000b'),
);

const spec: fc.Arbitrary<Spec> = fc.record(
  {
    name,
    weight,
    parts: fc.constantFrom(['unet'], ['unet', 'vae'], ['unet', 'text_encoder', 'vae']) as fc.Arbitrary<Spec['parts']>,
    blocks: fc.dictionary(fc.constantFrom('IN01', 'M00', 'OUT11'), weight),
  },
  { requiredKeys: ['name', 'weight', 'parts'] },
);

export const specs = (minLength: number): fc.Arbitrary<Spec[]> =>
  fc.uniqueArray(spec, { minLength, maxLength: 9, selector: ({ name: of }) => of });
