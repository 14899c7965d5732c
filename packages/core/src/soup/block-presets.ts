/**
 * Named tables of block weights, as the community's merging tools know them: 26 numbers each, for the UNet of Stable
 * Diffusion 1 and 2: BASE, IN00 to IN11, M00, OUT00 to OUT11. The numbers are those of sd-webui-supermerger
 * (scripts/mbwpresets.txt) and sd-webui-lora-block-weight (scripts/lbwpresets.txt), both by hako-mikan. Most are values
 * of a curve at 25 places, and are made from it here, so that 0.9166666667 is 11/12.
 */
import { add, type Fraction, fraction, multiply, ONE, ZERO } from './fraction.js';

/** Blocks behind BASE. */
const BLOCKS = 25;

type Curve = (x: Fraction) => Fraction;

const minus = (a: Fraction, b: Fraction): Fraction => add(a, multiply(fraction(-1n), b));

/** Up from 0 to 1, down to 0, up again. */
function fold(x: Fraction): Fraction {
  const rest = fraction(x.n % (2n * x.d), x.d);
  return rest.n > rest.d ? minus(fraction(2n), rest) : rest;
}

/** (c_0 + c_1 x + c_2 x² + ...) / d. */
const polynomial =
  (coefficients: readonly bigint[], d = 1n): Curve =>
  (x) =>
    multiply(
      coefficients.reduceRight((sum, c) => add(multiply(x, sum), fraction(c)), ZERO),
      fraction(1n, d),
    );

const smoothstep = polynomial([0n, 0n, 3n, -2n]);
const trueHermite = polynomial([1n, 100n, -231n, 154n], 24n);
const fakeHermite = polynomial([0n, 25n, -57n, 38n], 6n);

function cosine({ n, d }: Fraction): Fraction {
  const value = (1 + Math.cos((Math.PI * Number(n)) / Number(d))) / 2;
  return fraction(BigInt(Math.round(value * 1e15)), 10n ** 15n);
}

const CURVES: Readonly<Record<string, Curve>> = {
  GRAD_V: (x) => minus(ONE, fold(multiply(x, fraction(2n)))),
  GRAD_A: (x) => fold(multiply(x, fraction(2n))),
  FLAT_25: () => fraction(1n, 4n),
  FLAT_75: () => fraction(3n, 4n),
  SMOOTHSTEP: smoothstep,
  COSINE: cosine,
  TRUE_CUBIC_HERMITE: (x) => (x.n === 0n ? ZERO : trueHermite(x)),
  FAKE_CUBIC_HERMITE: fakeHermite,
};

const MULTIPLES = [2n, 3n, 4n].flatMap((k): [string, Curve][] => [
  [`SMOOTHSTEP*${k}`, (x) => fold(multiply(smoothstep(x), fraction(k)))],
  [`SMOOTHSTEP/${k}`, (x) => smoothstep(fold(multiply(x, fraction(k))))],
]);

const REVERSED: Readonly<Record<string, string>> = {
  SMOOTHSTEP: 'REVERSE-SMOOTHSTEP',
  COSINE: 'REVERSE_COSINE',
  TRUE_CUBIC_HERMITE: 'TRUE_REVERSE_CUBIC_HERMITE',
  FAKE_CUBIC_HERMITE: 'FAKE_REVERSE_CUBIC_HERMITE',
  ...Object.fromEntries(MULTIPLES.map(([name]) => [name, `R_${name}`])),
};

/** Digits for BASE, IN00..IN11, M00, OUT00..OUT11; h is a half. */
const DIGITS: Readonly<Record<string, string>> = {
  WRAP08: '0 111100000000 0 000000001111',
  WRAP12: '0 111111000000 0 000000111111',
  WRAP14: '0 111111100000 0 000001111111',
  WRAP16: '0 111111110000 0 000011111111',
  MID12_50: '0 00000hhhhhhh h hhhhhh000000',
  OUT07: '0 000000000000 0 000001111111',
  OUT12: '0 000000000000 0 111111111111',
  OUT12_5: '0 000000000000 h 111111111111',
  RING08_SOFT: '0 00000h111h00 0 00h111h00000',
  RING08_5: '0 000000111100 0 001111000000',
  RING10_5: '0 000001111100 0 001111100000',
  RING10_3: '0 000000111110 0 011111000000',
  ALL_A: '0 000000000000 0 000000000000',
  ALL_B: '1 111111111111 1 111111111111',
  // Of lora-block-weight, which lists only blocks with attention; one between them is as its nearest neighbour.
  NONE: '0 000000000000 0 000000000000',
  ALL: '1 111111111111 1 111111111111',
  INS: '1 111110000000 0 000000000000',
  IND: '0 000001111111 0 000000000000',
  INALL: '1 111111111111 0 000000000000',
  MIDD: '0 000001111111 1 111111100000',
  OUTD: '0 000000000000 0 111111100000',
  OUTS: '0 000000000000 0 000000011111',
  OUTALL: '0 000000000000 0 111111111111',
};

const digit = (d: string): Fraction => (d === 'h' ? fraction(1n, 2n) : fraction(BigInt(d)));

function sampled(curve: Curve): readonly Fraction[] {
  return [ZERO, ...Array.from({ length: BLOCKS }, (_, k) => curve(fraction(BigInt(k), BigInt(BLOCKS - 1))))];
}

/** By name: the factors of BASE, IN00..IN11, M00 and OUT00..OUT11. */
export const blockPresets: ReadonlyMap<string, readonly Fraction[]> = new Map([
  ...[...Object.entries(CURVES), ...MULTIPLES].flatMap(([name, curve]): [string, readonly Fraction[]][] => {
    const reversed = REVERSED[name];
    const mirror: Curve = (x) => minus(ONE, curve(x));
    return [[name, sampled(curve)], ...(reversed ? [[reversed, sampled(mirror)] as [string, Fraction[]]] : [])];
  }),
  ...Object.entries(DIGITS).map(([name, digits]): [string, readonly Fraction[]] => [
    name,
    [...digits.replaceAll(' ', '')].map(digit),
  ]),
]);
