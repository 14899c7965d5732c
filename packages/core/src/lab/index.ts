/** Measuring whether a soup behaves as the method claims. */
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
