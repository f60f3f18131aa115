"""Log-probabilities of options, sampling, and the tokens of prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models import TextModel, build_model, build_processor
from tests.runners.vipllava.asking import (
    ask,
    one_by_one,
    pictures,
    questions,
    sampled,
    stopping_model,
)
from vipbench.errors import RunnerError
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.tokens import TOP_K, sample
from vipbench.schema import AnswerPath, Request


def optional(requests: Sequence[Request]) -> list[Request]:
    """Give requests two to four options each, and every fifth none."""
    return [
        request.model_copy(update={"options": tuple("ABCD"[: 2 + i % 3]) if i % 5 else ()})
        for i, request in enumerate(requests)
    ]


def plain_logprobs(runner: VipLlavaRunner, request: Request, image: np.ndarray) -> list[float]:
    """What transformers' own forward pass says of one request alone."""
    processor: Any = build_processor()
    inputs = processor(
        images=Image.fromarray(image), text=runner.prompt(request), return_tensors="pt"
    )
    vocabulary = processor.tokenizer.get_vocab()
    with torch.inference_mode():
        model: Any = runner.model
        probabilities = torch.softmax(model(**inputs).logits[0, -1].double(), -1)
    tokens = [[vocabulary[t] for t in (f"Ġ{o}", o) if t in vocabulary] for o in request.options]
    return [float(probabilities[each].sum().log()) for each in tokens]


@pytest.mark.parametrize("text", ["llama", "mistral"])
@pytest.mark.parametrize("path", ["fast", "reference"])
def test_option_logprobs_are_those_of_a_plain_forward_pass(
    text: TextModel, path: AnswerPath
) -> None:
    runner = VipLlavaRunner(stopping_model(text), build_processor(), path=path)
    assert [len(tokens) for tokens in runner.letter_tokens("ABCD")] == [2, 2, 1, 1]
    requests, images = optional(questions(12)), pictures(12)
    for start, stop in ((0, 12), (0, 5), (7, 8)):
        part = requests[start:stop]
        answers = runner.generate(part, images[start:stop])
        assert [answer.option_logprobs is None for answer in answers] == [
            not request.options for request in part
        ]
        for request, image, answer in zip(part, images[start:stop], answers, strict=True):
            expected = plain_logprobs(runner, request, image)
            np.testing.assert_allclose(answer.option_logprobs or (), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("path", ["fast", "reference"])
def test_the_likeliest_option_is_what_is_generated(path: AnswerPath) -> None:
    model = build_model()
    runner = VipLlavaRunner(model, build_processor(), path=path)
    letters = tuple("CDEFGH")
    tokens = [token for each in runner.letter_tokens(letters) for token in each]
    assert len(tokens) == len(letters)
    with torch.no_grad():
        model.lm_head.weight[tokens] *= 20
    requests = [r.model_copy(update={"options": letters}) for r in questions(24)]
    answers = runner.generate(requests, pictures(24))
    said = [(answer.text or "").strip()[:1] for answer in answers]
    assert len(set(said)) > 2
    logprobs = [answer.option_logprobs or () for answer in answers]
    assert [letters[int(np.argmax(each))] for each in logprobs] == said


def test_options_that_no_token_stands_for_have_no_logprobs(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    strange = ask("?").model_copy(update={"options": ("A", "Ä")})
    usual = ask("?").model_copy(update={"options": ("A", "B")})
    first, second = runner.generate([strange, usual], pictures(2))
    assert first.text is not None
    assert first.option_logprobs is None
    assert second.option_logprobs is not None


def test_sampled_answers_depend_on_their_seed_alone(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    images = pictures(9)
    requests = sampled(questions(9), 1.5)
    together = runner.generate(requests, images)
    assert together == one_by_one(runner, requests, images)
    assert together[::-1] == runner.generate(requests[::-1], images[::-1])
    greedy = runner.generate(questions(9), images)
    other = runner.generate(sampled(questions(9), 1.5, shift=50), images)
    assert sum(a.text != b.text for a, b in zip(together, greedy, strict=True)) > 4
    assert sum(a.text != b.text for a, b in zip(together, other, strict=True)) > 4


def test_sampled_and_greedy_requests_share_a_batch(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    images, plain = pictures(6), questions(6)
    mixed = [*sampled(plain[:3], 1.5), *plain[3:]]
    assert runner.generate(mixed, images) == one_by_one(runner, mixed, images)
    # Close to 0, sampling is greedy.
    assert runner.generate(sampled(plain, 1e-4), images) == runner.generate(plain, images)


def test_tokens_are_drawn_at_their_probability() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0, -4.0])
    draws = np.random.default_rng(0).random(20_000)
    counts = np.bincount([int(sample(logits, 0.5, draw)) for draw in draws], minlength=4)
    expected = torch.softmax(logits / 0.5, -1).numpy()
    assert np.abs(counts / len(draws) - expected).max() < 0.01


def test_only_the_likeliest_tokens_are_drawn() -> None:
    logits = torch.zeros(400)
    logits[7:7 + TOP_K] = 1e-3  # fmt: skip
    drawn = {int(sample(logits, 1.0, draw)) for draw in np.linspace(0, 1, 2000, endpoint=False)}
    assert drawn == set(range(7, 7 + TOP_K))
    assert int(sample(torch.tensor([0.0, 1.0]), 1.0, 0.999_999)) == 0


def test_a_literal_image_token_is_text(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    request = ask("Is <image> a </s><pad> tag?")
    assert runner.encode(request).count(4) == 16
    assert "Is <image> a </s><pad> tag?" in runner.prompt(request)
    requests, images = [request, ask("no")], pictures(2)
    assert runner.generate(requests, images) == one_by_one(runner, requests, images)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    runner = VipLlavaRunner(build_model(vocab_size=300), build_processor())
    with pytest.raises(RunnerError, match="but the model has 300 embeddings"):
        runner.generate([ask("the red rectangle")], pictures(1))
