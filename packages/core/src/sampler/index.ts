/** Samplers: from noise to latents, given a network. */
export { a1111Name, resolveSampler, type SamplerName, samplerForClass, samplerNames } from './names.js';
export { type NoiseGenerator, type NoiseStream, noiseStream, randn, type Seed } from './noise.js';
export { networkCalls, sampleWith } from './sample.js';
export { addNoise, initialLatents, makeSchedule, type Schedule, startIndex } from './schedule.js';
export type { Mix, NoiseSource, Predict, SamplerOptions, Step } from './step.js';
