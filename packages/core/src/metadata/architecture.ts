/** Which model a folder or single file is, in ModelSpec's words: https://github.com/Stability-AI/ModelSpec. */
import type { UNetConfig } from '../checkpoint/configs.js';
import type { ModelFolder } from '../checkpoint/model-folder.js';
import type { Component } from '../checkpoint/model-index.js';

export interface ArchitectureFacts {
  /** "stable-diffusion-v1", "stable-diffusion-v2-768-v", ...; of models of other sizes what their UNet is. */
  readonly architecture: string;
  /** Pixels of the pictures it was trained on: "512x512". */
  readonly resolution: string;
  readonly predictionType?: 'epsilon' | 'v';
}

const SD_CHANNELS = '320-640-1280-1280';
const V1_CONTEXT = 768;
const V2_CONTEXT = 1024;
/** Pixels to a latent in all Stable Diffusion 1 and 2; known only if there is a VAE. */
const VAE_FACTOR = 8;

/**
 * Of models that make one together: each part is described by the first that has it. Reads configs only; undefined where
 * there is no UNet.
 */
export async function architectureFacts(...models: readonly ModelFolder[]): Promise<ArchitectureFacts | undefined> {
  const having = (part: Component) => models.find(({ components }) => components.has(part));
  const unet = await having('unet')?.unetConfig();
  if (!unet) return undefined;
  const scheduler = await having('scheduler')?.schedulerConfig();
  const vae = await having('vae')?.vaeConfig();
  const predictionType = scheduler && (scheduler.predictionType === 'v_prediction' ? 'v' : 'epsilon');
  const side = unet.sampleSize * (vae ? 2 ** (vae.blockOutChannels.length - 1) : VAE_FACTOR);
  return {
    architecture: architectureOf(unet, predictionType),
    resolution: `${side}x${side}`,
    ...(predictionType && { predictionType }),
  };
}

function architectureOf(unet: UNetConfig, prediction: ArchitectureFacts['predictionType']): string {
  const { blockOutChannels, crossAttentionDim, inChannels } = unet;
  const channels = blockOutChannels.join('-');
  const [context] = crossAttentionDim;
  const extra = inChannels === 9 ? '-inpainting' : '';
  if (channels === SD_CHANNELS && context === V1_CONTEXT) return `stable-diffusion-v1${extra}`;
  if (channels === SD_CHANNELS && context === V2_CONTEXT) {
    return `stable-diffusion-v2-${prediction === 'v' ? '768-v' : '512'}${extra}`;
  }
  return `unet-${channels}-context-${context}${extra}`;
}
