/** Choosing what goes into a soup by a score: greedy soups, and searching for weights. */
export type { EvaluateOptions, Evaluation, Goal, Scorer } from './evaluate.js';
export { type GreedyDecision, type GreedyOptions, type GreedySoup, greedySoup } from './greedy.js';
export {
  clipCosines,
  clipScore,
  clipScorer,
  type PictureScorer,
  type ScoredPicture,
  scorerOfPictures,
} from './picture-scorer.js';
export { type ReconstructionOptions, type ReconstructionPicture, reconstructionLoss } from './reconstruction.js';
export {
  type FoundWeights,
  type Improvement,
  type SearchMethod,
  type SearchOptions,
  searchWeights,
} from './weights.js';
