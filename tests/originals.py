"""Checkpoints in the layout of the official ViP-LLaVA code, made from VipLlava ones."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

from vipbench.demo.embedded import CHECKPOINT

Form = Literal["safetensors", "bin", "old bin"]

# What stands in front of a name in a VipLlava's file, and in the official code.
NAMES = (
    ("vision_tower.", "model.vision_tower.vision_tower.vision_model."),
    ("multi_modal_projector.projector_layernorm.", "model.mm_projector.clip_layernorm."),
    ("multi_modal_projector.linear_1.", "model.mm_projector.final_linear.0."),
    ("multi_modal_projector.linear_2.", "model.mm_projector.final_linear.2."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
)
TOWER = NAMES[0][1]


def official_weights() -> dict[str, torch.Tensor]:
    """The embedded checkpoint's weights by their official names, the vision tower among them."""
    weights = {}
    for name, tensor in load_file(CHECKPOINT / "model.safetensors").items():
        old, new = next(pair for pair in NAMES if name.startswith(pair[0]))
        weights[new + name.removeprefix(old)] = tensor
    return weights


def official_config() -> dict[str, Any]:
    """The embedded checkpoint's configuration as the official code would have saved it."""
    config = json.loads((CHECKPOINT / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    text["rope_theta"] = text.pop("rope_parameters")["rope_theta"]
    layers = config["vision_feature_layer"]
    return {
        **text,
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava",
        "image_aspect_ratio": "pad",
        "mm_hidden_size": len(layers) * vision["hidden_size"],
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        # An int in the official code, which has the layers in its class: the embedded tower is
        # less deep than those are.
        "mm_vision_select_layer": layers,
        "mm_vision_tower": "clip_4layers_336",
        "torch_dtype": "float16",
        "transformers_version": "4.31.0",
        "tune_mm_mlp_adapter": False,
        "use_mm_proj": True,
    }


def save_weights(
    folder: Path, weights: dict[str, torch.Tensor], form: Form = "safetensors", n_files: int = 1
) -> None:
    """Write weights in one file, or in several with an index."""
    stem, suffix = ("model", "safetensors") if form == "safetensors" else ("pytorch_model", "bin")
    names = sorted(weights)
    files: dict[str, dict[str, torch.Tensor]] = {}
    for i, name in enumerate(names):
        number = i * n_files // len(names) + 1
        file = f"{stem}-{number:05}-of-{n_files:05}" if n_files > 1 else stem
        files.setdefault(f"{file}.{suffix}", {})[name] = weights[name]
    for file, part in files.items():
        if form == "safetensors":
            save_file(part, folder / file, metadata={"format": "pt"})
        else:
            torch.save(part, folder / file, _use_new_zipfile_serialization=form == "bin")
    if n_files > 1:
        places = {name: file for file, part in files.items() for name in part}
        index = {"metadata": {}, "weight_map": places}
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def save_original(
    folder: Path,
    form: Form = "safetensors",
    *,
    n_files: int = 1,
    tower: bool = True,
    **config: Any,
) -> Path:
    """Write the embedded checkpoint in the official layout; keys of the config may be changed."""
    folder.mkdir(parents=True)
    weights = official_weights()
    if not tower:
        weights = {name: part for name, part in weights.items() if not name.startswith(TOWER)}
    # Constants that old versions of transformers stored.
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
    if tower:
        weights[f"{TOWER}embeddings.position_ids"] = torch.arange(17)[None]
    save_weights(folder, weights, form, n_files)
    content = {key: value for key, value in (official_config() | config).items() if value != "-"}
    (folder / "config.json").write_text(json.dumps(content))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(CHECKPOINT / file, folder / file)
    return folder


STATISTICS = {"image_mean": [0.5, 0.25, 0.125], "image_std": [1.0, 0.5, 0.25]}


def save_tower(
    folder: Path,
    form: Form = "bin",
    *,
    layout: Literal["clip", "vision", "bare"] = "clip",
    statistics: dict[str, list[float]] | None = STATISTICS,
) -> Path:
    """Write the embedded vision tower as a CLIP (`clip`), or as its vision model only.

    `bare` is how newer versions of transformers name the tensors of a vision model.
    """
    folder.mkdir(parents=True)
    front = "" if layout == "bare" else "vision_model."
    weights = {
        front + name.removeprefix(TOWER): tensor
        for name, tensor in official_weights().items()
        if name.startswith(TOWER)
    }
    vision = json.loads((CHECKPOINT / "config.json").read_text())["vision_config"]
    config = vision | {"architectures": ["CLIPVisionModel"]}
    if layout == "clip":
        config = {"model_type": "clip", "architectures": ["CLIPModel"], "vision_config": vision}
        weights |= {
            "logit_scale": torch.ones(()),
            "text_model.embeddings.position_ids": torch.arange(77)[None],
            "text_projection.weight": torch.zeros(2, 2),
            "vision_model.embeddings.position_ids": torch.arange(17)[None],
            "visual_projection.weight": torch.zeros(2, 2),
        }
    save_weights(folder, weights, form)
    (folder / "config.json").write_text(json.dumps(config))
    if statistics:
        (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    return folder


def llama_like_tokenizer(n_tokens: int) -> Tokenizer:
    """A byte-pair tokenizer of Llama's kind: spaces as letters, bytes to fall back to."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    byte_pieces = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens,
        special_tokens=["<unk>", "<s>", "</s>", *byte_pieces],
        show_progress=False,
    )
    text = "the red rectangle the green ellipse USER: ASSISTANT: which object is it? A. B. "
    tokenizer.train_from_iterator([text] * 4, trainer)
    return tokenizer


def save_sentencepiece(path: Path, tokenizer: Tokenizer) -> None:
    """Write a tokenizer's vocabulary as a SentencePiece model (sentencepiece_model.proto)."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    raw = b""
    for text, i in sorted(vocabulary.items(), key=lambda item: item[1]):
        kind = 2 if i == 0 else 3 if i < 3 else 6 if i < 259 else 1
        # Llama's scores: the later a piece was learnt, the lower; single letters come last, and
        # are never merged into.
        score = struct.pack("<f", -float(i - 259) if kind == 1 else 0.0)
        piece = _text(1, text.encode()) + b"\x15" + score + _number(3, kind)
        raw += _text(1, piece)
    trainer = _number(3, 2) + _number(4, len(vocabulary)) + _number(35, 1)
    normaliser = _text(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    path.write_bytes(raw + _text(2, trainer) + _text(3, normaliser))


def _varint(number: int) -> bytes:
    raw = b""
    while number > 0x7F:
        raw += bytes([number & 0x7F | 0x80])
        number >>= 7
    return raw + bytes([number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
