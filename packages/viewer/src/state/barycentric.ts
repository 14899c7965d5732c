/** Places in a triangle and a tetrahedron as weights of their corners, which are at least 0 and sum to 1. */
export type Point = readonly number[];

const HEIGHT = Math.sqrt(3) / 2;

/** Equilateral, sides of length 1, y downwards: top, left, right. */
export const TRIANGLE: readonly Point[] = [
  [0.5, 0],
  [0, HEIGHT],
  [1, HEIGHT],
];

/** Regular, corners at distance 1 from the centre. */
export const TETRAHEDRON: readonly Point[] = [
  [0, 1, 0],
  [-Math.sqrt(2 / 3), -1 / 3, Math.sqrt(2) / 3],
  [Math.sqrt(2 / 3), -1 / 3, Math.sqrt(2) / 3],
  [0, -1 / 3, (-2 * Math.sqrt(2)) / 3],
];

/** Scaled to sum 1; what is not positive counts as 0, and nothing at all as equal parts. */
export function normalise(weights: Point): number[] {
  const kept = weights.map((weight) => (weight > 0 && Number.isFinite(weight) ? weight : 0));
  const sum = kept.reduce((total, weight) => total + weight, 0);
  return kept.map((weight) => (sum > 0 ? weight / sum : 1 / kept.length));
}

/** Σ wᵢ cornerᵢ. */
export const toPoint = (weights: Point, corners: readonly Point[]): number[] =>
  corners[0]!.map((_, axis) => weights.reduce((sum, weight, i) => sum + weight * corners[i]![axis]!, 0));

/** The weights of the nearest place of the simplex: p may lie outside. */
export function toWeights(p: Point, corners: readonly Point[]): number[] {
  return project(solve(p, corners));
}

/** Σ wᵢ cornerᵢ = p and Σ wᵢ = 1 by Gaussian elimination; affine, so weights outside are negative. */
function solve(p: Point, corners: readonly Point[]): number[] {
  const n = corners.length;
  const rows = Array.from({ length: n }, (_, r) => [
    ...corners.map((corner) => (r < n - 1 ? corner[r]! : 1)),
    r < n - 1 ? p[r]! : 1,
  ]);
  for (let c = 0; c < n; c++) {
    const pivot = rows.slice(c).reduce((best, row) => (Math.abs(row[c]!) > Math.abs(best[c]!) ? row : best));
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(c, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[c]! / pivot[c]!;
      for (let k = c; k <= n; k++) row[k]! -= factor * pivot[k]!;
    }
  }
  return rows.map((row, r) => row[n]! / row[r]!);
}

/** The nearest weights that are all at least 0 (Duchi et al. 2008, figure 1). */
export function project(weights: Point): number[] {
  const sorted = [...weights].sort((a, b) => b - a);
  let sum = 0;
  let shift = 0;
  for (const [i, weight] of sorted.entries()) {
    sum += weight;
    const candidate = (sum - 1) / (i + 1);
    if (weight - candidate > 0) shift = candidate;
  }
  return weights.map((weight) => Math.max(0, weight - shift));
}

/** A step towards one corner, or away from it, the others keeping their proportions. */
export function towards(weights: Point, corner: number, by: number): number[] {
  const target = Math.min(1, Math.max(0, weights[corner]! + by));
  const rest = 1 - weights[corner]!;
  const others = weights.length - 1;
  return weights.map((weight, i) =>
    i === corner ? target : rest > 1e-9 ? (weight * (1 - target)) / rest : (1 - target) / others,
  );
}
