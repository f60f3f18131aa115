"""Budgets of tokens, and the counting of tokens, before any model is loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import build_model, build_processor
from vipbench.bench.models import random_config
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.device import Placement
from vipbench.runners.vipllava.model_sizes import sizes_of
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.sizing import (
    ANSWER_TOKENS,
    CPU_TOKENS,
    MOST_TOKENS,
    bytes_per_token,
    size_checkpoint,
    size_live,
    token_budget,
)
from vipbench.schema import PromptFormat, Request

GIB = 1 << 30
SEVEN_B = sizes_of(random_config("7b"))


def request(text: str) -> Request:
    return Request(
        task="t", style="s", id="1", turns=(text,), image="x.png", fit="pad", max_new_tokens=9,
        key="k",
    )  # fmt: skip


HERE = Placement("cpu", "float32")


@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1", None])
def test_tokens_are_counted_as_the_runner_reads_them(
    checkpoint: Path, prompt_format: PromptFormat | None
) -> None:
    runner = VipLlavaRunner(checkpoint, prompt_format=prompt_format)
    found = size_checkpoint(check_checkpoint(checkpoint), prompt_format, HERE)
    live = size_live(runner.model, build_processor(), prompt_format)
    for text in ("?", "What is within the red rectangle?", "A <image> that is none"):
        n = len(runner.encode(request(text)))
        assert found.count(request(text)) == live.count(request(text)) == n
    assert found.budget == live.budget == CPU_TOKENS


def test_what_is_too_long_to_be_read_does_not_count_as_longer(checkpoint: Path) -> None:
    found = size_checkpoint(check_checkpoint(checkpoint), None, HERE)
    config: Any = VipLlavaRunner(checkpoint).model.config
    longest = config.text_config.max_position_embeddings
    assert found.count(request("word " * 10_000)) == longest


def test_a_model_in_memory_is_checked() -> None:
    with pytest.raises(RunnerError, match="is a Linear"):
        size_live(torch.nn.Linear(1, 1), build_processor(), None)
    with pytest.raises(RunnerError, match="without processor"):
        size_live(build_model(), None, None)


def test_the_cache_takes_half_a_mebibyte_a_token() -> None:
    cache = 2 * 32 * 4096 * 2  # keys and values, layers, width, bytes
    per_token = bytes_per_token(SEVEN_B, 2)
    kept = cache * (1 + ANSWER_TOKENS / 577)
    # The widest place of the language model: 3 x 11,008 of the MLP and 4 x 4,096 beside it.
    assert per_token - kept == pytest.approx((3 * 11008 + 4 * 4096) * 2 + 2 * 4096 * 4)
    assert bytes_per_token(SEVEN_B, 4) > 1.8 * per_token


def test_budgets_grow_with_memory() -> None:
    assert token_budget(SEVEN_B, 2, None) == CPU_TOKENS
    sizes = [token_budget(SEVEN_B, 2, memory * GIB) for memory in (8, 24, 40, 80, 141, 1000)]
    assert sizes == sorted(sizes)
    assert all(size % 1024 == 0 for size in sizes)
    assert sizes[0] == 1024  # too small for the model; loading it will say so
    assert sizes[-1] == MOST_TOKENS
    # What a card has beside 13.6 GB of weights, and a tenth that is left alone.
    on_80 = token_budget(SEVEN_B, 2, 80 * GIB)
    assert on_80 * bytes_per_token(SEVEN_B, 2) + SEVEN_B.n_weights * 2 < 0.9 * 80 * GIB
    assert 60_000 < on_80 < 100_000
    assert token_budget(SEVEN_B, 4, 80 * GIB) < on_80 / 2
