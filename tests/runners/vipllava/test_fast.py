"""The fast path against single requests and transformers' own `generate`."""

from pathlib import Path
from typing import Any

import pytest

from tests.models import TextModel, build_processor
from tests.runners.vipllava.asking import (
    one_by_one,
    pictures,
    plain_generate,
    questions,
    stopping_model,
)
from vipbench.runners.contract import check_responses
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import PromptFormat


@pytest.mark.parametrize(
    ("text", "n_kv_heads"),
    [("llama", 2), ("llama", 4), ("mistral", 2), ("phi3", 2), ("phi3", 4), ("qwen2", 2)],
)
@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1"])
def test_batches_equal_single_requests_and_plain_generate(
    text: TextModel, n_kv_heads: int, prompt_format: PromptFormat
) -> None:
    model = stopping_model(text, num_key_value_heads=n_kv_heads)
    runner = VipLlavaRunner(model, build_processor(), prompt_format=prompt_format)
    requests, images = questions(24), pictures(24)
    lengths = {len(runner.encode(request)) for request in requests}
    assert len(lengths) > 10
    together = check_responses("vipllava", requests, runner.generate(requests, images))
    assert together == one_by_one(runner, requests, images)
    assert together[::-1] == runner.generate(requests[::-1], images[::-1])
    prompts, limits = [runner.prompt(r) for r in requests], [r.max_new_tokens for r in requests]
    found = [(r.text, r.n_new_tokens, r.finish) for r in together]
    assert found == plain_generate(model, prompts, images, limits)
    assert {finish for _, _, finish in found} == {"stop", "length"}
    assert len({answer for answer, _, _ in found}) > 12  # nothing degenerate is compared
    reference = VipLlavaRunner(
        model, build_processor(), prompt_format=prompt_format, path="reference"
    )
    assert reference.generate(requests, images) == together


def test_a_language_model_that_was_not_tested_is_asked_one_at_a_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = VipLlavaRunner(stopping_model("qwen2"), build_processor())
    for _ in range(2):
        runner.generate(questions(3), pictures(3))
    assert [record.getMessage() for record in caplog.records] == [
        "batches of a qwen2 are not known to answer like single requests: requests are asked one "
        "at a time"
    ]


def test_of_the_last_layer_only_the_last_token_is_computed(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    requests, images = questions(4), pictures(4)
    expected = runner.generate(requests, images)
    layers: Any = runner.model.model.language_model.layers
    seen: dict[str, list[tuple[int, ...]]] = {}

    def watch(name: str) -> Any:
        return lambda module, inputs, output: seen.setdefault(name, []).append(tuple(output.shape))

    hooks = [
        part.register_forward_hook(watch(f"{index} {name}"))
        for index in (0, -1)
        for name, part in (
            ("o_proj", layers[index].self_attn.o_proj),
            ("k_proj", layers[index].self_attn.k_proj),
            ("mlp", layers[index].mlp),
        )
    ]
    assert runner.generate(requests, images) == expected
    for hook in hooks:
        hook.remove()
    width = max(len(runner.encode(request)) for request in requests)
    n_tokens = {name: shapes[0][:2] for name, shapes in seen.items()}
    whole, last = (4, width), (4, 1)
    assert n_tokens == {
        **{"0 o_proj": whole, "0 k_proj": whole, "0 mlp": whole},
        **{"-1 o_proj": last, "-1 k_proj": whole, "-1 mlp": last},
    }
    assert not layers[-1].mlp._forward_pre_hooks  # it is as it was, for whoever uses it next


@pytest.mark.parametrize("text", ["mistral", "phi3"])
def test_a_sliding_window_does_not_see_padding(
    text: TextModel, caplog: pytest.LogCaptureFixture
) -> None:
    runner = VipLlavaRunner(stopping_model(text, sliding_window=48), build_processor())
    requests, images = questions(8), pictures(8)
    assert min(len(runner.encode(request)) for request in requests) > 48
    assert runner.generate(requests, images) == one_by_one(runner, requests, images)
    found = [(r.text, r.n_new_tokens, r.finish) for r in runner.generate(requests, images)]
    limits = [request.max_new_tokens for request in requests]
    expected = [
        plain_generate(runner.model, [runner.prompt(request)], [image], [limit])[0]
        for request, image, limit in zip(requests, images, limits, strict=True)
    ]
    assert found == expected
    assert "do not fit into the attention window of 48: requests are asked one" in caplog.text
    reference = VipLlavaRunner(runner.model, build_processor(), path="reference")
    assert reference.generate(requests, images) == runner.generate(requests, images)


LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "partial_rotary_factor": 1.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
}


DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("phi3", {"rope_parameters": LONGROPE, "original_max_position_embeddings": 90}),
        ("llama", {"rope_parameters": DYNAMIC, "max_position_embeddings": 90}),
    ],
)
def test_positions_that_depend_on_the_longest_row_are_counted_alone(
    text: TextModel, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    runner = VipLlavaRunner(stopping_model(text, **settings), build_processor())
    assert runner.net.rope_limit == 90
    requests, images = questions(12), pictures(12)
    lengths = [len(runner.encode(request)) + request.max_new_tokens for request in requests]
    assert min(lengths) < 90 < max(lengths)
    assert runner.generate(requests, images) == one_by_one(runner, requests, images)
    assert "positions are stretched beyond 90 tokens" in caplog.text
