/** Single files that are no Stable Diffusion 1 or 2 text-to-image model, known by a tensor and refused by name. */
import type { Weights } from '../weights.js';
import { PREFIXES, refuseTensor } from './part.js';

const ONLY = 'This engine reads single files of Stable Diffusion 1.x and 2.x, text to image.';

const LORA = 'Give it as a LoRA of a model, with a strength.';

const PART_OF_FOLDER = 'Put it into a model folder as diffusers lays it out, and name the folder.';

/** By the name of a tensor. */
const KINDS: readonly { readonly name: RegExp; readonly is: string; readonly advice?: string }[] = [
  { name: /^conditioner\.embedders\./, is: 'Stable Diffusion XL' },
  { name: /^(model\.diffusion_model\.)?joint_blocks\./, is: 'Stable Diffusion 3' },
  { name: /^text_encoders\./, is: 'a model with several text encoders, such as Stable Diffusion 3' },
  { name: /^(model\.diffusion_model\.)?double_blocks\./, is: 'Flux' },
  { name: /^model\.diffusion_model\.label_emb\./, is: 'Stable Diffusion XL, unCLIP or an upscaler' },
  { name: /^control_model\./, is: 'a ControlNet' },
  { name: /^lora_(unet|te)\d?_|\.lora_(up|down|A|B)\.|\.lora\.(up|down)\./, is: 'a LoRA', advice: LORA },
  { name: /^(string_to_param|emb_params|clip_l$|clip_g$)/, is: 'a textual inversion' },
  { name: /^(down_blocks|mid_block|up_blocks)\./, is: "a UNet alone, in diffusers' names", advice: PART_OF_FOLDER },
  { name: /^(encoder|decoder)\.(down|up|mid|conv_in)\b/, is: 'a VAE alone' },
  {
    name: /^(encoder|decoder)\.(down|up|mid)_blocks?\./,
    is: "a VAE alone, in diffusers' names",
    advice: PART_OF_FOLDER,
  },
  { name: /^text_model\./, is: "a text encoder alone, in transformers' names", advice: PART_OF_FOLDER },
];

/** By how many channels a UNet takes beside the latents that it puts out. */
const EXTRA_CHANNELS: Readonly<Record<number, string>> = {
  1: 'a depth model',
  3: 'an upscaler',
  4: 'InstructPix2Pix',
  5: 'an inpainting model',
};

/** Refuses what this engine does not run, by what it is rather than by what it lacks. */
export function refuseOtherKinds({ name: file, tensors }: Weights): void {
  for (const tensor of tensors.keys()) {
    const kind = KINDS.find(({ name }) => name.test(tensor));
    if (kind) refuseTensor(file, tensor, `shows that this is ${kind.is}`, kind.advice ?? ONLY);
  }
  const convIn = `${PREFIXES.unet}input_blocks.0.0.weight`;
  const taken = tensors.get(convIn)?.shape[1];
  const given = tensors.get(`${PREFIXES.unet}out.2.weight`)?.shape[0];
  if (taken === undefined || given === undefined || taken === given) return;
  const what = `takes ${taken} channels where the model puts out ${given}`;
  const is = EXTRA_CHANNELS[taken - given] ?? 'no text-to-image model';
  refuseTensor(file, convIn, `${what}: this is ${is}`, ONLY);
}
