"""
Makes the CLIP references beside this file: python make-clip.py FOLDER

Two tiny CLIPModel checkpoints of random weights as transformers saves them (fp16 safetensors), and what transformers
computes from them in float64. Nothing is downloaded. Needs numpy, torch, transformers, safetensors and Pillow.

FOLDER/clip-tiny-quick: quick_gelu, with a tokenizer. FOLDER/clip-tiny-gelu: gelu, odd sizes, eos_token_id 2 as in old
configs (the pooled output is then read at the largest id). Each has vision/ and text/ beside it, the same weights as
CLIPVisionModelWithProjection and CLIPTextModelWithProjection, and golden-clip.safetensors:

  picture.0, picture.1                 uint8 (H, W, 3), of odd sizes
  pixel_values                         (2, 3, S, S): resized by Pillow, cropped, normalised, in float64 but for the resize
  pixel_values.transformers            the same by transformers' own processor, if it could be made; see the metadata
  input_ids                            int32 (N, T)
  <module>                             what a module returned, by its name, for all encoder layers, norms and projections
  vision.hidden_states.k, text.hidden_states.k    what goes into layer k, and last what comes out of the last
  image_embeds, text_embeds            projected, not normalised
  logits_per_image                     (2, N)
"""
import json
import os
import re
import shutil
import sys

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

CONFIGS = {
    "clip-tiny-quick": dict(
        projection_dim=16,
        text_config=dict(
            vocab_size=1714, hidden_size=20, intermediate_size=44, projection_dim=16, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=32, hidden_act="quick_gelu", layer_norm_eps=1e-5,
            bos_token_id=1712, eos_token_id=1713, pad_token_id=1713,
        ),
        vision_config=dict(
            hidden_size=24, intermediate_size=50, projection_dim=16, num_hidden_layers=2, num_attention_heads=3,
            num_channels=3, image_size=20, patch_size=4, hidden_act="quick_gelu", layer_norm_eps=1e-5,
        ),
    ),
    "clip-tiny-gelu": dict(
        projection_dim=10,
        text_config=dict(
            vocab_size=60, hidden_size=12, intermediate_size=30, projection_dim=10, num_hidden_layers=3,
            num_attention_heads=3, max_position_embeddings=11, hidden_act="gelu", layer_norm_eps=1e-6,
            bos_token_id=0, eos_token_id=2, pad_token_id=1,
        ),
        vision_config=dict(
            hidden_size=30, intermediate_size=37, projection_dim=10, num_hidden_layers=3, num_attention_heads=5,
            num_channels=3, image_size=21, patch_size=7, hidden_act="gelu", layer_norm_eps=1e-6,
        ),
    ),
}
HOOKED = re.compile(
    r"(patch_embedding|pre_layrnorm|post_layernorm|final_layer_norm|visual_projection|text_projection"
    r"|layers\.\d+|self_attn|self_attn\.out_proj|mlp\.fc2)$"
)


