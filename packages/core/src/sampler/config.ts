/**
 * What diffusers assumes where a scheduler_config.json says nothing: every scheduler class reads the options that it
 * knows from the shared file and has its own defaults for the rest (`from_config`).
 */
import type { SchedulerConfig } from '../checkpoint/configs.js';
import { ConfigError } from '../errors.js';
import type { SamplerFamily } from './names.js';

/** Every option of every sampler, decided. */
export interface SolverOptions {
  readonly timestepSpacing: 'leading' | 'linspace' | 'trailing';
  readonly stepsOffset: number;
  readonly setAlphaToOne: boolean;
  readonly finalSigmasType: 'zero' | 'sigma_min';
  readonly solverOrder: number;
  readonly solverType: 'midpoint' | 'heun' | 'bh1' | 'bh2';
  readonly lowerOrderFinal: boolean;
  readonly eulerAtFinal: boolean;
  readonly lambdaMinClipped: number;
  readonly disableCorrector: readonly number[];
  readonly skipPrkSteps: boolean;
}

const SIGMA_MIN_KNOWN: readonly SamplerFamily[] = ['euler', 'dpmpp-2m', 'unipc'];

export function solverOptions(family: SamplerFamily, config: SchedulerConfig): SolverOptions {
  const raw = config.raw ?? {};
  const flag = (key: string, otherwise: boolean): boolean => (typeof raw[key] === 'boolean' ? raw[key] : otherwise);
  const discrete = family === 'ddim' || family === 'pndm';
  if (family === 'unipc' && raw.predict_x0 === false) {
    throw new ConfigError(
      'scheduler_config.json has predict_x0 false; unipc is implemented for true only. Choose another sampler.',
      { key: 'predict_x0', found: false },
    );
  }
  return {
    timestepSpacing: config.timestepSpacing ?? (discrete ? 'leading' : 'linspace'),
    stepsOffset: config.stepsOffset ?? 0,
    setAlphaToOne: config.setAlphaToOne ?? family === 'ddim',
    finalSigmasType: SIGMA_MIN_KNOWN.includes(family) ? (config.finalSigmasType ?? 'zero') : 'zero',
    solverOrder: config.solverOrder ?? 2,
    solverType: solverType(family, raw.solver_type),
    lowerOrderFinal: flag('lower_order_final', true),
    eulerAtFinal: flag('euler_at_final', false),
    lambdaMinClipped: typeof raw.lambda_min_clipped === 'number' ? raw.lambda_min_clipped : -Infinity,
    disableCorrector: Array.isArray(raw.disable_corrector) ? raw.disable_corrector.map(Number) : [],
    // A PNDM config says what it wants, or means diffusers' default; under any other, pndm is PLMS as everywhere else.
    skipPrkSteps: flag('skip_prk_steps', config.className !== 'PNDMScheduler'),
  };
}

/** The two families share the name of the option and not its values: one's value is the other's default. */
function solverType(family: SamplerFamily, found: unknown): SolverOptions['solverType'] {
  if (family === 'unipc') return found === 'bh1' ? 'bh1' : 'bh2';
  return found === 'heun' ? 'heun' : 'midpoint';
}
