/** Measuring whether a soup behaves as the method claims. */

export { type Contender, type ContenderOptions, type Contenders, openContenders } from './contenders.js';
export {
  captionOf,
  denoisingLosses,
  type LossCase,
  type LossOptions,
  latentsOf,
  timestepsAt,
  underNoise,
} from './denoising-loss.js';
export {
  blockResiduals,
  type FidelityPath,
  fidelityPath,
  noiseResiduals,
  type PathStep,
  type Residual,
  relativeGap,
  residualRatio,
  residualsOf,
} from './fidelity.js';
export { cosine, pixelDistance, relativeL2, rms, squared } from './measures.js';
export { type Membership, type MembershipLosses, membership, type PictureLosses } from './membership.js';
export { type Nearest, nearestOf, nearestPicture } from './nearest.js';
export { type Networks, openNetworks } from './networks.js';
export type {
  BarChart,
  Block,
  Chart,
  ChartPoint,
  HeatMap,
  Json,
  LineChart,
  Report,
  ReportPicture,
  Section,
} from './report.js';
export {
  auc,
  aucInterval,
  type BootstrapOptions,
  bootstrap,
  bootstrapMean,
  type Interval,
  mean,
  pairedDifference,
  quantile,
  standardDeviation,
} from './statistics.js';
