"""Checkpoints in the layout of the official ViP-LLaVA code: what they hold, by which names.

The official code is a subclass of Llama or Phi 3 with a projector (`model.mm_projector.*`) and, in
some checkpoints, the vision tower inside (ViP-LLaVA, llava/model). What VipLlava cannot hold is
refused here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub.errors import StrictDataclassError
from transformers import CLIPVisionConfig, LlamaConfig, Phi3Config

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import (
    CLIP_MEAN,
    CLIP_STD,
    FEATURE_LAYERS,
    image_statistics,
)
from vipbench.runners.checkpoints.download import download, find_folder
from vipbench.runners.checkpoints.files import is_constant, read_json, remote_code
from vipbench.runners.conversion.language_models import (
    LanguageModel,
    find_language_model,
    is_own_code,
    make_text_config,
)
from vipbench.runners.conversion.weights import Weights, open_weights
from vipbench.schema import Fit

TOWER = "clip_4layers_336"
"""The tower of all published checkpoints (llava/model/multimodal_encoder/builder.py)."""
TOWER_WEIGHTS = "openai/clip-vit-large-patch14-336"
"""Where its weights come from (llava/model/multimodal_encoder/clip_4layer_encoder.py)."""

_TOWER_SIZES = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
"""Of CLIP ViT-L/14-336 (its config.json)."""
_SIZE_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
# Keys of the configuration that are taken over; those of the text: language_models.py.
_VISION_KEYS = (
    "attention_dropout",
    "hidden_act",
    "hidden_size",
    "image_size",
    "intermediate_size",
    "layer_norm_eps",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "patch_size",
    "projection_dim",
)
_VISION_SIZE_KEYS = (
    "hidden_size",
    "image_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "patch_size",
)
_CONFIG_ERRORS = (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError)
# What stands in front of a tensor's name in the original, and what replaces it.
_NAMES = (
    ("model.vision_tower.vision_tower.vision_model.", "vision_tower.vision_model."),
    ("model.mm_projector.clip_layernorm.", "multi_modal_projector.projector_layernorm."),
    ("model.mm_projector.final_linear.0.", "multi_modal_projector.linear_1."),
    ("model.mm_projector.final_linear.2.", "multi_modal_projector.linear_2."),
    ("model.embed_tokens.", "language_model.model.embed_tokens."),
    ("model.layers.", "language_model.model.layers."),
    ("model.norm.", "language_model.model.norm."),
    ("lm_head.", "language_model.lm_head."),
)


class Original(NamedTuple):
    """A checkpoint that has passed every check that needs no weights."""

    folder: Path
    name: str
    config: dict[str, Any]
    language_model: LanguageModel
    text: LlamaConfig | Phi3Config


class Tower(NamedTuple):
    """A vision tower: its weights by their names in it, and what they stand for."""

    name: str
    config: CLIPVisionConfig
    image_size: int
    patch_size: int
    """Sides in px."""
    weights: Weights
    names: dict[str, str]
    """Name in the converted checkpoint: name in the weights."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def check_original(original: str | Path) -> Original:
    """Find the checkpoint, and refuse what is not a ViP-LLaVA in the official layout."""
    folder, name = find_folder(original)
    if any(folder.glob("adapter_*")) or (folder / "non_lora_trainables.bin").exists():
        raise RunnerError(
            f"{folder}: holds an adapter (LoRA) · expected a whole model · merge the adapter into "
            "its base model with the official code and save that"
        )
    path = folder / "config.json"
    if not path.is_file():
        raise RunnerError(f"{folder}: has no config.json · expected a checkpoint's folder")
    config = read_json(path)
    language_model = find_language_model(folder, config)
    for file in sorted(folder.glob("*config.json")):
        content = read_json(file)
        if file == path and is_own_code(language_model, content):
            del content["auto_map"]
        if where := remote_code(content):
            raise RunnerError(
                f"{file}: {where} asks for remote code · vipbench never runs code from a checkpoint"
                " · expected a checkpoint of the official ViP-LLaVA code"
            )
    language_model = _check_layout(path, config, language_model)
    _check_projector(path, config)
    try:
        text = make_text_config(path, language_model, config)
    except _CONFIG_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        what = language_model.config_class.__name__.removesuffix("Config")
        raise RunnerError(f"{path}: is not a configuration of {what} ({reason})") from error
    return Original(folder, name, config, language_model, text)


