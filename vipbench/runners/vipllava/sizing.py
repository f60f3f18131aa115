"""How many tokens each request has, and how many fit into a batch, before a model is loaded."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import VipLlavaConfig

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo
from vipbench.runners.checkpoints.loading import LOAD_ERRORS, check_live, error_line, load_tokenizer
from vipbench.runners.checkpoints.template_files import template_of
from vipbench.runners.device import Placement
from vipbench.runners.prompt_formats import PromptEncoder
from vipbench.runners.spec import Shared, Sizing
from vipbench.runners.templates import ChatTemplate
from vipbench.runners.vipllava.fast import COVERED
from vipbench.runners.vipllava.model_sizes import ModelSizes, sizes_of
from vipbench.runners.vipllava.prompt_check import check_image_token, check_template
from vipbench.schema import PromptFormat, Request

CPU_TOKENS = 2048
"""Tokens in a batch on a CPU: more of them leave its cache (measured: docs/performance.md)."""
CPU_CACHE_BYTES = 2**30
"""Of keys and values in float32 that a batch on a CPU holds at most, where much of what it holds is
read once. Ours: six prompts of 686 tokens fit for all but the largest models."""
MOST_TOKENS = 131_072
"""Tokens in a batch on a large GPU; there is nothing to be gained above."""
ANSWER_TOKENS = 128
"""Tokens of an answer that memory is kept for, whatever its limit: what the official scripts allow
for short answers. Few answers to ViP-Bench are longer (1 % of those released, by their words), and
a batch of which many are is split in two when memory ends."""
_SHARE = 0.9
"""Of a device's memory that is planned with; the rest is lost between blocks."""
_OVERHEAD = 1 << 30
"""Bytes that CUDA and its libraries take."""
_SCALES = 1.125
"""Bytes of quantised weights with their scales: of int4, a float32 for each 64 weights."""
_STEP = 1024
"""Budgets are multiples of it, so that cards of one kind have one budget."""


def size_checkpoint(
    info: CheckpointInfo,
    prompt_format: PromptFormat | None,
    placement: Placement,
) -> Sizing:
    """Size the batches of a checkpoint on disk.

    Raises:
        RunnerError: config, tokenizer or chat template cannot be used.
    """
    config = read_config(info)
    resolved = info.format_for(prompt_format)
    template = template_of(info, resolved) or info.chat_template
    prompts = _Prompts(load_tokenizer(info), resolved, template)
    bits = None if info.quantization is None else info.quantization.bits
    sizing = _size(prompts, config, placement.torch_dtype(), placement.torch_device(), bits)
    is_by_token = info.quantization is None or info.quantization.by_token
    return sizing if is_by_token else sizing._replace(shared=None)


def size_live(model: Any, processor: Any, prompt_format: PromptFormat | None) -> Sizing:
    """Size the batches of a model in memory; RunnerError where it cannot be used."""
    check_live(model, processor)
    tokenizer = getattr(processor, "tokenizer", processor)
    prompts = _Prompts(tokenizer, prompt_format or "hf", getattr(processor, "chat_template", None))
    return _size(prompts, model.config, model.dtype, model.device)


class _Prompts(NamedTuple):
    """What writes the prompts of a model."""

    tokenizer: Any
    prompt_format: PromptFormat
    chat_template: ChatTemplate | str | None


def _size(
    prompts: _Prompts,
    config: Any,
    dtype: torch.dtype,
    device: torch.device,
    bits: int | None = None,
) -> Sizing:
    against_config = check_image_token(prompts.tokenizer, config.image_token_id)
    try:
        encoder = PromptEncoder(
            prompts.tokenizer,
            prompts.prompt_format,
            image_token_id=config.image_token_id,
            n_image_tokens=sizes_of(config).n_image_tokens,
            chat_template=prompts.chat_template,
        )
    except RunnerError as error:
        raise RunnerError(" · ".join([str(error), *against_config])) from error
    # A prompt that is longer than the model takes is never read.
    longest: int = config.text_config.max_position_embeddings
    encode = _Remembering(encoder.encode)

    def count(request: Request) -> int:
        return min(len(encode(request)), longest)

    def split(request: Request) -> tuple[list[int], int] | None:
        ids = encode(request)
        if len(ids) >= longest or config.image_token_id not in ids:
            return None
        return ids, len(ids) - ids[::-1].index(config.image_token_id)

    is_covered = config.text_config.model_type in COVERED
    return Sizing(
        count,
        find_budget(config, dtype, device, bits),
        check_template(*prompts, encoder.image_token),
        against_config,
        Shared(split, sizes_of(config), cache_bytes(device)) if is_covered else None,
    )


