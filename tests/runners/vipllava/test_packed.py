"""Batches that are read as a tree answer like their requests one by one."""

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.models import TextModel, build_processor
from tests.runners.vipllava.asking import (
    SmallMemory,
    ask,
    one_by_one,
    pictures,
    questions,
    sampled,
    stopping_model,
)
from vipbench.runners.vipllava.packed import _alike
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.shared import Piece
from vipbench.schema import Request, Response

WORDS = "What is the object within the red rectangle? A. The blue circle. B. the green square."


def family(n: int) -> tuple[list[Request], list[Any]]:
    """Questions of three kinds: about one picture, alike as far as the options, and alone."""
    asked = questions(n)
    shown = pictures(n)
    images = [shown[0] if i % 3 == 0 else shown[i // 6 + 1] for i in range(n)]
    for i in range(1, n, 3):
        text = f"{WORDS} {'yes no 0 1 2 3'[: 1 + i % 9]}"
        asked[i] = ask(text, new=4 + i % 5, name=str(i)).model_copy(update={"options": ("A", "B")})
        images[i] = shown[i // 9 + n // 2]
    return asked, images


def as_kept(responses: list[Response]) -> list[Response]:
    """Round log-probabilities to what float32 holds however matrix products are cut."""
    return [
        response.model_copy(
            update={
                "option_logprobs": response.option_logprobs
                and tuple(round(value, 3) for value in response.option_logprobs)
            }
        )
        for response in responses
    ]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("llama", {"num_key_value_heads": 2}),
        ("llama", {"num_key_value_heads": 4}),
        ("mistral", {"sliding_window": 200}),
        ("phi3", {}),
    ],
)
def test_a_tree_answers_like_single_requests(text: TextModel, settings: dict[str, Any]) -> None:
    model = stopping_model(text, **settings)
    runner = VipLlavaRunner(model, build_processor())
    requests, images = family(24)
    expected = one_by_one(runner, requests, images)
    runner.shares = True
    assert as_kept(runner.generate(requests, images)) == as_kept(expected)
    readings = runner.readings
    assert readings.read.images < readings.asked.images == 24
    assert readings.read.operations < 0.8 * readings.asked.operations
    drawn = sampled(requests, 0.7)
    shared = runner.generate(drawn, images)
    runner.shares = False
    assert as_kept(shared) == as_kept(runner.generate(drawn, images))
    reference = VipLlavaRunner(model, build_processor(), path="reference")
    reference.shares = True  # and does not
    assert as_kept(reference.generate(requests, images)) == as_kept(expected)
    assert reference.readings.asked.tokens == 0


def test_where_rounding_would_decide_what_is_kept_a_request_is_asked_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = VipLlavaRunner(stopping_model(), build_processor())
    asked, images = family(12)
    requests = [each.model_copy(update={"options": ("A", "B")}) for each in asked]
    expected = one_by_one(runner, requests, images)
    # As if each were at an edge: to the last digit that is kept.
    monkeypatch.setattr("vipbench.runners.vipllava.runner.LOGPROB_ERROR", 1.0)
    assert runner.generate(requests, images) == expected
    runner.shares = True
    assert runner.generate(requests, images) == expected
    readings = runner.readings
    assert readings.asked.images == 24 > readings.read.images > 12  # asked twice, once each alone
    rounded = VipLlavaRunner(stopping_model().bfloat16(), build_processor())
    rounded.shares = True
    rounded.generate(requests, images)
    assert rounded.readings.read.images < 12


def test_a_batch_that_does_not_fit_is_split_and_shares_within_its_parts() -> None:
    runner = SmallMemory(stopping_model(), build_processor())
    requests, images = questions(8), [pictures(1)[0]] * 8
    expected = one_by_one(runner, requests, images)
    runner.shares = True
    assert runner.generate(requests, images) == expected
    assert runner.n_splits == 3
    assert runner.readings.read.images == 4


def test_another_attention_reads_each_prompt_by_itself() -> None:
    model = stopping_model()
    model.set_attn_implementation("eager")
    runner = VipLlavaRunner(model, build_processor())
    runner.shares = True
    requests, images = questions(4), [pictures(1)[0]] * 4
    expected = one_by_one(runner, requests, images)
    runner.readings = type(runner.readings)()
    assert runner.generate(requests, images) == expected
    assert runner.readings.read.tokens == runner.readings.asked.tokens
    assert runner.readings.read.images == 1


def test_the_model_is_left_as_it_was() -> None:
    model: Any = stopping_model()
    runner = VipLlavaRunner(model, build_processor())
    runner.shares = True
    runner.generate(questions(4), [pictures(1)[0]] * 4)
    assert model.model.language_model.config._attn_implementation == "sdpa"
    layer = model.model.language_model.layers[-1]
    assert not layer.mlp._forward_pre_hooks
    assert not layer.mlp._forward_hooks


def test_nine_tenths_of_what_could_be_saved_are() -> None:
    model: Any = stopping_model()
    runner = VipLlavaRunner(model, build_processor())
    shown = pictures(4)
    requests = [ask(f"{WORDS} {i % 6}", new=1, name=str(i)) for i in range(24)]
    images = [shown[i // 6] for i in range(24)]

    def flops(*, shares: bool) -> int:
        runner.shares = shares
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            runner.generate(requests, images)
        # Attention's own products are counted by the kernel that torch happens to take.
        counts = counter.get_flop_counts()["Global"]
        return sum(n for name, n in counts.items() if "attention" not in str(name))

    alone, shared = flops(shares=False), flops(shares=True)
    asked, read = runner.readings.asked.operations, runner.readings.read.operations
    assert 1 - shared / alone >= 0.9 * (1 - read / asked) > 0.5


def test_attention_is_called_few_times_and_with_little_padding() -> None:
    pieces = [
        Piece(0, 0, 26, None),
        Piece(0, 26, 36, 0),
        *(Piece(i, 36, 86 + i % 3, 1) for i in range(24)),
        Piece(24, 26, 27, 0),
        *(Piece(25 + i, 0, 85, None) for i in range(3)),
    ]
    ending = set(range(2, 30))
    # Those that begin prompts with the one behind them; a short one not with 24 long ones.
    assert _alike(pieces, ending) == [
        [1, 0],
        [26],
        [*range(2, 26, 3), *range(3, 26, 3), *range(4, 26, 3)],
        [27, 28, 29],
    ]
