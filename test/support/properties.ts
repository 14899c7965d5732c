/**
 * Properties are tested with new examples every time, but in CI with the same: there a failure is to be the fault of what
 * was changed. `CI= npm test -- null` looks for others.
 */
import fc from 'fast-check';

if (process.env.CI) fc.configureGlobal({ seed: 20_261_123 });
