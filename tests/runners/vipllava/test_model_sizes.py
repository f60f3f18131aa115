"""Sizes read from a config, held against the model that transformers builds from it."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.models import TEXT_CONFIGS, TextModel
from vipbench.bench.models import random_config
from vipbench.bench.records import RandomSize
from vipbench.runners.vipllava.model_sizes import sizes_of


@pytest.mark.parametrize("size", ["7b", "13b"])
def test_weights_are_those_of_the_model(size: RandomSize) -> None:
    config = random_config(size)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)  # type: ignore[no-untyped-call]
    n = sum(weight.numel() for weight in model.parameters())
    vision: Any = config.vision_config
    unused = vision.hidden_size * (4 * vision.hidden_size + 2 * vision.intermediate_size)
    assert sizes_of(config).n_weights == pytest.approx(n - unused, rel=1e-3)
    assert sizes_of(config).n_weights < n


def test_unused_layers_of_the_vision_tower_do_not_count() -> None:
    config = random_config("7b")
    assert sizes_of(config).vision_layers == 23
    config.vision_feature_layers = [6]
    assert sizes_of(config).vision_layers == 6
    assert sizes_of(config).n_image_tokens == 576


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("llama", {"intermediate_size": 14_336, "num_key_value_heads": 8, "vocab_size": 128_320}),
        ("phi3", {"hidden_size": 3072, "intermediate_size": 8192, "vocab_size": 32_064}),
    ],
)
def test_grouped_heads_and_joined_projections_count_as_they_are(
    kind: TextModel, text: dict[str, Any]
) -> None:
    config: Any = random_config("7b")
    sizes = config.text_config.to_dict() | {"num_key_value_heads": 32}
    del sizes["head_dim"]  # follows from the others
    config.text_config = TEXT_CONFIGS[kind](**{**sizes, "pad_token_id": 0, **text})
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)  # type: ignore[no-untyped-call]
    n = sum(weight.numel() for weight in model.model.language_model.parameters())
    n += model.lm_head.weight.numel()
    others = sizes_of(config).model_copy(update={"layers": 0, "vocabulary": 0}).n_weights
    assert sizes_of(config).n_weights - others == pytest.approx(n, rel=1e-3)
