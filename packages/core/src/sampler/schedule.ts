/**
 * The plan of a run: what the network is told at each step and how much noise there is, as diffusers' schedulers would
 * set it for the same config. Plain data, made once and never changed; a sampler only reads it.
 */

import type { SchedulerConfig } from '../checkpoint/configs.js';
import { UsageError } from '../errors.js';
import { type SolverOptions, solverOptions } from './config.js';
import { f32, roundHalfEven } from './float32.js';
import { familyOf, isKarras, type SamplerFamily, type SamplerName } from './names.js';
import { karrasSigmas, sigmaToTimestep, spacedTimesteps, timestepToSigma } from './timesteps.js';
import { alphasCumprod, sigmaOf } from './training-noise.js';
import { mix } from './vector.js';

export interface Schedule {
  readonly sampler: SamplerName;
  readonly predictionType: 'epsilon' | 'v_prediction';
  /** Of the whole schedule; a run takes those from `start`, which is above 0 when it begins with a picture. */
  readonly steps: number;
  readonly start: number;
  /** What the network is told, one for each step; not always whole. */
  readonly timesteps: readonly number[];
  /** Noise to signal before each step and after the last: one more than there are steps. */
  readonly sigmas: readonly number[];
  /** What unit noise is multiplied with to begin. */
  readonly initNoiseSigma: number;
  /** ᾱ of every timestep of the training, and what stands for ᾱ past its end. */
  readonly alphasCumprod: readonly number[];
  readonly finalAlphaCumprod: number;
  /** Timesteps of the training to one step of ddim and pndm. */
  readonly stride: number;
  readonly options: SolverOptions;
}

/** Their latents are x0 + sigma eps; those of the others are sqrt(ᾱ) x0 + sqrt(1 - ᾱ) eps. */
const EXPLODING: readonly SamplerFamily[] = ['euler', 'euler-ancestral', 'heun', 'lms'];
/** These look ᾱ up by timestep. */
const DISCRETE: readonly SamplerFamily[] = ['ddim', 'pndm'];
/** These go by log(signal / noise), and need a finite first one. */
const ALMOST_ZERO_SNR = 2 ** -24;

export function makeSchedule(
  sampler: SamplerName,
  config: SchedulerConfig,
  steps: number,
  { strength = 1 }: { readonly strength?: number } = {},
): Schedule {
  const { numTrainTimesteps } = config;
  if (!Number.isInteger(steps) || steps < 1 || steps > numTrainTimesteps) {
    throw new UsageError(`${steps} steps: expected a whole number from 1 to ${numTrainTimesteps}.`, { found: steps });
  }
  const family = familyOf(sampler);
  const discrete = DISCRETE.includes(family);
  const options = solverOptions(family, config);
  const alphaBars = alphasCumprod(config);
  if (config.rescaleBetasZeroSnr && !discrete) alphaBars[alphaBars.length - 1] = ALMOST_ZERO_SNR;
  const { timesteps, sigmas } = discrete
    ? discretePlan(options, alphaBars, steps)
    : sigmaPlan(sampler, config, options, alphaBars, steps);
  checkDescent(sampler, timesteps, sigmas, numTrainTimesteps);
  return {
    sampler,
    predictionType: config.predictionType,
    steps: timesteps.length,
    start: startIndex(timesteps.length, strength),
    timesteps,
    sigmas,
    initNoiseSigma: initNoiseSigma(family, options, sigmas),
    alphasCumprod: alphaBars,
    finalAlphaCumprod: options.setAlphaToOne ? 1 : alphaBars[0],
    stride: Math.floor(numTrainTimesteps / steps),
    options,
  };
}

type Plan = Pick<Schedule, 'timesteps' | 'sigmas'>;

function discretePlan(options: SolverOptions, alphaBars: readonly number[], steps: number): Plan {
  const { timestepSpacing, stepsOffset, setAlphaToOne } = options;
  const numTrainTimesteps = alphaBars.length;
  const grid = { steps, numTrainTimesteps, stepsOffset, extraPoint: false, whole: true };
  const timesteps = spacedTimesteps(timestepSpacing, grid);
  return {
    timesteps,
    sigmas: [...timesteps.map((t) => sigmaOf(alphaBars[t])), setAlphaToOne ? 0 : sigmaOf(alphaBars[0])],
  };
}