def _check_layout(
    path: Path, config: Mapping[str, Any], language_model: LanguageModel | None
) -> LanguageModel:
    kind = config.get("model_type")
    named = config.get("architectures") or []
    classes = ", ".join(map(str, named)) if isinstance(named, list) else str(named)
    if kind == "vipllava":
        raise RunnerError(
            f"{path}: is a VipLlava checkpoint already · there is nothing to convert · give it to "
            "vipbench run as it is"
        )
    what = f"{path}: model_type is {kind!r} ({classes or 'no class named'})"
    if "mm_vision_tower" not in config:
        raise RunnerError(
            f"{what}, and there is no mm_vision_tower · expected a checkpoint in the layout of the "
            "official ViP-LLaVA code, such as mucai/vip-llava-7b"
        )
    if language_model is None:
        raise RunnerError(
            f"{what}: this language model is not supported · expected LlavaLlamaForCausalLM, "
            "ViP-LLaVA on Vicuna or Llama 3, or LlavaPhi3ForCausalLM, on Phi 3"
        )
    for key in _SIZE_KEYS:
        if type(config.get(key)) is not int or config[key] < 1:
            raise RunnerError(f"{path}: {key} is {config.get(key)!r} · expected a whole number")
    if config.get("quantization_config"):
        raise RunnerError(f"{path}: the weights are quantised · expected them in 16 or 32 bit")
    return language_model


