/** A CLIP checkpoint's folder, ready to compare pictures and texts. */
import { openClipFolder } from '../checkpoint/clip-folder.js';
import type { Folder } from '../checkpoint/source.js';
import { closeWeights } from '../checkpoint/weights.js';
import type { Gpu } from '../gpu/gpu.js';
import { type ClipModel, createClip } from '../model/clip-model.js';
import { createTokenizer, type TokenizerFiles } from '../model/tokenizer.js';

export interface LoadedClip extends ClipModel {
  readonly name: string;
  destroy(): Promise<void>;
}

/**
 * Loads a CLIPModel, CLIPVisionModelWithProjection or CLIPTextModelWithProjection as transformers saves them. The two
 * halves embed pictures only, or texts only.
 */
export async function loadClip(gpu: Gpu, folder: Folder): Promise<LoadedClip> {
  const opened = await openClipFolder(folder);
  const weights = await opened.weights();
  try {
    const { text } = opened.config;
    const tokenizer = text && (await tokenizerOf(opened.text, text.maxPositions));
    const model = await createClip(gpu, opened.config, weights, { preprocessing: opened.preprocessing, tokenizer });
    const destroy = async () => {
      model.destroy();
      await closeWeights(weights);
    };
    return { ...model, name: opened.name, destroy };
  } catch (error) {
    await closeWeights(weights);
    throw error;
  }
}

async function tokenizerOf(read: (path: string) => Promise<string | undefined>, maxLength: number) {
  const names = ['vocab.json', 'merges.txt', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'];
  const [vocab, merges, tokenizerJson, config, specialTokens] = await Promise.all(names.map(read));
  if (!tokenizerJson && !(vocab && merges)) return undefined;
  const files: TokenizerFiles = { vocab, merges, tokenizerJson, config, specialTokens };
  return createTokenizer(files, { maxLength });
}
