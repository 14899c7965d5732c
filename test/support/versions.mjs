/** Contents by which a file of one version is told from that of another. */

/** @param {string} kind @param {number} version @returns {Record<string, string>} */
export function modelFiles(kind, version) {
  const content = (/** @type {string} */ what) => `${what} of version ${version}\n`.repeat(400 + version);
  if (kind === 'file') return { weights: content('weights'), ledger: content('ledger') };
  return { 'model_index.json': content('index'), 'unet/weights': content('unet'), 'vae/deep/weights': content('vae') };
}