function sigmaPlan(
  sampler: SamplerName,
  config: SchedulerConfig,
  options: SolverOptions,
  alphaBars: readonly number[],
  steps: number,
): Plan {
  const family = familyOf(sampler);
  const multistep = family === 'dpmpp-2m' || family === 'unipc';
  const training = alphaBars.map(sigmaOf);
  // log(signal / noise) is -log sigma; what is below the clip is too noisy for dpmpp-2m.
  const clipped = training.filter((sigma) => -Math.log(sigma) < options.lambdaMinClipped).length;
  let timesteps = spacedTimesteps(options.timestepSpacing, {
    steps,
    numTrainTimesteps: config.numTrainTimesteps,
    stepsOffset: options.stepsOffset,
    extraPoint: multistep,
    whole: multistep,
    range: config.numTrainTimesteps - (family === 'dpmpp-2m' ? clipped : 0),
  });
  let sigmas = timesteps.map((t) => timestepToSigma(t, training));
  let last = options.finalSigmasType === 'zero' ? 0 : training[0];
  if (isKarras(sampler)) {
    const [max, min] = multistep
      ? [training[training.length - 1], training[0]]
      : [sigmas[0], sigmas[sigmas.length - 1]];
    const logSigmas = training.map((sigma) => f32(Math.log(sigma)));
    sigmas = karrasSigmas(max, min, timesteps.length);
    timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas));
    const cosine = family === 'dpmpp-2m' && config.betaSchedule === 'squaredcos_cap_v2';
    if (multistep) timesteps = timesteps.map(cosine ? Math.trunc : roundHalfEven);
    if (last > 0 && family === 'unipc') last = sigmas[sigmas.length - 1];
  }
  return { timesteps: timesteps.map(f32), sigmas: [...sigmas, last].map(f32) };
}

/** Where diffusers' img2img begins: `strength` of the steps are taken, rounded down. */
export function startIndex(steps: number, strength: number): number {
  if (!(strength >= 0 && strength <= 1)) {
    throw new UsageError(`strength ${strength}: expected a number from 0 to 1.`, { found: strength });
  }
  const taken = Math.min(Math.trunc(steps * strength), steps);
  if (taken === 0) {
    const least = Math.ceil(100 / steps) / 100;
    throw new UsageError(`strength ${strength} of ${steps} steps is less than one step: expected ${least} or more.`, {
      found: strength,
    });
  }
  return steps - taken;
}

function initNoiseSigma(family: SamplerFamily, options: SolverOptions, sigmas: readonly number[]): number {
  if (!EXPLODING.includes(family)) return 1;
  const max = Math.max(...sigmas);
  return options.timestepSpacing === 'leading' ? f32(Math.sqrt(f32(f32(max * max) + 1))) : max;
}

/** Too many steps fall on the same timestep, where the solvers would divide by zero. */
function checkDescent(
  sampler: SamplerName,
  timesteps: readonly number[],
  sigmas: readonly number[],
  range: number,
): void {
  const past = timesteps.find((t) => t >= range || t < 0);
  if (past !== undefined) {
    throw new UsageError(
      `${timesteps.length} steps of ${sampler} visit timestep ${past}, and the model was trained for 0 to ${range - 1}: ` +
        'ask for fewer steps.',
      { found: timesteps.length },
    );
  }
  for (let i = 0; i + 1 < timesteps.length; i++) {
    if (sigmas[i + 1] < sigmas[i]) continue;
    throw new UsageError(`${timesteps.length} steps of ${sampler} visit the same noise twice: ask for fewer steps.`, {
      found: timesteps.length,
    });
  }
}

export const isExploding = (schedule: Schedule): boolean => EXPLODING.includes(familyOf(schedule.sampler));

/** ᾱ at a whole timestep; past the training's beginning there is almost no noise, or none. */
export const alphaBar = (schedule: Schedule, t: number): number =>
  t >= 0 ? schedule.alphasCumprod[t] : schedule.finalAlphaCumprod;

/** Latents to begin from nothing: unit noise, as strong as the schedule begins. */
export const initialLatents = (noise: Float32Array, schedule: Schedule): Float32Array =>
  mix([schedule.initNoiseSigma, noise]);

/** Latents to begin from a picture: as noisy as the schedule is before step `i`. */
export function addNoise(
  latents: Float32Array,
  noise: Float32Array,
  schedule: Schedule,
  i = schedule.start,
): Float32Array {
  const sigma = schedule.sigmas[i];
  if (isExploding(schedule)) return mix([1, latents], [sigma, noise]);
  if (DISCRETE.includes(familyOf(schedule.sampler))) {
    const bar = alphaBar(schedule, schedule.timesteps[i]);
    return mix([Math.sqrt(bar), latents], [Math.sqrt(1 - bar), noise]);
  }
  const alpha = 1 / Math.hypot(1, sigma);
  return mix([alpha, latents], [sigma * alpha, noise]);
}
