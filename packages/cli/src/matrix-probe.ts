/**
 * Tries the kernels of the matrix units in a process of its own, since some drivers die of such kernels, and prints what
 * came out: matrix-probe.js [ADAPTER].
 */
import { checkMatrixUnits } from '@diffusion-soup/core';
import { openGpu } from './device.js';

try {
  const { gpu } = await openGpu({ precision: 'f16', matrixUnits: 'all', adapter: process.argv[2] });
  const results = await checkMatrixUnits(gpu, { all: true });
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
} catch (error) {
  process.stderr.write(String(error), () => process.exit(1));
}