class _Remembering:
    """Encodes prompts, and remembers the last one: each is counted, then compared with others."""

    def __init__(self, encode: Callable[[Request], list[int]]) -> None:
        self._encode = encode
        self._last: tuple[Request, list[int]] | None = None

    def __call__(self, request: Request) -> list[int]:
        if self._last is None or self._last[0] is not request:
            self._last = request, self._encode(request)
        return self._last[1]


def find_budget(
    config: Any, dtype: torch.dtype, device: torch.device, bits: int | None = None
) -> int:
    """Return how many tokens of prompts a batch may have on a device, padding included.

    `bits` are those of a quantised weight.
    """
    return token_budget(sizes_of(config), dtype.itemsize, _memory(device), bits)


def cache_bytes(device: torch.device) -> int:
    """Return how many bytes of keys and values a batch may hold, whatever its limit of tokens says.

    0 where memory sets the limit: then the limit counts all that is held, too.
    """
    return CPU_CACHE_BYTES if _memory(device) is None else 0


def read_config(info: CheckpointInfo) -> Any:
    """Read a checkpoint's config as transformers does; RunnerError where it cannot."""
    return _read_config(info.path, info.vision_feature_layers)


def read_sizes(folder: Path, vision_feature_layers: Sequence[int]) -> ModelSizes:
    """Read the sizes of a checkpoint whose weights need not be there; RunnerError as above."""
    return sizes_of(_read_config(folder, vision_feature_layers))


def _read_config(folder: Path | None, vision_feature_layers: Sequence[int]) -> Any:
    try:
        config: Any = VipLlavaConfig.from_pretrained(str(folder))
    except LOAD_ERRORS as error:
        raise RunnerError(f"{folder}: cannot be loaded ({error_line(error)})") from error
    # Set by the name that all versions know: some read one spelling of the key only.
    config.vision_feature_layers = list(vision_feature_layers)
    return config


def token_budget(
    sizes: ModelSizes, itemsize: int, memory: int | None, bits: int | None = None
) -> int:
    """Return how many tokens of prompts a batch may have, padding included.

    Args:
        sizes: of the model.
        itemsize: bytes of a number.
        memory: bytes of the device; None: that of a CPU, whose cache decides.
        bits: of a weight of a linear layer, where they are quantised.
    """
    if memory is None:
        return CPU_TOKENS
    fitting = tokens_that_fit(sizes, itemsize, memory, bits)
    return min(max(fitting // _STEP * _STEP, _STEP), MOST_TOKENS)


def tokens_that_fit(sizes: ModelSizes, itemsize: int, memory: int, bits: int | None = None) -> int:
    """Return how many tokens of prompts fit beside the weights; below 0 where these do not fit."""
    left = _SHARE * memory - _OVERHEAD - weight_bytes(sizes, itemsize, bits)
    return int(left / bytes_per_token(sizes, itemsize))


def weight_bytes(sizes: ModelSizes, itemsize: int, bits: int | None = None) -> int:
    """Return what the weights take on a device; the arguments are those of `token_budget`."""
    weights = sizes.n_weights * itemsize
    if bits is not None:
        linear = sizes.n_weights - sizes.n_embeddings
        weights += int(linear * (bits / 8 * _SCALES - itemsize))
    return weights


def bytes_per_token(sizes: ModelSizes, itemsize: int) -> float:
    """Estimate the memory that a token of a prompt takes while a batch is read and answered.

    Some is kept for the answer: keys and values, also of the answer's tokens. The rest is needed
    for a moment, at the widest point of a layer or, before that, of one of the vision tower.
    """
    width, mlp = sizes.width, sizes.mlp
    cache = 2 * sizes.layers * sizes.key_value_heads * sizes.head_width * itemsize
    answer = ANSWER_TOKENS / (sizes.n_image_tokens + 1)
    # Gate, up and their product; the residual, its norm (in float32, twice), input and output.
    text = (3 * mlp + 4 * width) * itemsize + 2 * width * 4
    # The states that are kept for the projector, then the same widest point, per patch.
    kept = sizes.n_features * sizes.vision_width
    vision = (kept + 2 * sizes.vision_mlp + 6 * sizes.vision_width + 2 * width) * itemsize
    return cache * (1 + answer) + max(text, vision)


def _memory(device: torch.device) -> int | None:
    """Return the memory of a device in bytes; None for a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return None
