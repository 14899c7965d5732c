// Two halves in a word: those of the elements `low` and `high` of the ingredient whose bytes begin at word `start`. A part of
// average.wgsl and average-bounded.wgsl, whose x it reads.
fn pair_at(start: u32, low: u32, high: u32) -> u32 {
  let pair = x[start + low / 2];
  if (low % 2 == 0 && high == low + 1) {
    return pair;
  }
  return ((pair >> (low % 2 * 16)) & 0xffff) | ((x[start + high / 2] >> (high % 2 * 16)) << 16);
}
