/** Parameters of methods as a ledger holds them: fractions as text, so that nothing is rounded. */
import {
  add,
  type Fraction,
  formatFraction,
  type Ledger,
  type Method,
  type MethodParameters,
  methods,
  ONE,
  type Plan,
  parseFraction,
  UsageError,
} from '@diffusion-soup/core';
import { printable } from '../text.js';

type Scalars = Ledger['parameters'];

export function toScalars(parameters: MethodParameters): Scalars {
  const known = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]: [string, Fraction | number | bigint | boolean | string]) => [
      name,
      typeof value === 'object' ? formatFraction(value) : typeof value === 'bigint' ? `${value}` : value,
    ]),
  );
}

const refuse = (name: string, found: unknown): never => {
  throw new UsageError(
    `the ledger has the parameter ${printable(name)} = ${printable(String(found))}, which this version does not know`,
  );
};

const READERS: Readonly<Record<keyof MethodParameters, (value: string | number | boolean) => unknown>> = {
  strength: fractionOf,
  lambda: fractionOf,
  t: fractionOf,
  density: fractionOf,
  drop: fractionOf,
  deltas: (value) => (typeof value === 'boolean' ? value : refuse('deltas', value)),
  seed: (value) => (/^\d{1,20}$/.test(String(value)) ? BigInt(String(value)) : refuse('seed', value)),
  scope: (value) => (value === 'tensor' || value === 'model' ? value : refuse('scope', value)),
};

function fractionOf(value: string | number | boolean): Fraction {
  return parseFraction(typeof value === 'boolean' ? String(value) : value);
}

export function fromScalars(scalars: Scalars): MethodParameters {
  return Object.fromEntries(
    Object.entries(scalars).map(([name, value]) => {
      const read = Object.hasOwn(READERS, name) ? READERS[name as keyof MethodParameters] : () => refuse(name, value);
      return [name, read(value)];
    }),
  );
}

/**
 * SLERP's t leads from the first ingredient to the second. A ledger has them in order of their names, so there it is
 * the weights that say how far: 1 - t of the first, t of the second.
 */
export function withoutOrder(plan: Plan): Plan {
  const { t, ...parameters } = plan.parameters;
  const [first, second] = plan.ingredients;
  if (plan.method !== 'slerp' || t === undefined || !first || !second) return plan;
  const share = fractionOf(t);
  const rest = add(ONE, { n: -share.n, d: share.d });
  const ingredients = [
    { ...first, weight: formatFraction(rest) },
    { ...second, weight: formatFraction(share) },
    ...plan.ingredients.slice(2),
  ];
  return { ...plan, parameters, ingredients };
}

export function methodOf(name: string): Method {
  const method = methods.find((known) => known === name);
  if (method) return method;
  throw new UsageError(`the soup was made by the method ${printable(name)}, which this version does not know`);
}
