"""Sizes read from a config, held against the model that transformers builds from it."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText

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
