/**
 * The admission gate: before anything is averaged, every number of the ingredients is looked at. Numbers that are not
 * finite are refused by file, tensor and index; an ingredient that lies much farther from the base than the others, as
 * fine-tunes of too large a learning rate do, is flagged: it would drown the rest.
 */
import type { Weights } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { type Gram, type MeasureOptions, measure } from '../methods/gram.js';
import { isFloat } from '../soup/blend.js';
import { refuseSpecial } from '../soup/trouble.js';

export interface Admission {
  readonly name: string;
  /** Euclidean distance from the base, or from the mean of the ingredients when there is no base. */
  readonly distance: number;
  /**
   * Cosine between its difference from the base and the mean difference of the others: 1 where all went the same way,
   * 0 where they have nothing in common. Undefined for one ingredient, or none that differs.
   */
  readonly cosine?: number;
  /** It is much farther away than the others. */
  readonly isOutlier: boolean;
}

/** How many times the median distance is suspicious. Shards of one recipe differ by tens of percents. */
const FAR = 3;

/** Looks at all numbers of one part of the ingredients (and of the base), in one pass over the files. */
export async function admit(
  gpu: Gpu,
  ingredients: readonly Weights[],
  base: Weights | undefined,
  options: Pick<MeasureOptions, 'signal' | 'onProgress'> = {},
): Promise<Admission[]> {
  const all = base ? [base, ...ingredients] : ingredients;
  let grams: Map<string, Gram>;
  try {
    grams = await measure(gpu, all, 'distances', options);
  } catch (error) {
    if (error instanceof CheckpointError) for (const weights of all) await findNonFinite(weights);
    throw error;
  }
  const n = all.length;
  const squares = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (const gram of grams.values()) {
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) squares[i]![j]! += gram[i]![j]!;
  }
  const deltas = base ? fromFirst(squares) : fromMean(squares);
  const distances = deltas.map((row, i) => Math.sqrt(Math.max(0, row[i]!)));
  const middle = median(distances);
  return ingredients.map(({ name }, i) => {
    const cosine = cosineWithOthers(deltas, i);
    const isOutlier = ingredients.length > 2 && distances[i]! > FAR * middle && distances[i]! > 0;
    return { name, distance: distances[i]!, ...(cosine !== undefined && { cosine }), isOutlier };
  });
}

/** <θ_i - θ_0, θ_j - θ_0> of squared distances, by the law of cosines. */
const fromFirst = (squares: readonly (readonly number[])[]): number[][] =>
  squares
    .slice(1)
    .map((row, i) => row.slice(1).map((square, j) => (squares[0]![i + 1]! + squares[0]![j + 1]! - square) / 2));

/** The same around the mean (double centring: Torgerson 1952). */
function fromMean(squares: readonly (readonly number[])[]): number[][] {
  const n = squares.length;
  const rows = squares.map((row) => row.reduce((a, b) => a + b, 0) / n);
  const mean = rows.reduce((a, b) => a + b, 0) / n;
  return squares.map((row, i) => row.map((square, j) => (rows[i]! + rows[j]! - mean - square) / 2));
}

/** With the sum of the others, which has the direction of their mean. */
function cosineWithOthers(deltas: readonly (readonly number[])[], i: number): number | undefined {
  let product = 0;
  let square = 0;
  for (let j = 0; j < deltas.length; j++) {
    if (j === i) continue;
    product += deltas[i]![j]!;
    for (let k = 0; k < deltas.length; k++) if (k !== i) square += deltas[j]![k]!;
  }
  const size = Math.sqrt(deltas[i]![i]! * square);
  return size > 0 ? Math.max(-1, Math.min(1, product / size)) : undefined;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.floor(half)]! + sorted[Math.ceil(half) - 1]!) / 2;
}

const CHUNK = 2 ** 20;

/** Throws for the first infinity or NaN of a checkpoint. Slow, and run only when there is one. */
export async function findNonFinite({ tensors }: Weights): Promise<void> {
  for (const info of tensors.values()) {
    if (!isFloat(info)) continue;
    const elements = info.shape.reduce((a, b) => a * b, 1);
    for (let first = 0; first < elements; first += CHUNK) {
      await refuseSpecial(info, first, Math.min(CHUNK, elements - first));
    }
  }
}
