/** The activation functions, once, for every kernel that can apply one before it stores. */

export const activations = ['none', 'silu', 'gelu', 'quick_gelu', 'relu', 'gelu_tanh'] as const;
export type Activation = (typeof activations)[number];

/** The number by which a shader's ACTIVATION constant names it. */
export const activationCode = (activation: Activation): number => activations.indexOf(activation);

/**
 * gelu is the exact one, x Φ(x) (Hendrycks & Gimpel, arXiv 1606.08415), with erf by Abramowitz & Stegun 7.1.26
 * refined to f32 (Numerical Recipes erfc, relative error 1.2e-7); WGSL has no erf.
 * exp overflows to infinity harmlessly in silu (x / inf = 0), and tanh is clamped since some drivers return NaN
 * for large arguments.
 */
export const ACTIVATE = `
const SILU = ${activationCode('silu')}u;
const GELU = ${activationCode('gelu')}u;
const QUICK_GELU = ${activationCode('quick_gelu')}u;
const RELU = ${activationCode('relu')}u;
const GELU_TANH = ${activationCode('gelu_tanh')}u;

fn activate(activation: u32, x: f32) -> f32 {
  if (activation == SILU) {
    return x / (1 + exp(min(-x, 80.0)));
  }
  if (activation == GELU) {
    return 0.5 * x * erfc(-0.7071067811865476 * x);
  }
  if (activation == QUICK_GELU) {
    return x / (1 + exp(min(-1.702 * x, 80.0)));
  }
  if (activation == RELU) {
    return max(x, 0.0);
  }
  if (activation == GELU_TANH) {
    return 0.5 * x * (1 + tanh(clamp(0.7978845608028654 * (x + 0.044715 * x * x * x), -20.0, 20.0)));
  }
  return x;
}

fn erfc(x: f32) -> f32 {
  let t = 1 / (1 + 0.5 * abs(x));
  let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 +
    t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let value = t * exp(-x * x + p);
  return select(value, 2 - value, x < 0);
}`;
