"""What is known of a checkpoint without torch: `check_checkpoint` for VipLlava, `check_model`.

Nothing of a checkpoint is executed: pickled weights and remote code are refused here, before any
library that could run them sees the folder.
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import Field, ValidationError

from vipbench.errors import RunnerError, first_mistake, nearest
from vipbench.runners.checkpoints.adapters import AdapterInfo, check_adapter, check_not_original
from vipbench.runners.checkpoints.download import download, find_folder
from vipbench.runners.checkpoints.files import (
    all_shapes,
    digest,
    read_json,
    remote_code,
    settings_digest,
    weight_files,
)
from vipbench.runners.checkpoints.lending import HINTS, Lent, lend, own_names
from vipbench.runners.checkpoints.parts import digest_parts
from vipbench.runners.checkpoints.quantization import Quantization, find_quantization
from vipbench.runners.checkpoints.tokenizer_files import check_tokenizer
from vipbench.schema import Fit, PromptFormat, Quantize, Record

MODEL_TYPE = "vipllava"
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""RGB mean of CLIP's training images, range 0-1 (openai/CLIP, clip/clip.py, `_transform`)."""
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Their standard deviation (same source)."""
FEATURE_LAYERS = (-2, -5, -8, -11, 6)
"""Vision layers of a config that names none (transformers, VipLlavaConfig)."""
FREE_SIDE = 672
"""Side in px of the square for models that take images of any size: 2 x 2 tiles of 336 px, a
multiple of the patches that are common (14, 16, 28 and 32 px), and no smaller than most photographs
of the tasks."""
MAX_TOKEN = 2**31 - 1
"""No tokenizer has a larger number for a token (`tokenizers` keeps 32 bits)."""
_AREA = 4096
"""A `longest_edge` above it is not a side but a number of pixels (Qwen2-VL's processors)."""

_PIXEL_KEYS = ("image_mean", "image_std", "do_normalize", "do_rescale", "rescale_factor")
_LAYER_NAMES = {
    "text_config": r"language_model\.(?:model\.)?layers\.(\d+)\.",
    "vision_config": r"vision_tower\.(?:vision_model\.)?encoder\.layers\.(\d+)\.",
}
"""Part of the config -> names of its layers, as all versions of transformers write them."""


class Hints(Record):
    """`vipbench.json` in a checkpoint's folder: how the checkpoint wants to be asked."""

    prompt_format: PromptFormat | None = None
    fit: Fit | None = None
    converted_from: str | None = None
    """Name of the original checkpoint, where `vipbench convert` has written this one."""
    image_size: int | None = Field(default=None, ge=1, le=_AREA)
    """Side in px of the square that images are fitted to; runner `hf` only."""


class ModelInfo(Record):
    """A checkpoint that has passed every check that needs no model."""

    name: str
    """Folder name, or hub id."""
    path: Path | None
    """The folder that holds it, for a hub id in the hub's cache; None: a model in memory."""
    image_size: int
    """Side in px of the square that images are fitted to."""
    hints: Hints = Hints()
    weights: str
    """sha256 over names and bytes of the weight files."""
    settings: str
    """sha256 over config, tokenizer, processor and template files."""
    parts: dict[str, str] = Field(default={})
    """sha256 by part of the checkpoint; see `parts.digest_parts`."""
    lent: Lent | None = None
    """What a base has lent; None: there is no base."""
    adapter: AdapterInfo | None = None
    """What is loaded onto it; None: nothing."""
    quantization: Quantization | None = None
    """How its weights are quantised; None: they are not."""

    @property
    def adapter_digest(self) -> str | None:
        """sha256 of the adapter; None: there is none."""
        return None if self.adapter is None else self.adapter.digest

    @property
    def quantized(self) -> str | None:
        """How its weights are quantised, in words; None: they are not."""
        return None if self.quantization is None else self.quantization.words

    @property
    def full_name(self) -> str:
        """Its name, with that of its adapter."""
        has_own = self.adapter is not None and self.adapter.path is not None
        return (
            f"{self.name}+{Path(self.adapter.name).name}" if has_own and self.adapter else self.name
        )

    @property
    def hints_from(self) -> str:
        """Where the hints stand, for a message."""
        return f"{HINTS}{(self.lent.says(HINTS) if self.lent else '') or f' of {self.name}'}"

    def format_for(self, asked: PromptFormat | None) -> PromptFormat:
        """Return the prompt format: as asked for, else the checkpoint's own, else `hf`."""
        return asked or self.hints.prompt_format or "hf"


class CheckpointInfo(ModelInfo):
    """A VipLlava checkpoint; `image_size` is the side that its vision tower sees."""

    patch_size: int
    """Side of the patches that it cuts the square into, in px."""
    n_image_tokens: int
    """Image features a picture: patches, without the class token."""
    vision_feature_layers: tuple[int, ...]
    """Hidden states of the vision tower that the projector sees; 0 is the embedding."""
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    """RGB, of values 0-1."""
    chat_template: str | None = None
    """The processor's; None: the tokenizer's, if that has one."""


class Outline(Record):
    """What the small files of a checkpoint tell of it, whether the weights are there or not."""

    name: str
    """Folder name, or hub id."""
    path: Path
    converted_from: str | None
    """As in the hints."""
    n_bytes: int | None
    """Of the weights; None: they are not there."""
    dtype: str | None
    """In which the weights are stored, as the config says."""
    vision_feature_layers: tuple[int, ...]
    """Of a VipLlava, else empty."""


def check_checkpoint(
    model: str | Path,
    base: str | None = None,
    adapter: str | None = None,
    quantize: Quantize | None = None,
) -> CheckpointInfo:
    """Check a VipLlava folder or hub id (then downloaded) as far as is possible without torch.

    Args:
        model: the folder or id.
        base: checkpoint that lends what this one lacks; see `lending`.
        adapter: folder or hub id of an adapter that is to be loaded onto it.
        quantize: what its weights are to be quantised to.

    Raises:
        RunnerError: there is no such folder or id; the config is broken, is of another model type
            or asks for remote code; the weights are missing, torn or pickled, or quantised in a
            way that cannot be loaded here.
    """
    with _readable_files(model):
        folder, config, name, lent = _fetch(model, MODEL_TYPE, base)
        weights = list(weight_files(folder))
        shapes = all_shapes(weights)
        width = _check_projector(weights[-1], shapes)
        image_size, patch, layers = _vision_config(folder / "config.json", config, width)
        _check_depths(folder / "config.json", config, shapes)
        mean, std = image_statistics(processor_of(folder), f"{folder}: image processor")
        template, digested = chat_template(folder), digest(weights)
        quantization = find_quantization(folder / "config.json", config, quantize)
        adapted = None if adapter is None else check_adapter(adapter)
        return CheckpointInfo(
            name=name,
            path=folder,
            image_size=image_size,
            patch_size=patch,
            n_image_tokens=(image_size // patch) ** 2,
            vision_feature_layers=layers,
            image_mean=mean,
            image_std=std,
            chat_template=template,
            hints=_own_hints(folder, lent),
            lent=lent,
            adapter=adapted,
            quantization=quantization,
            weights=digested,
            settings=settings_digest(folder),
            parts=digest_parts(folder, digested, template or _tokenizer_template(folder))
            | _adapter_part(adapted),
        )


def outline_checkpoint(model: str | Path, kind: str | None = None) -> Outline:
    """Say what the small files of a checkpoint tell, of type `kind`; the weights may be missing.

    Raises:
        RunnerError: there is no such folder or id, or the config is broken or of another type.
    """
    with _readable_files(model):
        folder, name = find_folder(model)
        config = _check_config(folder, kind)
        _check_image_token(folder / "config.json", config)
        layers: tuple[int, ...] = ()
        if kind == MODEL_TYPE:
            layers = _vision_config(folder / "config.json", config, None)[2]
        stored = [path.stat().st_size for path in folder.glob("model*.safetensors")]
        dtype = config.get("dtype", config.get("torch_dtype"))
        return Outline(
            name=name,
            path=folder,
            converted_from=read_hints(folder).converted_from,
            n_bytes=sum(stored) if stored else None,
            dtype=dtype if isinstance(dtype, str) else None,
            vision_feature_layers=layers,
        )


def check_model(
    model: str | Path,
    prompt_format: PromptFormat | None = None,
    base: str | None = None,
    adapter: str | None = None,
    quantize: Quantize | None = None,
) -> ModelInfo:
    """Check a folder or hub id of any model, as `check_checkpoint` does one of VipLlava.

    Whether transformers knows the model as one of images and text shows when it is loaded.
    `prompt_format` is what the user asks for, if anything; the others as there.

    Raises:
        RunnerError: as there; or there is no chat template, or the user or `vipbench.json` asks
            for another prompt format.
    """
    if prompt_format not in (None, "chat_template"):
        raise RunnerError(
            f"runner hf: prompt format {prompt_format!r} · expected chat_template, which comes "
            "with the checkpoint · leave --prompt-format out"
        )
    with _readable_files(model):
        folder, config, name, lent = _fetch(model, base=base)
        quantization = find_quantization(folder / "config.json", config, quantize)
        template = chat_template(folder) or _tokenizer_template(folder)
        if not template:
            raise RunnerError(
                f"{folder}: has no chat template, and runner hf writes every prompt with it · "
                "expected a model tuned for chats, with chat_template.jinja · --base CHECKPOINT "
                "lends that of another"
            )
        hints = _own_hints(folder, lent)
        if hints.prompt_format not in (None, "chat_template"):
            raise RunnerError(
                f"{folder / 'vipbench.json'}: prompt_format is {hints.prompt_format!r}, and runner "
                "hf asks in the chat template only · use --runner vipllava, or remove the line"
            )
        weights = list(weight_files(folder))
        _check_depths(folder / "config.json", config, all_shapes(weights))
        settings = settings_digest(folder)
        if hints.image_size is not None:  # changes what the model sees, as those files do
            settings = hashlib.sha256(f"{settings} {hints.image_size}".encode()).hexdigest()
        adapted = None if adapter is None else check_adapter(adapter)
        return ModelInfo(
            name=name,
            path=folder,
            image_size=hints.image_size or _square(folder, config),
            hints=hints,
            lent=lent,
            adapter=adapted,
            quantization=quantization,
            weights=(digested := digest(weights)),
            settings=settings,
            parts=digest_parts(folder, digested, template) | _adapter_part(adapted),
        )


def _adapter_part(adapter: AdapterInfo | None) -> dict[str, str]:
    return {} if adapter is None else {"adapter": adapter.digest}


@contextmanager
def _readable_files(model: str | Path) -> Iterator[None]:
    """Turn what the file system refuses into a RunnerError, and name files as the user does."""
    try:
        with own_names():
            yield
    except OSError as error:
        raise RunnerError(
            f"model {model}: cannot be read ({error.strerror or error}) · expected a checkpoint's "
            "folder or a hub id (owner/name)"
        ) from error


def _fetch(
    model: str | Path, kind: str | None = None, base: str | None = None
) -> tuple[Path, dict[str, Any], str, Lent | None]:
    """Return folder, config and name of a checkpoint, whose weights are fetched once it is fit.

    The folder is that of the checkpoint together with what the base lends.
    """
    folder, name = find_folder(model)
    config = _check_config(folder, kind)
    _check_image_token(folder / "config.json", config)
    if not Path(model).expanduser().is_dir():
        folder = download(str(model), ("model*.safetensors",))
    lent = None if base is None else lend(folder, base)
    if lent is not None:
        folder = lent.folder
        _check_remote_code(folder, config.get("model_type"))
    check_tokenizer(folder)
    return folder, config, name, lent


def _square(folder: Path, config: dict[str, Any]) -> int:
    """Side in px of the square that a model's images are fitted to.

    That which the image processor ends with, if it ends with one; of the grids of tiles that it
    chooses from, the square nearest to FREE_SIDE; FREE_SIDE where a model takes any size. The
    vision tower's where the processor's file does not say.
    """
    processor = _processor_config(folder, "size")
    pinpoints = processor.get("image_grid_pinpoints") or config.get("image_grid_pinpoints")
    if isinstance(pinpoints, list):
        sides = [grid[0] for grid in pinpoints if isinstance(grid, list) and len({*grid}) == 1]
        if sides and all(_is_side(side) for side in sides):
            return int(min(sides, key=lambda side: (abs(side - FREE_SIDE), side)))
    size = processor.get("size")
    crop = processor.get("crop_size") if processor.get("do_center_crop") else None
    for square in (crop, size):
        sides = [square]
        if isinstance(square, dict):
            sides = [square.get("height"), square.get("width")]
            if set(square) == {"shortest_edge"}:
                sides = [square["shortest_edge"]]
        if len(set(sides)) == 1 and _is_side(sides[0]):
            return int(sides[0])
    vision = config.get("vision_config")
    side = vision.get("image_size") if size is None and isinstance(vision, dict) else None
    return int(side) if _is_side(side) else FREE_SIDE


def _is_side(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= _AREA


def _tokenizer_template(folder: Path) -> Any:
    """The chat template that the tokenizer brings, or several by name; None: it brings none."""
    path = folder / "tokenizer_config.json"
    return read_json(path).get("chat_template") if path.exists() else None


def _own_hints(folder: Path, lent: Lent | None) -> Hints:
    """Read the hints of a checkpoint; one that has lent them was converted, and not this one."""
    hints = read_hints(folder)
    if lent is not None and HINTS in lent.parts:
        return hints.model_copy(update={"converted_from": None})
    return hints


def read_hints(folder: Path) -> Hints:
    """Read a checkpoint's `vipbench.json`; without one there are no hints."""
    path = folder / HINTS
    if not path.exists():
        return Hints()
    content = read_json(path)
    for key in content:
        if key not in Hints.model_fields:
            raise RunnerError(f"{path}: unknown key {key!r}{nearest(key, Hints.model_fields)}")
    try:
        return Hints.model_validate(content)
    except ValidationError as error:
        raise RunnerError(f"{path}: {first_mistake(error)}") from error


def image_statistics(
    processor: dict[str, Any], where: str = "image processor"
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation that an image processor's config normalises with, else CLIP's.

    They are those of values 0-1, RGB. A `rescale_factor` other than 1/255, or no rescaling, is
    part of them: `(p f - m) / s` is `(p / 255 - m / k) / (s / k)` with `k` = 255 f.

    Raises:
        RunnerError: a setting is not of its kind.
    """
    for name in ("do_normalize", "do_rescale"):
        if not isinstance(processor.get(name, True), bool):
            raise RunnerError(f"{where}: {name} is {processor[name]!r} · expected true or false")
    mean = processor.get("image_mean") or CLIP_MEAN
    std = processor.get("image_std") or CLIP_STD
    if processor.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    for name, values in (("image_mean", mean), ("image_std", std)):
        if (
            not isinstance(values, list | tuple)
            or len(values) != 3
            or not all(isinstance(v, int | float) and math.isfinite(v) for v in values)
        ):
            raise RunnerError(f"{where}: {name} is {values!r} · expected three numbers")
    if min(std) <= 0:
        raise RunnerError(f"{where}: image_std is {std!r} · expected positive numbers")
    scale = _rescaling(processor, where)
    return (
        (mean[0] / scale, mean[1] / scale, mean[2] / scale),
        (std[0] / scale, std[1] / scale, std[2] / scale),
    )


def _rescaling(processor: Mapping[str, Any], where: str) -> float:
    """Return 255 times what an image processor multiplies bytes with: 1 for the usual 1/255."""
    factor = processor.get("rescale_factor", 1 / 255)
    if processor.get("do_rescale") is False:
        factor = 1.0
    if type(factor) not in (int, float) or not math.isfinite(factor) or factor <= 0:
        raise RunnerError(
            f"{where}: rescale_factor is {factor!r} · expected a positive number, such as 1/255"
        )
    scale = 255.0 * factor
    # 1/255 is also written with fewer digits, which is not meant to be another number.
    return 1.0 if math.isclose(scale, 1.0, rel_tol=1e-6) else scale


def _check_config(folder: Path, expected: str | None = None) -> dict[str, Any]:
    """Read config.json; refuse models of other types than `expected`, remote code and adapters."""
    path = folder / "config.json"
    check_not_original(folder)
    if (folder / "adapter_config.json").exists():
        raise RunnerError(
            f"{folder}: holds an adapter (adapter_config.json) · expected a whole model · give it "
            f"as --adapter {folder}, and the checkpoint that it was trained on as --model"
        )
    if not path.exists():
        raise RunnerError(
            f"{folder}: has no config.json · expected a folder that save_pretrained wrote"
        )
    config = read_json(path)
    kind = config.get("model_type")
    # First, since remote code is the reason to warn about, whatever the model calls itself.
    _check_remote_code(folder, kind)
    if expected is None and "mm_vision_tower" in config:
        raise RunnerError(
            f"{path}: is of the original LLaVA code (mm_vision_tower) · expected a conversion for "
            "transformers, such as llava-hf/llava-1.5-7b-hf · of ViP-LLaVA, vipbench convert "
            "makes one for --runner vipllava"
        )
    if expected is None and not isinstance(kind, str):
        raise RunnerError(f"{path}: model_type is {kind!r} · expected a name such as llava")
    if expected not in (None, kind):
        named = config.get("architectures")
        classes = ", ".join(map(str, named)) if isinstance(named, list) else named
        if "mm_vision_tower" in config:
            raise RunnerError(
                f"{path}: model_type is {kind!r} ({classes or 'no class named'}), a checkpoint of "
                f"the official ViP-LLaVA code · expected {expected!r} · convert it once: "
                "vipbench convert ORIGINAL OUT"
            )
        raise RunnerError(
            f"{path}: model_type is {kind!r} ({classes or 'no class named'}) · expected "
            f"{expected!r} · this runner takes VipLlava checkpoints only · --runner hf may take it"
        )
    return config


def _check_remote_code(folder: Path, kind: object) -> None:
    """Refuse a checkpoint that brings code of its own."""
    for file in sorted(folder.glob("*config.json")):
        if where := remote_code(read_json(file)):
            raise RunnerError(
                f"{file}: {where} asks for remote code (model type {kind!r}) · vipbench never runs "
                "code from a checkpoint · expected a checkpoint of transformers itself"
            )


def _check_image_token(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse an image token that is not the number of a token."""
    for key in ("image_token_id", "image_token_index"):
        value = config.get(key, 0)
        if value is None and config.get("model_type") != MODEL_TYPE:
            continue  # other models may have it in their processor
        if type(value) is not int or not 0 <= value <= MAX_TOKEN:
            raise RunnerError(
                f"{path}: {key} is {value!r} · expected the number of a token, 0 or more · take "
                "the config.json that was saved with these weights"
            )


def _vision_config(
    path: Path, config: dict[str, Any], width: int | None
) -> tuple[int, int, tuple[int, ...]]:
    """Side of the image and of a patch in px, and the feature layers.

    What the file leaves out is what transformers fills in: CLIP ViT-L/14-336 where there is no
    vision config at all, else the defaults of CLIPVisionConfig. `width` is that of the features
    that the projector's weights take.
    """
    vision = config.get("vision_config")
    if vision is None:
        vision = {
            "image_size": 336,
            "patch_size": 14,
            "num_hidden_layers": 24,
            "hidden_size": 1024,
        }
    if not isinstance(vision, dict):
        raise RunnerError(f"{path}: vision_config is {vision!r} · expected a mapping")
    numbers = []
    for name, default in (
        ("image_size", 224),
        ("patch_size", 32),
        ("num_hidden_layers", 12),
        ("hidden_size", 768),
    ):
        value = vision.get(name, default)
        if type(value) is not int or value < 1:
            raise RunnerError(
                f"{path}: vision_config.{name} is {value!r} · expected a whole number"
            )
        numbers.append(value)
    image_size, patch, depth, hidden = numbers
    if image_size < patch:
        raise RunnerError(f"{path}: image_size {image_size} is below patch_size {patch}")
    # The key lost its plural in transformers 5.23; older versions do not read the new one.
    layers = config.get("vision_feature_layer", config.get("vision_feature_layers"))
    # An old file may say -2, the key of LLaVA that VipLlava did not read then: the weights decide.
    if layers is None or (type(layers) is int and width == len(FEATURE_LAYERS) * hidden):
        layers = config.get("vision_feature_layers", list(FEATURE_LAYERS))
    layers = [layers] if isinstance(layers, int) else layers
    if not (isinstance(layers, list) and layers) or not all(
        type(layer) is int and -depth - 1 <= layer <= depth for layer in layers
    ):
        raise RunnerError(
            f"{path}: vision_feature_layers is {layers!r} · expected numbers of the {depth} layers"
        )
    return image_size, patch, tuple(layers)


def processor_of(folder: Path) -> dict[str, Any]:
    """The settings of a folder's image processor that change pixels."""
    return _processor_config(folder, *_PIXEL_KEYS)


def _processor_config(folder: Path, *keys: str) -> dict[str, Any]:
    """The image processor's settings, in the first file that has one of `keys`.

    transformers 5 nests them, 4 had a file of their own.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = folder / name
        if path.exists():
            content = read_json(path)
            settings = content.get("image_processor", content)
            if isinstance(settings, dict) and any(key in settings for key in keys):
                return settings
    return {}


def chat_template(folder: Path) -> str | None:
    """The processor's chat template, in the three files that it has been saved in."""
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunnerError(f"{path}: cannot be read ({error}) · fetch it again") from error
    for name in ("chat_template.json", "processor_config.json"):
        if (folder / name).exists():
            template = read_json(folder / name).get("chat_template")
            if isinstance(template, str):
                return template
    return None


def _check_projector(path: Path, shapes: Mapping[str, list[int]]) -> int | None:
    """Refuse weights without a VipLlava projector; return the width of the features it takes."""
    if not any("multi_modal_projector." in name for name in shapes):
        raise RunnerError(
            f"{path}: no tensor is called multi_modal_projector · expected VipLlava weights"
        )
    suffix = "multi_modal_projector.projector_layernorm.weight"
    return next((sum(shape[:1]) for name, shape in shapes.items() if name.endswith(suffix)), None)


def _check_depths(path: Path, config: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuse a config with another number of layers than the weights have.

    Layers are counted where they have the names that LLaVA's family has in transformers; of any
    other model, it is refused that there are more layers than tensors.
    """
    for part, pattern in _LAYER_NAMES.items():
        inner = config.get(part)
        depth = inner.get("num_hidden_layers") if isinstance(inner, dict) else None
        if type(depth) is not int:
            continue
        numbers = {int(match[1]) for name in names if (match := re.search(pattern, name))}
        n_stored = max(numbers) + 1 if numbers else None
        is_own = config.get("model_type") == MODEL_TYPE
        if (is_own and n_stored not in (None, depth)) or depth > len(names):
            held = f"{len(names)} tensors" if n_stored is None else f"{n_stored} layers"
            raise RunnerError(
                f"{path}: {part}.num_hidden_layers is {depth}, and the weights hold {held} · "
                "expected the same number · take the config.json that was saved with these weights"
            )
