/**
 * How LoRA files name their tensors. A name is a place in a network and a role there; places are compared with their
 * dots as underscores, since kohya's files know no other form. Formats:
 *
 *   kohya       lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight, .lora_up.weight, .lora_mid.weight, .alpha
 *               (or with the original implementation's blocks, lora_unet_input_blocks_1_1_proj_in), lora_te_text_model_...
 *   diffusers   unet.down_blocks.0.attentions.0.proj_in.lora.down.weight, or .lora_A.weight; text_encoder....
 *               before 2023-09: ...attn1.processor.to_q_lora.down.weight, ...fc1.lora_linear_layer.down.weight
 *   peft        base_model.model.down_blocks.0....lora_A.weight, also .lora_A.default.weight
 *
 * After kohya-ss/sd-scripts networks/lora.py, and diffusers' loaders/lora_conversion_utils.py and utils/state_dict_utils.py.
 */
export type LoraComponent = 'unet' | 'text_encoder';

export type LoraRole = 'down' | 'up' | 'mid' | 'alpha';

export interface LoraName {
  readonly component: LoraComponent;
  /** The layer's path in its network, dots as underscores. */
  readonly place: string;
  readonly role: LoraRole;
}

const ROLES: readonly (readonly [RegExp, LoraRole])[] = [
  [/\.lora_(?:down|A)(?:\.default)?(?:\.weight)?$/, 'down'],
  [/\.lora_(?:up|B)(?:\.default)?(?:\.weight)?$/, 'up'],
  [/\.lora_mid\.weight$/, 'mid'],
  [/(?:\.lora|_lora|\.lora_linear_layer)\.down\.weight$/, 'down'],
  [/(?:\.lora|_lora|\.lora_linear_layer)\.up\.weight$/, 'up'],
  [/\.alpha$/, 'alpha'],
];

const PREFIXES: readonly (readonly [RegExp, LoraComponent | undefined])[] = [
  [/^lora_unet_/, 'unet'],
  [/^lora_te1?_/, 'text_encoder'],
  [/^(?:base_model\.model\.)?unet\./, 'unet'],
  [/^(?:base_model\.model\.)?text_encoder\./, 'text_encoder'],
  [/^diffusion_model\./, 'unet'],
  [/^base_model\.model\./, undefined],
  [/^/, undefined],
];

/** How a network's own names begin, where the file does not say which network it means. */
const UNET = /^(?:down_blocks|up_blocks|mid_block|conv_in|conv_out|time_embedding)\b/;
const TEXT_ENCODER = /^(?:text_model|encoder\.layers)\b/;

/** What a tensor's name says, or undefined when it is none that a LoRA has. */
export function parseLoraName(name: string): LoraName | undefined {
  const [ending, role] = ROLES.find(([pattern]) => pattern.test(name)) ?? [];
  if (!ending || !role) return undefined;
  const stem = name.replace(ending, '');
  const [prefix, named] = PREFIXES.find(([pattern]) => pattern.test(stem))!;
  const path = stem.replace(prefix, '');
  const component = named ?? (UNET.test(path) ? 'unet' : TEXT_ENCODER.test(path) ? 'text_encoder' : undefined);
  return component && { component, place: placeOf(path, component), role };
}

/** Old files name the attention processor and its projections otherwise than the network does. */
function placeOf(path: string, component: LoraComponent): string {
  const flat = path.replaceAll('.', '_').replace('_processor_', '_');
  if (component === 'unet') return flat.replace(/_to_out$/, '_to_out_0');
  return flat
    .replace(/_self_attn_to_([qkv])$/, '_self_attn_$1_proj')
    .replace(/_self_attn_to_out$/, '_self_attn_out_proj');
}

/** Relatives of LoRA that are other mathematics, by what their tensors are called. */
const RELATIVES: readonly (readonly [RegExp, string])[] = [
  [/\.hada_/, 'LoHa'],
  [/\.lokr_/, 'LoKr'],
  [/dora_scale|lora_magnitude_vector/, 'DoRA'],
  [/\.oft_|\.boft_/, 'OFT'],
  [/\.on_input$/, 'IA3'],
  [/\.[ab][12]\.weight$/, 'GLoRA'],
  [/\.diff(?:_b)?$/, 'a full difference'],
  [/\.(?:w|b)_norm$/, 'norm layers'],
  [/lora_embedding_/, 'LoRA of an embedding'],
  [/^bundle_emb|emb_params/, 'a bundled embedding'],
  [/\.lora_B(?:\.default)?\.bias$|\.lora_bias/, 'LoRA with a bias'],
  [/^lora_te2_|text_encoder_2\./, 'a second text encoder, as SDXL has'],
  [/lora_transformer_|^transformer\.|double_blocks|single_blocks/, 'a diffusion transformer'],
];

/** What an unknown tensor seems to belong to. */
export const relativeOf = (name: string): string | undefined => RELATIVES.find(([pattern]) => pattern.test(name))?.[1];
