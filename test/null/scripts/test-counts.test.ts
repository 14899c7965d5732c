import { describe, expect, it } from 'vitest';
import { closingLine, countReport, countRunner, succeeded, sum } from '../../../scripts/test-counts.mjs';

const file = (status: string, ...statuses: string[]) => ({
  status,
  assertionResults: statuses.map((status) => ({ status })),
});

describe('countReport', () => {
  const report = { testResults: [file('passed', 'passed', 'skipped'), file('failed', 'failed', 'passed', 'todo')] };

  it('counts tests, not files', () => {
    expect(countReport(report, 1, false)).toEqual({ passed: 2, failed: 1, skipped: 2 });
  });
  it('calls a skipped test a failure in CI', () => {
    expect(countReport(report, 1, true)).toEqual({ passed: 2, failed: 3, skipped: 0 });
  });
  it('counts a file that could not be loaded', () => {
    const broken = { testResults: [file('failed'), file('passed', 'passed'), file('failed', 'passed')] };
    expect(countReport(broken, 1, false)).toEqual({ passed: 2, failed: 2, skipped: 0 });
  });
  it('counts a crash, with or without a report', () => {
    expect(countReport(null, 137, false)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countReport({ testResults: [file('passed', 'passed')] }, 1, false).failed).toBe(1);
  });
});

describe('the closing line', () => {
  it('sums the runners', () => {
    const counts = sum([countRunner(0), countRunner(1), { passed: 5, failed: 0, skipped: 0 }]);
    expect(closingLine(counts)).toBe('6 passed, 1 failed');
    expect(succeeded(counts)).toBe(false);
  });
  it('mentions skipped tests only when there are some', () => {
    expect(closingLine({ passed: 3, failed: 0, skipped: 2 })).toBe('3 passed, 0 failed, 2 skipped');
  });
  it('does not take "none ran" for success', () => {
    expect(succeeded(sum([]))).toBe(false);
    expect(succeeded(countRunner(0))).toBe(true);
  });
});
