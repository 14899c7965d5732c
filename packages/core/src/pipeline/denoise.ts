/**
 * Denoising on the device, which never waits for the host where steps are short: some more are submitted before one is done, in case
 * that the host is held up (a collection of garbage takes a tenth of a second). Where they are long there is nothing to gain, and
 * whoever cancels would wait for a step more, since what was submitted cannot be taken back; so there one prediction is done before
 * the next is asked for.
 */
import { throwIfAborted } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { createRest } from '../gpu/rest.js';
import type { Slice } from '../gpu/slice.js';
import { type NoiseSource, type Predict, type Schedule, type Step, sampleWith } from '../sampler/index.js';
import type { LatentSpace } from './latents.js';

/** Of a prediction: shorter ones are submitted ahead. */
const SHORT_MS = 50;
/** What may be submitted and not yet done, beyond one step and the next: so long, and so many predictions. */
const AHEAD_MS = 100;
const AHEAD = 16;
/** Predictions over which it is told how long one takes: a host that is held up hears of several ends at once. */
const WINDOW = 8;

interface DenoiseOptions {
  readonly noise?: NoiseSource<Slice>;
  readonly signal?: AbortSignal;
}

/** Steps of the schedule's sampler, each when the device is done with it. Its latents are kept until the next is asked for. */
export async function* denoise(
  space: LatentSpace,
  predict: Predict<Slice>,
  x: Slice,
  schedule: Schedule,
  { noise, signal }: DenoiseOptions = {},
): AsyncGenerator<Step<Slice>> {
  const pace = createPace(space.gpu);
  const paced: Predict<Slice> = async (input, timestep) => {
    if (!pace.isShort) await pace.last;
    throwIfAborted(signal);
    const begun = Date.now();
    const output = await predict(input, timestep);
    space.flush();
    pace.mark(begun);
    return output;
  };
  const steps = sampleWith(schedule.sampler, paced, x, schedule, { mix: space.mix, noise });
  const underWay: { step: Step<Slice>; done: Promise<unknown> }[] = [];
  for await (const step of steps) {
    space.flush();
    underWay.push({ step, done: quiet(pace.end()) });
    space.keepOnly(underWay.flatMap(({ step }) => [step.latents, step.denoised, ...step.history]));
    while (pace.isShort ? underWay.length > 1 && pace.isFull : underWay.length > 0) {
      yield await first();
    }
  }
  while (underWay.length > 0) yield await first();

  async function first(): Promise<Step<Slice>> {
    await underWay[0]!.done;
    throwIfAborted(signal);
    return underWay.shift()!.step;
  }
}

/** How long predictions take on the device, and their ends. */
function createPace(gpu: Gpu) {
  const rest = createRest(gpu);
  let last = Promise.resolve();
  let ended = 0;
  let underWay = 0;
  let recent: number[] = [];
  const typical = () => recent.reduce((sum, ms) => sum + ms, 0) / recent.length;
  const isShort = () => recent.length > 0 && typical() < SHORT_MS;
  return {
    get isShort() {
      return isShort();
    },
    /** Whether so much is under way that nothing more should be submitted. */
    get isFull() {
      return underWay >= AHEAD || underWay * typical() >= AHEAD_MS;
    },
    /** The end of the last prediction and of all before it. An error is told to one wait alone, so it is passed on. */
    get last() {
      return last;
    },
    /** The end of all that has been submitted. Where nothing is submitted ahead, nobody asks before predictions are done. */
    async end(): Promise<void> {
      const all = isShort() ? whenDone(gpu) : undefined;
      await last;
      await (all ?? whenDone(gpu));
    },
    /** A prediction was submitted, which was begun at `begun`. */
    mark(begun: number): void {
      const resting = isShort() ? undefined : rest.most(begun);
      const done = resting ? undefined : whenDone(gpu);
      const timed = async (before: Promise<void>) => {
        await before;
        await resting;
        await (done ?? whenDone(gpu));
        const now = Date.now();
        const took = now - Math.max(begun, ended);
        recent = [...recent.slice(1 - WINDOW), took];
        ended = now;
        underWay--;
        rest.took(took);
      };
      underWay++;
      last = quiet(timed(last));
    },
  };
}

/** The end of all that has been submitted. */
const whenDone = (gpu: Gpu): Promise<unknown> => quiet(gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'drawing'));

/** A promise whose failure is told to whoever waits, and to nobody where another's failure has ended the waiting. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
