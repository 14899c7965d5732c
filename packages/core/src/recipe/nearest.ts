/** Did you mean ...? */

/** Longer words are no slips of the finger, and comparing them takes time. */
const LONGEST = 100;

/** The word that is nearest to `word` by edits, if at most a third of the letters would have to change. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  if (word.length > LONGEST) return undefined;
  let best: { other: string; edits: number } | undefined;
  for (const other of words) {
    if (other.length > LONGEST) continue;
    const edits = editDistance(word.toLowerCase(), other.toLowerCase());
    if (edits <= Math.max(word.length, other.length) / 3 && !(best && best.edits <= edits)) best = { other, edits };
  }
  return best?.other;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