def _check_projector(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse settings of the official code that VipLlava does not have."""
    # The official default of a missing type is `linear`.
    for key, default, allowed in (
        ("mm_projector_type", "linear", ("mlp2x_gelu",)),
        ("mm_use_im_start_end", False, (False, None)),
        ("mm_patch_merge_type", "flat", ("flat", None)),
    ):
        value = config.get(key, default)
        if value not in allowed:
            raise RunnerError(
                f"{path}: {key} is {value!r} · expected {allowed[0]!r}, as in the published "
                "ViP-LLaVA checkpoints · VipLlava has nothing else"
            )
    if config.get("image_aspect_ratio") == "anyres":
        raise RunnerError(
            f"{path}: image_aspect_ratio is 'anyres', which cuts an image into several · expected "
            "pad, resize or none · VipLlava sees one square"
        )


def open_fetched(folder: Path, model: str) -> Weights:
    """Open a folder's weights; those of a hub id are fetched first, safetensors before pickles."""
    patterns = ("model*.safetensors", "pytorch_model*.bin")
    if not Path(model).expanduser().is_dir():
        for pattern in patterns:
            folder = download(model, (pattern,))
            if any(folder.glob(pattern)):
                break
    if not any(any(folder.glob(pattern)) for pattern in patterns):
        projector = folder / "mm_projector.bin"
        raise RunnerError(
            f"{folder}: holds {'a projector only' if projector.exists() else 'no weights'} · "
            f"expected a whole model in {' or '.join(patterns)}"
        )
    return open_weights(folder)


def rename(source: Original, weights: Weights) -> dict[str, str]:
    """Map names in the converted checkpoint to those in the original; refuse unknown ones."""
    names: dict[str, str] = {}
    unexpected = []
    for name in weights.stored:
        if is_constant(name):
            continue
        for old, new in _NAMES:
            if name.startswith(old):
                names[new + name.removeprefix(old)] = name
                break
        else:
            unexpected.append(name)
    if any(name.startswith("model.mm_projector.0.") for name in unexpected):
        raise RunnerError(
            f"{source.folder}: the projector has no layer norm (model.mm_projector.0.weight), so "
            "this is a plain LLaVA · expected ViP-LLaVA, model.mm_projector.clip_layernorm.weight"
        )
    if unexpected:
        raise names_error(source.folder, "unexpected", unexpected)
    return names


def find_tower(
    source: Original, weights: Weights, names: dict[str, str], vision_tower: str | None
) -> Tower:
    """Find the vision tower inside the original or elsewhere."""
    inside = {new: old for new, old in names.items() if new.startswith("vision_tower.")}
    stands_for = source.config["mm_vision_tower"]
    own = source.config.get("vision_config")
    if inside and vision_tower is None and (stands_for == TOWER or isinstance(own, dict)):
        sizes = own if isinstance(own, dict) else _TOWER_SIZES
        vision = _vision_config(source.folder / "config.json", sizes)
        return Tower("the original", *vision, weights, inside, CLIP_MEAN, CLIP_STD)
    if vision_tower is None:
        if stands_for != TOWER:
            raise RunnerError(
                f"{source.folder / 'config.json'}: mm_vision_tower is {stands_for!r} · expected "
                f"{TOWER!r} · name the folder or the hub id of the tower with --vision-tower"
            )
        vision_tower = TOWER_WEIGHTS
    try:
        folder, name = find_folder(vision_tower)
    except RunnerError as error:
        raise RunnerError(f"vision tower: {error} · name one with --vision-tower") from error
    content = read_json(folder / "config.json")
    sizes = content.get("vision_config", content)
    vision = _vision_config(folder / "config.json", sizes if isinstance(sizes, dict) else {})
    path = folder / "preprocessor_config.json"
    mean, std = image_statistics(read_json(path) if path.is_file() else {}, str(path))
    if inside:
        return Tower("the original", *vision, weights, inside, mean, std)
    tower = open_fetched(folder, vision_tower)
    return Tower(name, *vision, tower, _tower_names(folder, tower), mean, std)


def _tower_names(folder: Path, tower: Weights) -> dict[str, str]:
    """Map names of a CLIP: whole, or its vision model with or without the part's name in front."""
    part = "vision_model."
    named = any(name.startswith(part) for name in tower.stored)
    names = {
        f"vision_tower.{part}{name.removeprefix(part)}": name
        for name in tower.stored
        if not is_constant(name) and (name.startswith(part) or not named)
    }
    if not any(name.endswith(".embeddings.class_embedding") for name in names):
        raise RunnerError(
            f"{folder}: has no vision_model.embeddings.class_embedding · expected a CLIP model of "
            f"transformers, such as {TOWER_WEIGHTS}"
        )
    return names


def _vision_config(path: Path, sizes: Mapping[str, Any]) -> tuple[CLIPVisionConfig, int, int]:
    """Return the configuration, and the sides of an image and of a patch in px."""
    for key in _VISION_SIZE_KEYS:
        if type(sizes.get(key)) is not int or sizes[key] < 1:
            raise RunnerError(
                f"{path}: {key} of the vision model is {sizes.get(key)!r} · expected the "
                "configuration of a CLIP vision model"
            )
    try:
        config = CLIPVisionConfig(**{key: sizes[key] for key in _VISION_KEYS if key in sizes})
    except _CONFIG_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise RunnerError(f"{path}: is not a configuration of a CLIP model ({reason})") from error
    return config, int(sizes["image_size"]), int(sizes["patch_size"])


def feature_layers(source: Original, vision: CLIPVisionConfig) -> list[int]:
    """Hidden states that the projector sees: those of the tower's class, unless a list is given."""
    path = source.folder / "config.json"
    layers: Any = list(FEATURE_LAYERS)
    # The official code has them in its tower's class, and ignores its own key, an int.
    for key in ("mm_vision_select_layer", "vision_feature_layer", "vision_feature_layers"):
        if isinstance(source.config.get(key), list):
            layers = source.config[key]
    depth = vision.num_hidden_layers
    if not layers or not all(
        type(layer) is int and -depth - 1 <= layer <= depth for layer in layers
    ):
        raise RunnerError(
            f"{path}: the projector sees the layers {layers!r}, and the vision tower has {depth} · "
            "expected numbers of its layers · name the right tower with --vision-tower"
        )
    width = source.config.get("mm_hidden_size")
    if width != len(layers) * vision.hidden_size:
        raise RunnerError(
            f"{path}: mm_hidden_size is {width!r}, and {len(layers)} layers of the vision tower "
            f"are {len(layers) * vision.hidden_size} · name the right tower with --vision-tower"
        )
    return list(layers)


def official_fit(name: str, config: Mapping[str, Any]) -> Fit:
    """How the official code brings images to the square (llava/mm_utils.py, process_images).

    The checkpoint fine-tuned on VCR is evaluated with `resize`, whatever its configuration says
    (scripts/eval/vcr_qa.sh).
    """
    ratio = config.get("image_aspect_ratio")
    if "vcr-ft" in name or ratio == "resize":
        return "squash"
    return "pad" if ratio == "pad" else "crop"


def names_error(where: Path, what: str, names: list[str]) -> RunnerError:
    """Make the error about tensors that are missing or that are not known."""
    return RunnerError(
        f"{where}: {what} tensors: {', '.join(names[:3])}{', …' * (len(names) > 3)} ({len(names)} "
        "in all) · expected the tensors of ViP-LLaVA in its official layout · fetch it again, or "
        "convert another"
    )


def shape_error(
    where: Path, name: str, shape: tuple[int, ...], expected: tuple[int, ...]
) -> RunnerError:
    """Make the error about a tensor that the configuration does not describe."""
    return RunnerError(
        f"{where}: {name} has the shape {list(shape)} · expected {list(expected)}, from the "
        "configuration"
    )
