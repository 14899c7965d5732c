/**
 * Whether a model knows the pictures that it was trained on: loss-threshold membership inference (Yeom et al. 2018,
 * arXiv 1709.01604; Carlini et al. 2023, arXiv 2301.13188). A member is expected to have a lower loss.
 *
 * Pictures differ in how hard they are, trained on or not. Calibrated scores take that out: the loss that a reference
 * model has, which was trained on neither, less the model's own (Watson et al. 2022, arXiv 2111.08440).
 */
import { UsageError } from '../errors.js';
import { aucInterval, type BootstrapOptions, type Interval, mean } from './statistics.js';

/** Losses of one picture under several noises and timesteps, the same for all models and pictures. */
export type PictureLosses = readonly number[];

export interface Membership {
  /** The chance that a member scores above a non-member; 1/2 says nothing. */
  readonly raw: Interval;
  /** With `reference` losses: of the same pictures, by a model that has seen none of them. */
  readonly calibrated?: Interval;
}

export interface MembershipLosses {
  readonly members: readonly PictureLosses[];
  readonly others: readonly PictureLosses[];
}

/** A picture is one unit, whatever the number of noises. */
export function membership(
  own: MembershipLosses,
  reference?: MembershipLosses,
  options?: BootstrapOptions,
): Membership {
  const score = (losses: PictureLosses): number => -mean(losses);
  const raw = aucInterval(own.members.map(score), own.others.map(score), options);
  if (!reference) return { raw };
  const gain = (group: keyof MembershipLosses): number[] => {
    if (own[group].length !== reference[group].length) {
      throw new UsageError(`${own[group].length} pictures cannot be calibrated by ${reference[group].length}`);
    }
    return own[group].map((losses, i) => mean(reference[group][i]!) - mean(losses));
  };
  return { raw, calibrated: aucInterval(gain('members'), gain('others'), options) };
}
