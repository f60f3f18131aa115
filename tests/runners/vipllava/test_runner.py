"""The VipLlava runner: one response a request, whatever goes wrong on the way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models import IMAGE_SIZE, build_model, build_processor
from tests.runners.vipllava.asking import SmallMemory, ask, one_by_one, pictures, questions, sampled
from vipbench.errors import RunnerError
from vipbench.runners.contract import check_responses
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import AnswerPath


def test_an_unknown_path_is_refused() -> None:
    with pytest.raises(RunnerError, match="path 'referense' is unknown · did you mean"):
        VipLlavaRunner(build_model(), build_processor(), path="referense")  # type: ignore[arg-type]


def test_long_conversations_and_the_chat_template(checkpoint: Path) -> None:
    turns = ("What is it?", "A red car.", "And the blue one?", "no", "Answer A or B.")
    hf, v1 = (VipLlavaRunner(checkpoint, prompt_format=f) for f in ("hf", "llava_v1"))
    template = VipLlavaRunner(checkpoint, prompt_format="chat_template")
    assert hf.prompt(ask(*turns)).endswith("no###Human: Answer A or B.###Assistant:")
    assert v1.prompt(ask(*turns)).endswith(" no</s>USER: Answer A or B. ASSISTANT:")
    assert template.prompt(ask(*turns)).endswith(
        "[assistant] no</s>[user] Answer A or B.[assistant]"
    )
    for runner in (hf, v1, template):
        requests, images = [ask(*turns), ask("What is it?")], pictures(2)
        answers = runner.generate(requests, images)
        assert answers == one_by_one(runner, requests, images)
        assert all(answer.text for answer in answers)


def test_nothing_asked_is_nothing_answered(checkpoint: Path) -> None:
    assert VipLlavaRunner(checkpoint).generate([], []) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "0 images for 1 requests"),
        ([None], "sample 1 has no image"),
        (pictures(2), "2 images for 1 requests"),
        (
            [np.zeros((2, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)],
            "2 images .*not trained for several",
        ),
        ([np.zeros((IMAGE_SIZE, 8, 3), np.uint8)], r"uint8 \(56, 8, 3\) · expected uint8 \(56, 56"),
        ([np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)], "is float32"),
    ],
)
def test_missing_and_wrong_images_are_errors(
    checkpoint: Path, images: list[Any], message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        VipLlavaRunner(checkpoint).generate([ask("?")], images)


def test_a_prompt_that_is_too_long_is_an_error_of_its_own() -> None:
    runner = VipLlavaRunner(build_model(max_position_embeddings=128), build_processor())
    requests, images = [ask("a"), ask("a " * 200), ask("b c")], pictures(3)
    first, second, third = check_responses("v", requests, runner.generate(requests, images))
    assert [first, third] == runner.generate([requests[0], requests[2]], [images[0], images[2]])
    assert second.text is None
    assert second.error == f"the prompt has {second.n_prompt_tokens} tokens, the model takes 127"
    assert runner.generate([requests[1]], [images[1]]) == [second]


@pytest.mark.parametrize("path", ["fast", "reference"])
def test_logits_that_are_nan_are_errors_not_answers(path: AnswerPath) -> None:
    model = build_model()
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    runner = VipLlavaRunner(model, build_processor(), path=path)
    responses = runner.generate(questions(3), pictures(3))
    assert [(r.text, r.finish) for r in responses] == [(None, "error")] * 3
    assert all(r.error == "the model's logits are NaN or infinite in float32" for r in responses)


def test_a_batch_that_does_not_fit_is_split(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    requests, images = questions(8), pictures(8)
    answers = SmallMemory(checkpoint).generate(requests, images)
    assert answers == VipLlavaRunner(checkpoint).generate(requests, images)
    assert [record.getMessage() for record in caplog.records] == [
        f"out of memory with {n} requests: split in two" for n in (8, 4, 4)
    ]


def test_splits_are_counted(checkpoint: Path) -> None:
    runner = SmallMemory(checkpoint)
    runner.generate(questions(3), pictures(3))
    assert runner.n_splits == 0
    runner.generate(questions(8), pictures(8))
    assert runner.n_splits == 3


def test_a_sampled_batch_that_is_split_halfway_answers_as_before(checkpoint: Path) -> None:
    class LateMemory(VipLlavaRunner):
        """Runs out of memory when all tokens have been drawn."""

        def _decode(self, rows: Any, pixels: torch.Tensor) -> Any:
            answers = super()._decode(rows, pixels)
            if len(rows) > 3:
                raise torch.OutOfMemoryError
            return answers

    images, requests = pictures(6), sampled(questions(6), 1.5)
    expected = VipLlavaRunner(checkpoint).generate(requests, images)
    assert LateMemory(checkpoint).generate(requests, images) == expected


def test_a_request_that_does_not_fit_alone_is_an_error(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SmallMemory, "room", 0)
    with pytest.raises(RunnerError, match="out of memory with one request"):
        SmallMemory(checkpoint).generate(questions(2), pictures(2))
