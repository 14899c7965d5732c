/** Whether models can be averaged at all: the same configs, and weights where a config promises them. */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import type { Weights } from '../checkpoint/weights.js';
import { CheckpointError, IncompatibleError } from '../errors.js';

/** The config of a part, which all models must share. */
export async function sameConfig<C>(
  folders: readonly ModelFolder[],
  part: string,
  configOf: (folder: ModelFolder) => Promise<C>,
): Promise<C> {
  const [first, ...others] = folders;
  const config = await configOf(first!);
  for (const folder of others) {
    const other = await configOf(folder);
    for (const key of Object.keys(config as object) as (keyof C)[]) {
      const [a, b] = [JSON.stringify(config[key]), JSON.stringify(other[key])];
      if (a === b) continue;
      throw new IncompatibleError(
        `${part}: ${String(key)} is ${a} in ${first!.name} but ${b} in ${folder.name}. ` +
          'Only models of the same architecture can be averaged.',
        { part, key },
      );
    }
  }
  return config;
}

export async function weightsOf(folder: ModelFolder, part: WeightedComponent): Promise<Weights> {
  const weights = await folder.weights(part);
  if (weights) return weights;
  throw new CheckpointError(`${folder.name} has a ${part}/config.json but no ${part} weights (*.safetensors).`, {
    file: folder.name,
    part,
  });
}

/** The parameterization is part of identity: of the schedule, models must share what their UNets learnt to predict. */
export async function samePrediction(folders: readonly ModelFolder[]): Promise<void> {
  const having = folders.filter(({ components }) => components.has('scheduler'));
  if (having.length === 0) return;
  await sameConfig(having, 'scheduler', async (folder) => {
    const { predictionType } = await folder.schedulerConfig();
    return { predictionType };
  });
}
