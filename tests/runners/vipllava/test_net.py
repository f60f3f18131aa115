"""What the model sees of an image, and that each feature has its token."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models import build_model, build_processor
from tests.runners.vipllava.asking import ask, pictures
from vipbench.errors import RunnerError
from vipbench.runners.vipllava.net import normalise
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import AnswerPath


def test_inputs_equal_the_processors(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    request, image = ask("What is the object?"), pictures(1)[0]
    processor: Any = build_processor()
    expected = processor(
        images=Image.fromarray(image), text=runner.prompt(request), return_tensors="pt"
    )
    assert runner.encode(request) == expected["input_ids"][0].tolist()
    pixels = normalise(runner.net, torch.from_numpy(image)[None])
    torch.testing.assert_close(pixels, expected["pixel_values"], rtol=0, atol=1e-6)


def test_the_image_reaches_the_answer(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    requests = [ask("What is it?")] * 8
    answers = {response.text for response in runner.generate(requests, pictures(8))}
    assert len(answers) > 4


@pytest.mark.parametrize("path", ["fast", "reference"])
def test_image_tokens_must_match_the_features(path: AnswerPath) -> None:
    runner = VipLlavaRunner(build_model(), build_processor(), path=path)
    runner.net.prompts._tokens.n_image_tokens = 15
    with pytest.raises(RunnerError, match=r"hold \[15\] image tokens.* 2 x 16 features"):
        runner.generate([ask("a"), ask("b c")], pictures(2))
    runner.net.prompts._tokens.n_image_tokens = 0
    with pytest.raises(RunnerError, match=r"hold \[0\] image tokens"):
        runner.generate([ask("a")], pictures(1))


def test_a_live_model_that_its_owner_casts_answers_in_its_new_dtype() -> None:
    runner = VipLlavaRunner(build_model(), build_processor())
    runner.model.to(torch.bfloat16)  # type: ignore[arg-type]
    assert runner.net.dtype == torch.bfloat16
    pixels = torch.from_numpy(np.stack(pictures(2)))
    assert normalise(runner.net, pixels).dtype == torch.bfloat16
    assert all(answer.text for answer in runner.generate([ask("a"), ask("b c")], pictures(2)))
