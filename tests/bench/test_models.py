"""Random models: the same each time, of the sizes of their names."""

from typing import Any

import pytest
import torch

from vipbench.bench.floor import count
from vipbench.bench.models import build_random, random_config
from vipbench.bench.records import RandomSize
from vipbench.runners.vipllava.model_sizes import sizes_of


def test_random_weights_are_the_same_each_time_and_write_what_can_be_read() -> None:
    before = torch.get_rng_state()
    one, two = build_random("tiny", "cpu", "float32"), build_random("tiny", "cpu", "float32")
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    config: Any = one.config
    assert not one.lm_head.weight[config.text_config.eos_token_id].any()


def test_named_sizes_have_the_parameters_of_their_names() -> None:
    # 6.48e9 and 12.7e9 are what Llama's 7B and 13B have in their layers.
    sizes: dict[RandomSize, float] = {"7b": 6.476, "13b": 12.688}
    for size, billions in sizes.items():
        shape = sizes_of(random_config(size))
        work = count(shape, 1, 0).prefill - 2 * shape.width * shape.vocabulary
        assert work / 2e9 == pytest.approx(billions, rel=1e-3)
        assert shape.vision_layers == 23  # the last one of CLIP's 24 is not used


def test_the_small_model_has_about_150_million_parameters_most_of_them_in_products() -> None:
    shape = sizes_of(random_config("small"))
    assert shape.n_weights == pytest.approx(156e6, rel=0.01)
    assert shape.n_image_tokens == 576
    work = count(shape, 686, 0)
    assert work.prefill > 3 * work.vision