def randomize(model, seed):
    """Weights that keep activations near 1, norms and biases that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("logit_scale"):
                parameter.fill_(2.6592)
            elif parameter.dim() < 2 or "embedding.weight" in name and "patch" not in name:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)


def pictures():
    """Smooth gradients with a sharp disc and some noise, uint8."""
    random = np.random.default_rng(7)
    found = []
    for height, width in ((37, 53), (64, 23)):
        y, x = np.mgrid[0:height, 0:width]
        base = np.stack([x / width, y / height, 0.5 + 0.5 * np.sin(x / 5.0 + y / 3.0)], axis=-1) * 255
        disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < 64
        base[disc] = (250, 20, 60)
        base = base + random.normal(0, 12, base.shape)
        found.append(np.clip(np.round(base), 0, 255).astype(np.uint8))
    return found


def preprocess(picture, size):
    """As CLIPImageProcessor: shortest edge to `size` (bicubic), centre crop, 1/255, mean and deviation. (3, S, S)."""
    height, width = picture.shape[:2]
    if height < width:
        new_height, new_width = size, int(size * width / height)
    else:
        new_height, new_width = int(size * height / width), size
    resized = np.asarray(Image.fromarray(picture).resize((new_width, new_height), resample=Image.BICUBIC))
    top, left = (new_height - size) // 2, (new_width - size) // 2
    cropped = resized[top : top + size, left : left + size].astype(np.float64)
    return ((cropped / 255 - np.array(MEAN)) / np.array(STD)).transpose(2, 0, 1)


def by_transformers(images, size, folder):
    """The same by the library's own processor; its name and what it saved."""
    options = dict(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    for name in ("CLIPImageProcessorPil", "CLIPImageProcessor"):
        try:
            processor = getattr(transformers, name)(**options)
            values = processor([Image.fromarray(image) for image in images], return_tensors="pt")["pixel_values"]
            values = torch.as_tensor(values).float().numpy()
            processor.save_pretrained(folder)
            return name, values
        except Exception as error:  # this reference can do without
            print(f"  {name}: {type(error).__name__}: {error}")
    return None, None


def input_ids(name):
    if name == "clip-tiny-gelu":
        random = np.random.default_rng(3)
        ids = random.integers(3, 59, (3, 11))
        ids[:, 0] = 0
        for row, end in enumerate((10, 4, 7)):
            ids[row, end] = 59
            ids[row, end + 1 :] = 1
        return ids
    cases = json.load(open(os.path.join(HERE, "tokenizer-golden.json"), encoding="utf-8"))
    cases = cases["cases"] if isinstance(cases, dict) else cases
    rows = [case["ids"] for case in cases if len(case["ids"]) == 32]
    return np.array(rows[:3])


def hooked(model):
    """What every named module returns, as it runs."""
    seen = {}

    def keep(name):
        def hook(_module, _inputs, output):
            seen[name] = (output[0] if isinstance(output, (tuple, list)) else output).detach()

        return hook

    for name, module in model.named_modules():
        if HOOKED.search(name):
            module.register_forward_hook(keep(name))
    return seen


def states(seen, first, tower):
    """hidden_states.k from what the layers returned."""
    layers = sorted(
        (int(match.group(1)), value)
        for name, value in seen.items()
        if (match := re.search(tower + r".*layers\.(\d+)$", name))
    )
    return [first, *[value for _, value in layers]]


def make(folder, name, options, seed):
    torch.manual_seed(seed)
    config = CLIPConfig(**options)
    model = CLIPModel(config)
    randomize(model, seed)
    model.half().save_pretrained(folder)
    for part, kind in (("vision", CLIPVisionModelWithProjection), ("text", CLIPTextModelWithProjection)):
        kind.from_pretrained(folder).half().save_pretrained(os.path.join(folder, part))

    model = CLIPModel.from_pretrained(folder).double().eval()
    size = options["vision_config"]["image_size"]
    images = pictures()
    pixels = np.stack([preprocess(image, size) for image in images])
    ids = input_ids(name)
    processor, values = by_transformers(images, size, folder)
    if not os.path.exists(os.path.join(folder, "preprocessor_config.json")):
        with open(os.path.join(folder, "preprocessor_config.json"), "w", encoding="utf-8") as file:
            json.dump(
                dict(
                    crop_size=size, do_center_crop=True, do_normalize=True, do_resize=True,
                    feature_extractor_type="CLIPFeatureExtractor", image_mean=MEAN, image_std=STD, resample=3, size=size,
                ),
                file, indent=1,
            )

    seen = hooked(model)
    embedded = {}
    for key, module in model.named_modules():
        if key.endswith("text_model.embeddings"):
            module.register_forward_hook(lambda _m, _i, output: embedded.update(text=output.detach()))
    with torch.no_grad():
        output = model(
            input_ids=torch.from_numpy(ids).long(),
            pixel_values=torch.from_numpy(pixels),
            attention_mask=torch.ones(ids.shape, dtype=torch.long),
        )
    before = next(value for key, value in seen.items() if key.endswith("pre_layrnorm"))
    tensors = {key: value for key, value in seen.items() if not key.endswith("_projection")}
    for k, value in enumerate(states(seen, before, "vision_model")):
        tensors[f"vision.hidden_states.{k}"] = value
    for k, value in enumerate(states(seen, embedded["text"], "text_model")):
        tensors[f"text.hidden_states.{k}"] = value
    tensors["image_embeds"] = next(value for key, value in seen.items() if key.endswith("visual_projection"))
    tensors["text_embeds"] = next(value for key, value in seen.items() if key.endswith("text_projection"))
    tensors["logits_per_image"] = output.logits_per_image.detach()

    for key in ("image_embeds", "text_embeds"):
        unit = tensors[key] / tensors[key].norm(dim=-1, keepdim=True)
        assert torch.allclose(unit, getattr(output, key), atol=1e-6), key
    assert all(value.dtype == torch.float64 for value in tensors.values()), "everything in float64"
    arrays = {key: np.ascontiguousarray(value.numpy().astype(np.float32)) for key, value in tensors.items()}
    arrays["pixel_values"] = np.ascontiguousarray(pixels.astype(np.float32))
    arrays["input_ids"] = np.ascontiguousarray(ids.astype(np.int32))
    for k, image in enumerate(images):
        arrays[f"picture.{k}"] = np.ascontiguousarray(image)
    if values is not None:
        arrays["pixel_values.transformers"] = np.ascontiguousarray(values)
        print(f"  {processor} differs from Pillow by at most {np.abs(values - pixels).max():.6f}")
    metadata = dict(
        torch=str(torch.__version__), transformers=str(transformers.__version__), processor=processor or "none",
        note="CLIPModel in float64, stored as float32",
    )
    save_file(arrays, os.path.join(folder, "golden-clip.safetensors"), metadata=metadata)


def main():
    if len(sys.argv) != 2:
        sys.exit("python make-clip.py FOLDER")
    for seed, (name, options) in enumerate(CONFIGS.items(), start=1):
        print(name)
        folder = os.path.join(sys.argv[1], name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        make(folder, name, options, seed)
        if name == "clip-tiny-quick":
            source = os.path.join(HERE, "..", "..", "pantry", "base", "tokenizer")
            for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
                shutil.copy(os.path.join(source, file), os.path.join(folder, file))
    size = sum(os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(sys.argv[1]) for file in files)
    print(f"{size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
