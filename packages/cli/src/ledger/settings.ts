/** Parameters of methods as a ledger holds them: fractions as text, so that nothing is rounded. */
import {
  type Fraction,
  formatFraction,
  type Ledger,
  type Method,
  type MethodParameters,
  methods,
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

export function methodOf(name: string): Method {
  const method = methods.find((known) => known === name);
  if (method) return method;
  throw new UsageError(`the soup was made by the method ${printable(name)}, which this version does not know`);
}
