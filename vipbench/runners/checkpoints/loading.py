"""What runners of transformers models share: strict and silent loading, images, end tokens."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerBase,
    VipLlavaForConditionalGeneration,
)
from transformers.utils import logging as hf_logging

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.adapting import load_adapter, sharding
from vipbench.runners.checkpoints.checkpoint import ModelInfo
from vipbench.runners.checkpoints.files import is_constant, read_json
from vipbench.runners.checkpoints.lending import own_names
from vipbench.runners.checkpoints.parts import TOKENIZER
from vipbench.runners.checkpoints.quantizing import check_quantized, quantized_options
from vipbench.runners.checkpoints.tokenizer_files import is_model_only, tokenizer_errors
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.device import Placement
from vipbench.runners.memory import keep_freed_memory
from vipbench.runners.spec import ONE_IMAGE
from vipbench.schema import Request

ATTENTION_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""What may compute attention. Not cuDNN: on some GPUs it misreads masks and grouped key-value heads
(pytorch issues 134001 and 193893)."""

LOAD_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    ImportError,
    LookupError,
    TypeError,
    AttributeError,
    StrictDataclassError,
)
"""What transformers raises for a config, weights or a tokenizer that it cannot take."""


@contextmanager
def inference(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards the model is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    if training:  # a live model's; to walk through all of it takes milliseconds a batch
        model.eval()
    try:
        with torch.inference_mode(), sdpa_kernel(ATTENTION_BACKENDS):
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _no_bar() -> Iterator[None]:
    """Keep transformers' own progress bar off the screen, where the run's is."""
    enabled = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    try:
        yield
    finally:
        if enabled:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # likewise


def load_model(
    model_class: Any,
    info: ModelInfo,
    placement: Placement,
    **options: Any,
) -> Any:
    """Load safetensors weights: every tensor that the model needs must be there, and no other.

    They are quantised, and the adapter is merged into them, as `info` says; beside quantised
    weights it stays as it is.

    Args:
        model_class: a model or an auto class of transformers.
        info: the checked checkpoint.
        placement: where the weights go, and the dtype of all of them.
        options: for `from_pretrained`, beside those that are the same for all.

    Raises:
        RunnerError: transformers cannot take the checkpoint, tensors are missing, or the model has
            no place for some.
    """
    load: Any = model_class.from_pretrained
    try:
        with own_names(), _no_bar():
            model, report = load(
                str(info.path),
                dtype=placement.torch_dtype(),
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused below
                **quantized_options(info, placement),
                **options,
            )
        if info.quantization is None:
            model.to(placement.torch_device())
    except LOAD_ERRORS as error:
        with own_names():
            raise RunnerError(f"{info.path}: cannot be loaded ({error_line(error)})") from error
    _check_report(info, report, type(model).__name__)
    if info.quantization is not None:
        check_quantized(model, str(info.path), info.quantization)
    if info.adapter is not None:
        model = load_adapter(model, info.adapter, merge=info.quantization is None)
    if placement.torch_device().type == "cpu":
        keep_freed_memory()
    if placement.torch_device().type == "cuda":
        # TF32 keeps 10 bits of the mantissa: float32 in name only.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return model


def _check_report(info: ModelInfo, report: Mapping[str, Any], model_class: str) -> None:
    """Refuse tensors that are missing, have another shape, or that the model has no place for."""
    for problem in ("missing_keys", "mismatched_keys", "error_msgs"):
        if report[problem]:
            raise RunnerError(
                f"{info.path}: {problem.replace('_', ' ')} in the weights: "
                f"{_first_names(report[problem])} · expected every tensor of a {model_class}"
            )
    if unexpected := [name for name in report["unexpected_keys"] if not is_constant(name)]:
        raise RunnerError(
            f"{info.path}: unexpected keys in the weights: {_first_names(unexpected)} · expected "
            f"the tensors of the {model_class} that config.json describes, and no others · merge "
            "adapters, or take the config.json that was saved with these weights"
        )


def _first_names(keys: Iterable[object]) -> str:
    names = sorted(map(_readable_key, keys))
    return f"{', '.join(names[:3])} ({len(names)} in all)"


def _readable_key(key: object) -> str:
    """Write an entry of the loading report: a name, or a name with two shapes."""
    if isinstance(key, tuple) and len(key) == 3:
        name, stored, expected = key
        return f"{name} ({list(stored)}, not {list(expected)})"
    return str(key)


def check_live(model: Any, processor: Any) -> None:
    """Refuse a model in memory that is not a whole VipLlava, or comes without its processor."""
    if (shards := sharding(model)) is not None:
        raise RunnerError(
            f"model: its parameters are sharded ({shards}), so that no process has all of them · "
            "expected a whole model · save it and give its folder, or evaluate checkpoints as they "
            "are written: `vipbench watch DIR`"
        )
    if not isinstance(model, VipLlavaForConditionalGeneration):
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        raise RunnerError(
            f"model: is a {type(model).__name__} ({kind}) · expected a path, a hub id or a "
            "VipLlavaForConditionalGeneration"
        )
    if processor is None:
        raise RunnerError(
            "model: a live model came without processor · give its processor too, or a checkpoint "
            "that has one as base"
        )


def load_tokenizer(info: ModelInfo) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer; RunnerError where transformers cannot."""
    assert info.path is not None
    return load_tokenizer_of(info.path)


def load_tokenizer_of(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder; RunnerError where it cannot be."""
    with own_names(), tokenizer_errors(folder, "tokenizer", LOAD_ERRORS):
        if is_model_only(folder):
            return load_sentencepiece(folder)
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        tokenizer("")  # where a value of tokenizer_config.json is looked at first
        return tokenizer


def load_sentencepiece(folder: Path) -> PreTrainedTokenizerBase:
    """Load a `tokenizer.model` that stands alone, by our own reader.

    transformers 5 reads it as if nothing stood in front of a text: neither BOS nor a space.

    Raises:
        RunnerError: it is not of Llama's kind.
    """
    try:
        tokenizer = load_original_tokenizer(folder)
    except RunnerError as error:
        raise RunnerError(
            f"{error} · or the tokenizer.json of the model's authors beside tokenizer.model"
        ) from error
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    tokenizer.chat_template = config.get("chat_template")
    return tokenizer


@contextmanager
def readable_tokenizer(folder: Path) -> Iterator[Path]:
    """Lend a checkpoint's folder as transformers reads it: with a tokenizer.json."""
    if not is_model_only(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="vipbench-tokenizer-") as scratch:
        load_sentencepiece(folder).save_pretrained(scratch)
        for path in folder.iterdir():
            link = Path(scratch) / path.name
            if path.name not in TOKENIZER:
                link.unlink(missing_ok=True)
                link.symlink_to(path.resolve())
        yield Path(scratch)


def check_images(
    name: str,
    requests: Sequence[Request],
    images: Sequence[Any],
    side: int,
    *,
    several: bool = False,
) -> None:
    """Refuse a batch of model `name` without exactly one uint8 (side, side, 3) image a request.

    With `several`, a request that shows several images has a tuple of them.
    """
    if len(images) != len(requests):
        raise RunnerError(
            f"{name}: {len(images)} images for {len(requests)} requests · expected exactly one each"
        )
    shape = (side, side, 3)
    for request, image in zip(requests, images, strict=True):
        if image is None:
            raise RunnerError(f"{name}: sample {request.id} has no image")
        shown = image if isinstance(image, tuple) else tuple(image) if image.ndim == 4 else (image,)
        if not several and (len(shown) > 1 or shown[0] is not image):
            raise RunnerError(
                f"{name}: sample {request.id} has {len(shown)} images · expected {ONE_IMAGE}"
            )
        if several and len(shown) != len(request.all_images):
            raise RunnerError(
                f"{name}: sample {request.id} has {len(shown)} images · expected "
                f"{len(request.all_images)}, as its request shows"
            )
        for pixels in shown:
            if pixels.shape != shape or pixels.dtype != np.uint8:
                raise RunnerError(
                    f"{name}: the image of sample {request.id} is {pixels.dtype} {pixels.shape} · "
                    f"expected uint8 {shape}"
                )


def end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: the generation config's, else the tokenizer's."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        return frozenset()
    tokens = [ids] if isinstance(ids, int) else list(ids)
    if not all(isinstance(token, int) for token in tokens):
        raise RunnerError(f"model: eos_token_id is {ids!r} · expected the number of a token")
    return frozenset(tokens)


def error_line(error: BaseException) -> str:
    """Write an error of another library on one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
