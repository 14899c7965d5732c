/**
 * Counting what passed, from exit codes and from vitest's JSON report.
 *
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 *
 * The part of the report that is read:
 * @typedef {{ status: string, assertionResults: { status: string }[] }} FileResult
 * @typedef {{ testResults?: FileResult[] }} Report
 */

/** A runner that only says yes or no counts as one. @returns {Counts} */
export function countRunner(/** @type {number} */ exitCode) {
  return exitCode === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

/**
 * @param {Report | null} report  null when vitest wrote none
 * @param {number} exitCode
 * @param {boolean} inCi  there a skipped test is a failure: it means that the machine had no adapter or no browser
 * @returns {Counts}
 */
export function countReport(report, exitCode, inCi) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of report?.testResults ?? []) {
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else if (status === 'failed' || inCi) counts.failed++;
      else counts.skipped++;
    }
    // A file that cannot even be loaded has no tests to fail.
    const failedTests = file.assertionResults.some(({ status }) => status === 'failed');
    if (file.status === 'failed' && !failedTests) counts.failed++;
  }
  // Crashed, killed, or an error outside every test.
  if (counts.failed === 0 && exitCode !== 0) counts.failed++;
  return counts;
}

/** @param {Counts[]} all @returns {Counts} */
export function sum(all) {
  return all.reduce(
    (total, { passed, failed, skipped }) => ({
      passed: total.passed + passed,
      failed: total.failed + failed,
      skipped: total.skipped + skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  );
}

/** @param {Counts} counts */
export function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** @param {Counts} counts */
export function succeeded({ passed, failed }) {
  return failed === 0 && passed > 0;
}
