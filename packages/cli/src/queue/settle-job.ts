/** How a job ends: done, to be tried again after a pause, or parked. */
import { type Job, UnrecoverableError } from 'bullmq';
import type { Failure } from '../batch/plan.js';
import type { Result } from '../batch/results.js';
import type { Work } from './work.js';

/** Another machine, or another moment, may do better with these. */
const WORTH_ANOTHER_TRY = [
  'DeviceError',
  'MemoryError',
  'DiskError',
  'AdapterError',
  'CheckpointError',
  'OtherSoupError',
];

export const isWorthAnotherTry = ({ name, exitCode }: Failure): boolean =>
  WORTH_ANOTHER_TRY.includes(name) || exitCode === 1;

/** False when the job is ours no more: its lease ran out, and another worker has it. What was written is the same. */
export async function settleJob(job: Job<Work>, token: string, result: Result): Promise<boolean> {
  try {
    if (result.status === 'done') await job.moveToCompleted(result, token, false);
    else {
      const { error = { name: 'Error', message: 'failed', exitCode: 1 } } = result;
      const kind = isWorthAnotherTry(error) ? Error : UnrecoverableError;
      const failure = new kind(error.message);
      failure.stack = `${error.name}: ${error.message}`;
      await job.moveToFailed(failure, token, false);
    }
    return true;
  } catch (error) {
    if (error instanceof Error && /lock|Missing key|not in the active state/i.test(error.message)) return false;
    throw error;
  }
}
