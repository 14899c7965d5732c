/** Decompositions of small or narrow matrices in doubles. Matrices are lists of columns. */

export type Columns = Float64Array[];

export const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** Below this part of its length a column is taken to depend on those before it. */
const DEPENDENT = 1e-12;

/**
 * Columns with the same span, orthonormal: Gram-Schmidt, twice (Giraud, Langou & Rozložník 2005, "twice is enough").
 * `r` has R of a = q r, row by row. Dependent columns become zeros, and so do their rows of R.
 */
export function orthonormal(a: Columns): { q: Columns; r: Float64Array[] } {
  const q: Columns = [];
  const r = a.map(() => new Float64Array(a.length));
  for (const [j, column] of a.entries()) {
    const v = Float64Array.from(column);
    const length = Math.sqrt(dot(v, v));
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const before = q[i]!;
        const part = dot(before, v);
        r[i]![j]! += part;
        for (let k = 0; k < v.length; k++) v[k]! -= part * before[k]!;
      }
    }
    const rest = Math.sqrt(dot(v, v));
    if (rest > DEPENDENT * length) {
      r[j]![j] = rest;
      for (let k = 0; k < v.length; k++) v[k]! /= rest;
    } else {
      v.fill(0);
    }
    q.push(v);
  }
  return { q, r };
}

const MOST_SWEEPS = 60;
const CONVERGED = 1e-15;

/**
 * a = u diag(s) vᵀ of a matrix with no more columns than rows, s falling: one-sided Jacobi rotations make its columns
 * orthogonal (Hestenes 1958; Golub & Van Loan, "Matrix Computations", 4th ed., 8.6.3).
 */
export function jacobiSvd(a: Columns): { u: Columns; s: Float64Array; v: Columns } {
  const u = a.map((column) => Float64Array.from(column));
  const v = a.map((_, j) => Float64Array.from(a, (_, i) => (i === j ? 1 : 0)));
  for (let sweep = 0, rotated = true; rotated && sweep < MOST_SWEEPS; sweep++) {
    rotated = false;
    for (let p = 0; p < u.length; p++) {
      for (let q = p + 1; q < u.length; q++) {
        const [pp, qq, pq] = [dot(u[p]!, u[p]!), dot(u[q]!, u[q]!), dot(u[p]!, u[q]!)];
        if (Math.abs(pq) <= CONVERGED * Math.sqrt(pp * qq) || pq === 0) continue;
        rotated = true;
        const zeta = (qq - pp) / (2 * pq);
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cosine = 1 / Math.hypot(1, tangent);
        rotate(u[p]!, u[q]!, cosine, cosine * tangent);
        rotate(v[p]!, v[q]!, cosine, cosine * tangent);
      }
    }
  }
  const lengths = u.map((column) => Math.sqrt(dot(column, column)));
  const order = [...lengths.keys()].sort((i, j) => lengths[j]! - lengths[i]!);
  return {
    u: order.map((i) => u[i]!.map((x) => (lengths[i]! > 0 ? x / lengths[i]! : 0))),
    s: Float64Array.from(order, (i) => lengths[i]!),
    v: order.map((i) => v[i]!),
  };
}

function rotate(a: Float64Array, b: Float64Array, cosine: number, sine: number): void {
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[k]!, b[k]!];
    a[k] = cosine * x - sine * y;
    b[k] = sine * x + cosine * y;
  }
}

/** Σ_j a_j * coefficients_j. */
export function combine(a: Columns, coefficients: Float64Array): Float64Array {
  const y = new Float64Array(a[0]!.length);
  for (const [j, column] of a.entries()) {
    const c = coefficients[j]!;
    if (c !== 0) for (let k = 0; k < y.length; k++) y[k]! += c * column[k]!;
  }
  return y;
}
