/**
 * scheduler/scheduler_config.json. A sampler of ours is chosen by the user, so the file is read for the noise schedule
 * and the kind of prediction; what would change the pictures and is not implemented is refused. Names and defaults
 * are those of diffusers' schedulers/.
 */
import * as z from 'zod/mini';
import { count, only, onlyOrAbsent, parseOptions, type RefuseOption, refusalOfOption } from './config-schema.js';

export interface SchedulerConfig {
  /** diffusers' name of the sampler that the model's makers chose. */
  readonly className?: string;
  readonly numTrainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: 'linear' | 'scaled_linear' | 'squaredcos_cap_v2';
  readonly trainedBetas: readonly number[] | null;
  readonly predictionType: 'epsilon' | 'v_prediction';
  /** undefined, here and below: the file does not say, and each sampler has its own default. */
  readonly timestepSpacing?: 'leading' | 'linspace' | 'trailing';
  readonly stepsOffset?: number;
  readonly setAlphaToOne?: boolean;
  readonly solverOrder?: number;
  readonly useKarrasSigmas?: boolean;
  readonly finalSigmasType?: 'zero' | 'sigma_min';
  readonly rescaleBetasZeroSnr?: boolean;
  /** Everything the file says; options without a field above are looked up here. */
  readonly raw?: Readonly<Record<string, unknown>>;
}

/** Every known model has 1000 steps of training. */
const MAX_TIMESTEPS = 100_000;

const beta = () =>
  z
    .number('expected a number between 0 and 1')
    .check(z.gt(0, 'expected a number above 0'), z.lt(1, 'expected a number below 1'));

const schema = z.looseObject({
  _class_name: z.optional(z.string('expected the name of a scheduler')),
  num_train_timesteps: z._default(count(MAX_TIMESTEPS), 1000),
  beta_start: z.optional(beta()),
  beta_end: z.optional(beta()),
  beta_schedule: z.optional(only('linear', 'scaled_linear', 'squaredcos_cap_v2')),
  trained_betas: z._default(
    z.nullable(z.array(beta(), 'expected null or a list of numbers').check(z.minLength(1, 'expected one or more'))),
    null,
  ),
  prediction_type: z._default(only('epsilon', 'v_prediction'), 'epsilon'),
  timestep_spacing: z.optional(only('leading', 'linspace', 'trailing')),
  steps_offset: z.optional(
    z
      .number('expected a whole number')
      .check(z.refine((n) => Number.isInteger(n) && n >= 0 && n < MAX_TIMESTEPS, 'expected a whole number, 0 or more')),
  ),
  set_alpha_to_one: z.optional(z.boolean('expected true or false')),
  solver_order: z.optional(only(1, 2, 3)),
  use_karras_sigmas: z.optional(z.nullable(z.boolean('expected true, false or null'))),
  final_sigmas_type: z.optional(only('zero', 'sigma_min')),
  rescale_betas_zero_snr: z._default(z.boolean('expected true or false'), false),
  clip_sample: z.optional(only(false)),
  thresholding: onlyOrAbsent(false, null),
  use_exponential_sigmas: onlyOrAbsent(false, null),
  use_beta_sigmas: onlyOrAbsent(false, null),
  use_flow_sigmas: onlyOrAbsent(false, null),
  use_lu_lambdas: onlyOrAbsent(false, null),
  use_dynamic_shifting: onlyOrAbsent(false, null),
  sigma_min: onlyOrAbsent(null),
  sigma_max: onlyOrAbsent(null),
  // A learned variance doubles the channels that the model puts out.
  variance_type: z.optional(only(null, 'fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log')),
  timestep_type: onlyOrAbsent('discrete'),
  interpolation_type: onlyOrAbsent('linear'),
});

/** Where the classes' defaults differ from 0.0001 to 0.02, linear. */
const LATENT_LINEAR = { betaStart: 0.00085, betaEnd: 0.012, betaSchedule: 'linear' } as const;
const LATENT_SCALED = { betaStart: 0.00085, betaEnd: 0.012, betaSchedule: 'scaled_linear' } as const;
const NOISE_DEFAULTS: Readonly<Record<string, Pick<SchedulerConfig, 'betaStart' | 'betaEnd' | 'betaSchedule'>>> = {
  HeunDiscreteScheduler: LATENT_LINEAR,
  KDPM2DiscreteScheduler: LATENT_LINEAR,
  KDPM2AncestralDiscreteScheduler: LATENT_LINEAR,
  DPMSolverSDEScheduler: LATENT_LINEAR,
  LCMScheduler: LATENT_SCALED,
  TCDScheduler: LATENT_SCALED,
};

/** These clip the predicted sample unless the file says not to: right for pixels, wrong for latents. */
const CLIPS_BY_DEFAULT = ['DDIMScheduler', 'DDPMScheduler'];

/** Checks the JSON of a scheduler_config.json; `className` is the one of model_index.json, if the file has none. */
export function parseSchedulerConfig(
  json: unknown,
  file = 'scheduler/scheduler_config.json',
  className?: string,
): SchedulerConfig {
  // Options of other samplers are not ours to refuse, so no value is unknown.
  const options = parseOptions(json, file, schema, { isOff: () => true });
  const refuse: RefuseOption = refusalOfOption(file);
  const name = options._class_name ?? className;
  if (name !== undefined && CLIPS_BY_DEFAULT.includes(name) && options.clip_sample === undefined) {
    refuse('clip_sample', undefined, `that means true for ${name}, and this engine supports only false`);
  }
  const defaults = Object.hasOwn(NOISE_DEFAULTS, name ?? '') ? NOISE_DEFAULTS[name!] : undefined;
  const betaStart = options.beta_start ?? defaults?.betaStart ?? 0.0001;
  const betaEnd = options.beta_end ?? defaults?.betaEnd ?? 0.02;
  if (betaEnd < betaStart) refuse('beta_end', betaEnd, `expected beta_start, ${betaStart}, or more`);
  const trainedBetas = options.trained_betas;
  if (trainedBetas && trainedBetas.length !== options.num_train_timesteps) {
    const wanted = `expected ${options.num_train_timesteps} of them, one for each of num_train_timesteps`;
    refuse('trained_betas', trainedBetas, wanted);
  }
  return {
    className: name,
    numTrainTimesteps: options.num_train_timesteps,
    betaStart,
    betaEnd,
    betaSchedule: options.beta_schedule ?? defaults?.betaSchedule ?? 'linear',
    trainedBetas,
    predictionType: options.prediction_type,
    timestepSpacing: options.timestep_spacing,
    stepsOffset: options.steps_offset,
    setAlphaToOne: options.set_alpha_to_one,
    solverOrder: options.solver_order,
    useKarrasSigmas: options.use_karras_sigmas ?? undefined,
    finalSigmasType: options.final_sigmas_type,
    rescaleBetasZeroSnr: options.rescale_betas_zero_snr,
    raw: json as Record<string, unknown>,
  };
}
