/** An idle graphics card falls to a fifth of its clock within seconds, and takes about one to come back. */
const WARM_MS = 1500;

/** Runs something for as long, and at least `least` times. */
export async function warm(/** @type {() => Promise<unknown>} */ once, least = 3) {
  const begun = performance.now();
  for (let i = 0; i < least || performance.now() - begun < WARM_MS; i++) await once();
}
