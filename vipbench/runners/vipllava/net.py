"""A VipLlava that is ready to decode, and what both paths do with its images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, VipLlavaForConditionalGeneration

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo
from vipbench.runners.prompt_formats import PromptEncoder


@dataclass(frozen=True, eq=False)
class Net:
    """Everything that decoding needs; made by `vipbench.runners.vipllava.loading.load`."""

    info: CheckpointInfo
    model: VipLlavaForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptEncoder
    """Turns requests into token ids, in the prompt format that was chosen."""
    end_ids: frozenset[int]
    """Tokens that end an answer."""
    image_mean: torch.Tensor
    """(1, 3, 1, 1), float32, on the model's device: of RGB values 0-1."""
    image_std: torch.Tensor
    """Likewise."""

    @property
    def device(self) -> torch.device:
        """Where the model is now; a live one may be moved by its owner."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the model's weights now."""
        return self.model.dtype

    @property
    def image_token_id(self) -> int:
        """The token that stands for one feature of the image."""
        config: Any = self.model.config
        return int(config.image_token_id)

    @property
    def n_embeddings(self) -> int:
        """Token ids that the model can read: 0 to this, exclusive."""
        return int(self._text_config.vocab_size)

    @property
    def max_length(self) -> int:
        """Tokens of a prompt and its answer together."""
        return int(self._text_config.max_position_embeddings)

    @property
    def text_model(self) -> str:
        """Type of the language model, such as `llama`."""
        return str(self._text_config.model_type)

    @property
    def sliding_window(self) -> int | None:
        """Tokens that attention sees at once; None or 0: all of them."""
        window: int | None = getattr(self._text_config, "sliding_window", None)
        return window

    @property
    def rope_limit(self) -> int | None:
        """Tokens beyond which rotary positions depend on how many there are; None: never.

        Such are `longrope` (Phi 3 with 128k) and `dynamic` (transformers, modeling_rope_utils.py,
        dynamic_rope_update).
        """
        rope: Any = getattr(self._text_config, "rope_parameters", None) or {}
        kind = str(rope.get("rope_type", ""))
        if "dynamic" not in kind and kind != "longrope":
            return None
        original = rope.get("original_max_position_embeddings") if kind == "longrope" else None
        return int(original or self.max_length)

    @property
    def _text_config(self) -> Any:
        config: Any = self.model.config
        return config.text_config


def normalise(net: Net, pixels: torch.Tensor) -> torch.Tensor:
    """Turn uint8 (batch, size, size, 3) into the vision tower's (batch, 3, size, size).

    In float32 on the model's device, then cast to the model's dtype.
    """
    values = pixels.to(net.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    return ((values - net.image_mean) / net.image_std).to(net.dtype)


def image_features(net: Net, pixels: torch.Tensor, n_tokens: Sequence[int]) -> torch.Tensor:
    """Return what the projector gives for images: (images, features, width) in the model's dtype.

    `pixels` are uint8 (images, size, size, 3); `n_tokens` says how often each prompt about them has
    the image token. Raises RunnerError as `check_features`.
    """
    output = net.model.model.get_image_features(pixel_values=normalise(net, pixels))
    features: torch.Tensor = output.pooler_output
    check_features(net, n_tokens, features, len(pixels))
    return features


def check_features(
    net: Net, n_tokens: Sequence[int], features: torch.Tensor, n_images: int
) -> None:
    """Raise RunnerError unless each prompt has one image token a feature of one of the images."""
    counts = sorted(set(n_tokens))
    if counts != [features.shape[1]] or len(features) != n_images:
        raise RunnerError(
            f"{net.info.name}: prompts hold {counts} image tokens, the vision tower gives "
            f"{len(features)} x {features.shape[1]} features for {n_images} images · "
            "expected equal numbers"
        )
