/** Loading a model and drawing with it, with progress: core's path, said aloud. */
import {
  type GenerateRequest,
  generate,
  type Image,
  loadModel,
  type Model,
  type Settings,
  type WeightedComponent,
} from '@diffusion-soup/core';
import type { OpenGpu } from './gpu.js';
import { pictureMode, terminalPicture } from './image/terminal-picture.js';
import type { Kitchen } from './kitchen.js';
import type { Output, Stream } from './output.js';
import { byteProgress, formatSeconds, type StepClock, stepClock } from './progress.js';

const PART_NAMES: Readonly<Record<WeightedComponent, string>> = {
  text_encoder: 'text encoder',
  unet: 'UNet',
  vae: 'VAE',
};

/** A callback for loadModel and reblend that shows each part's bytes. */
export function loadingProgress(output: Output, verb = 'loading') {
  let part: WeightedComponent | undefined;
  let line = byteProgress();
  return (now: WeightedComponent, done: number, total: number): void => {
    if (now !== part) [part, line] = [now, byteProgress()];
    output.status(`${verb} the ${PART_NAMES[now]}: ${line(done, total)}`);
  };
}

export async function loadWithProgress({ gpu }: OpenGpu, kitchen: Kitchen, output: Output) {
  const begun = performance.now();
  const { ingredients, ...settings } = kitchen.open;
  const model = await loadModel(gpu, ingredients, {
    ...settings,
    ...(kitchen.order.ensemble && { ensemble: true }),
    signal: output.io.signal,
    onProgress: loadingProgress(output),
  });
  const seconds = (performance.now() - begun) / 1000;
  output.endStatus(`loaded ${kitchen.title} in ${formatSeconds(seconds)}`);
  return { model, seconds };
}

export interface Drawn {
  readonly settings: Settings;
  readonly seconds: number;
  readonly secondsPerStep: number | undefined;
}

export interface DrawOptions {
  /** Said before the steps, as "2 of 3: ". */
  readonly prefix?: string;
  readonly onImage: (image: Image, seed: bigint, settings: Settings) => Promise<void>;
  /** Instead of a line of its own, when the steps are part of a longer task. */
  readonly onStep?: () => void;
}

/** Draws one request, and hands over every picture as it is done. */
export async function draw(
  model: Model,
  request: GenerateRequest,
  output: Output,
  options: DrawOptions,
): Promise<Drawn> {
  const { prefix = '', onImage, onStep } = options;
  const begun = performance.now();
  const clock: StepClock = stepClock();
  let settings: Settings | undefined;
  for await (const event of generate(model, { ...request, signal: output.io.signal })) {
    if (event.type === 'start') {
      settings = event.settings;
      for (const warning of event.warnings) if (!output.warnings.includes(warning)) output.warn(warning);
      clock.tick();
      if (!onStep) output.status(`${prefix}first step, for which the GPU's driver compiles shaders`);
    } else if (event.type === 'step') {
      clock.tick();
      if (onStep) onStep();
      else {
        const preview = event.previews?.[0] && previewOf(event.previews[0], output);
        const line =
          event.step < event.steps ? clock.line(event.step, event.steps) : `step ${event.steps} done, decoding`;
        output.status(`${prefix}${line}`, preview);
      }
    } else {
      await onImage(event.image, event.seed, settings!);
    }
  }
  return { settings: settings!, seconds: (performance.now() - begun) / 1000, secondsPerStep: clock.secondsPerStep };
}

/** Whether step previews can be shown: they are redrawn in place, which only text pictures can be. */
export const canPreview = ({ io }: Output): boolean => previewMode(io.stderr, io.env) !== 'none';

const previewMode = (...[stream, env]: Parameters<typeof pictureMode>) =>
  pictureMode(stream, env, { graphics: { kitty: false, iterm2: false, sixel: false } });

function previewOf(image: Image, { io }: Output): string {
  return terminalPicture(image, {
    columns: Math.min(widthOf(io.stderr), 64),
    rows: Math.min(heightOf(io.stderr), 32),
    mode: previewMode(io.stderr, io.env),
  });
}

// Some terminals say that they have 0 columns and rows.
const widthOf = ({ columns }: Stream): number => (columns || 80) - 1;
const heightOf = ({ rows }: Stream): number => Math.max(1, (rows || 24) - 4);

/** Shows a finished picture where the results go, if that is a terminal. */
export function showPicture(image: Parameters<typeof terminalPicture>[0], output: Output, most = 64): void {
  const { stdout, env } = output.io;
  const text = terminalPicture(image, {
    columns: Math.min(widthOf(stdout), most),
    rows: heightOf(stdout),
    mode: pictureMode(stdout, env),
  });
  if (text) output.show(text);
}
