"""The VipLlava runner against transformers' own `generate`, on tiny random models."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import VipLlavaForConditionalGeneration

from tests.models import (
    CORPUS,
    IMAGE_SIZE,
    TextModel,
    build_model,
    build_processor,
    build_tokenizer,
    make_old,
    save_checkpoint,
)
from vipbench.errors import RunnerError
from vipbench.runners.contract import check_responses
from vipbench.runners.device import find_device, find_dtype
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.runners.vipllava.tokens import TOP_K, sample
from vipbench.schema import AnswerPath, PromptFormat, Request, Response

END_IDS = list(range(2, 400, 9))
"""So many end tokens that some answers stop early and others do not."""


def ask(*turns: str, new: int = 12, name: str = "1") -> Request:
    return Request(
        task="t", style="s", id=name, turns=turns, image="x", fit="pad", max_new_tokens=new, key="k"
    )


def pictures(n: int, seed: int = 0) -> list[np.ndarray]:
    shape = (n, IMAGE_SIZE, IMAGE_SIZE, 3)
    return list(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def questions(n: int) -> list[Request]:
    """Prompts of different lengths and limits."""
    words = CORPUS[0].split()
    texts = [" ".join(words[(i + j) % len(words)] for j in range(1 + 5 * i % 23)) for i in range(n)]
    return [ask(text, new=4 + i % 9, name=str(i)) for i, text in enumerate(texts)]


def one_by_one(runner: VipLlavaRunner, requests: Sequence[Request], images: Any) -> list[Response]:
    return [runner.generate([r], [i])[0] for r, i in zip(requests, images, strict=True)]


def stopping_model(text: TextModel = "llama", **config: Any) -> VipLlavaForConditionalGeneration:
    model = build_model(text, **config)
    assert model.generation_config
    model.generation_config.eos_token_id = END_IDS
    return model


def plain_generate(
    model: Any,
    prompts: list[str],
    images: list[np.ndarray],
    limits: list[int],
) -> list[tuple[str, int, str]]:
    """What the documentation does: the processor, left padding, `generate`."""
    processor: Any = build_processor()
    inputs = processor(
        images=[Image.fromarray(i) for i in images], text=prompts, padding=True, return_tensors="pt"
    )
    start = inputs["input_ids"].shape[1]
    rows = model.generate(**inputs, do_sample=False, max_new_tokens=max(limits), pad_token_id=3)
    answers = []
    for row, limit in zip(rows[:, start:].tolist(), limits, strict=True):
        stop = next((k for k, token in enumerate(row[:limit]) if token in END_IDS), None)
        kept = row[:limit] if stop is None else row[:stop]
        text = processor.tokenizer.decode(kept, skip_special_tokens=True)
        answers.append((text, len(kept), "length" if stop is None else "stop"))
    return answers


@pytest.mark.parametrize(
    ("text", "n_kv_heads"), [("llama", 2), ("llama", 4), ("mistral", 2), ("qwen2", 2)]
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


@pytest.mark.parametrize(
    ("layers", "n_left"),
    [([-2, -5, -8, -11, 6], 11), ([-1, 3], 12), ([6, 2], 6), ([12], 12), ([0], 1), ([-4], 9)],
)
def test_vision_layers_that_nothing_reads_are_dropped(
    layers: list[int], n_left: int, tmp_path: Path
) -> None:
    model = build_model(feature_layers=layers)
    folder = save_checkpoint(tmp_path / "tiny", model)
    runner = VipLlavaRunner(folder, device="cpu")
    tower: Any = runner.model.model.vision_tower
    assert len(getattr(tower, "vision_model", tower).encoder.layers) == n_left
    pixels = runner.normalise(torch.from_numpy(np.stack(pictures(3))))
    with torch.inference_mode():
        found, expected = (
            each.model.get_image_features(pixel_values=pixels).pooler_output
            for each in (runner.model, model)
        )
    assert torch.equal(found, expected)
    requests, images = questions(5), pictures(5)
    live = VipLlavaRunner(model, build_processor())
    reference = VipLlavaRunner(folder, device="cpu", path="reference")
    answers = runner.generate(requests, images)
    assert answers == live.generate(requests, images) == reference.generate(requests, images)
    vision: Any = model.config.vision_config
    assert vision.num_hidden_layers == 12  # a live model stays whole


def test_the_reference_path_leaves_a_live_model_as_it_is() -> None:
    model = stopping_model()
    assert model.generation_config
    model.generation_config.repetition_penalty = 5.0  # would change answers
    model.train()
    before = model.generation_config.to_dict()
    requests, images = questions(6), pictures(6)
    reference = VipLlavaRunner(model, build_processor(), path="reference")
    fast = VipLlavaRunner(model, build_processor())
    assert reference.generate(requests, images) == fast.generate(requests, images)
    assert model.generation_config.to_dict() == before
    assert model.training
    assert not model.model.language_model._forward_pre_hooks
    assert not model.model.multi_modal_projector._forward_hooks


def test_the_reference_path_samples_and_splits_as_the_fast_one(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Small(VipLlavaRunner):
        """A device with room for three rows."""

        def _generate(self, rows: Any, pixels: torch.Tensor) -> Any:
            if len(rows) > 3:
                raise torch.OutOfMemoryError
            return super()._generate(rows, pixels)

    plain, images = questions(6), pictures(6)
    mixed = [*sampled(plain[:4], 1.5), *plain[4:]]
    expected = VipLlavaRunner(checkpoint).generate(mixed, images)
    assert expected != VipLlavaRunner(checkpoint).generate(plain, images)
    assert Small(checkpoint, path="reference").generate(mixed, images) == expected
    assert "out of memory with 6 requests: split in two" in caplog.text


class Blind(VipLlavaForConditionalGeneration):  # type: ignore[no-untyped-call]
    """Loses the image on its way, as engines do that know text only."""

    def generate(self, *arguments: Any, **inputs: Any) -> Any:
        del inputs["pixel_values"]
        plain: Any = super()
        return plain.generate(*arguments, **inputs)


class Deaf(VipLlavaForConditionalGeneration):  # type: ignore[no-untyped-call]
    """Computes the features of the image, and then reads zeros in their place."""

    def generate(self, *arguments: Any, **inputs: Any) -> Any:
        pixels = inputs.pop("pixel_values")
        places = inputs["input_ids"] == self.config.image_token_id
        self.model.get_image_features(pixel_values=pixels)
        embeddings = self.get_input_embeddings()(inputs.pop("input_ids"))
        embeddings[places] = 0
        plain: Any = super()
        return plain.generate(*arguments, inputs_embeds=embeddings, **inputs)


@pytest.mark.parametrize("kind", [Blind, Deaf])
def test_an_image_that_is_lost_on_the_reference_path_is_an_error(kind: Any) -> None:
    model = build_model()
    model.__class__ = kind
    runner = VipLlavaRunner(model, build_processor(), path="reference")
    with pytest.raises(RunnerError, match="does not give the image to the language model"):
        runner.generate([ask("a"), ask("b c")], pictures(2))


def test_a_path_that_cannot_be_taken_is_refused() -> None:
    with pytest.raises(RunnerError, match="path 'referense' is not known; did you mean"):
        VipLlavaRunner(build_model(), build_processor(), path="referense")  # type: ignore[arg-type]
    with pytest.raises(RunnerError, match=r"image token 4 lies beyond the model's 4 embeddings"):
        VipLlavaRunner(build_model(vocab_size=4), build_processor(), path="reference")


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


def test_inputs_equal_the_processors(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    request, image = ask("What is the object?"), pictures(1)[0]
    processor: Any = build_processor()
    expected = processor(
        images=Image.fromarray(image), text=runner.prompt(request), return_tensors="pt"
    )
    assert runner.encode(request) == expected["input_ids"][0].tolist()
    pixels = runner.normalise(torch.from_numpy(image)[None])
    torch.testing.assert_close(pixels, expected["pixel_values"], rtol=0, atol=1e-6)


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


def test_the_image_reaches_the_answer(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    requests = [ask("What is it?")] * 8
    answers = {response.text for response in runner.generate(requests, pictures(8))}
    assert len(answers) > 4


def test_every_feature_layer_of_the_checkpoint_counts(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "other-layers"))
    config = json.loads((folder / "config.json").read_text())
    for key in {"vision_feature_layer", "vision_feature_layers"} & set(config):
        config[key] = [-2, -5, -8, -11, 1]
    (folder / "config.json").write_text(json.dumps(config))
    runner = VipLlavaRunner(folder)
    assert runner.info.vision_feature_layers == (-2, -5, -8, -11, 1)
    requests, images = questions(8), pictures(8)
    assert runner.generate(requests, images) != VipLlavaRunner(checkpoint).generate(
        requests, images
    )


@pytest.mark.parametrize("text", ["llama", "mistral"])
def test_checkpoints_of_transformers_4_load(
    text: Literal["llama", "mistral"], tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "tiny", build_model(text))
    requests, images = questions(6), pictures(6)
    expected = VipLlavaRunner(folder).generate(requests, images)
    make_old(folder)
    assert "language_model.model.norm.weight" in load_file(folder / "model.safetensors")
    assert VipLlavaRunner(folder).generate(requests, images) == expected
    (folder / "preprocessor_config.json").unlink()
    assert VipLlavaRunner(folder).generate(requests, images) == expected


def test_stored_half_precision_is_run_in_float32_on_a_cpu(checkpoint: Path, tmp_path: Path) -> None:
    half_model = build_model()
    half_model.to(torch.float16)  # type: ignore[arg-type]
    half = save_checkpoint(tmp_path / "half", half_model)
    runner = VipLlavaRunner(half, device="cpu")
    assert runner.settings.dtype == "float32"
    assert runner.model.dtype == torch.float32
    assert VipLlavaRunner(half, device="cpu", dtype="bf16").settings.dtype == "bfloat16"
    assert VipLlavaRunner(checkpoint).settings.dtype == str(
        find_dtype(None, find_device(None))
    ).removeprefix("torch.")


def test_the_prompt_format_is_the_checkpoints_unless_given(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hinting"))
    assert VipLlavaRunner(folder).settings.prompt_format == "hf"
    (folder / "vipbench.json").write_text('{"prompt_format": "llava_v1"}')
    assert VipLlavaRunner(folder).settings.prompt_format == "llava_v1"
    runner = VipLlavaRunner(folder, prompt_format="chat_template")
    assert runner.settings.prompt_format == "chat_template"


def test_an_unusable_chat_template_is_found_when_the_runner_is_built() -> None:
    with pytest.raises(RunnerError, match="has no chat template · use --prompt-format"):
        VipLlavaRunner(build_model(), build_tokenizer(), prompt_format="chat_template")


def test_a_live_model_answers_as_its_checkpoint_and_stays_as_it_is(checkpoint: Path) -> None:
    model = build_model()
    model.train()
    live = VipLlavaRunner(model, build_processor(), device="cpu")
    stored = VipLlavaRunner(checkpoint, device="cpu", dtype="float32")
    requests, images = questions(6), pictures(6)
    assert live.generate(requests, images) == stored.generate(requests, images)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    before = live.settings.weights
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    assert VipLlavaRunner(model, build_tokenizer()).settings.weights != before


def test_a_live_model_of_another_kind_is_refused() -> None:
    with pytest.raises(RunnerError, match="is a Linear"):
        VipLlavaRunner(torch.nn.Linear(1, 1), build_processor())  # type: ignore[arg-type]
    with pytest.raises(RunnerError, match="without processor"):
        VipLlavaRunner(build_model())


def sampled(requests: Sequence[Request], temperature: float, shift: int = 0) -> list[Request]:
    return [
        request.model_copy(update={"temperature": temperature, "seed": 100 + shift + i})
        for i, request in enumerate(requests)
    ]


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


@pytest.mark.parametrize("path", ["fast", "reference"])
def test_image_tokens_must_match_the_features(path: AnswerPath) -> None:
    runner = VipLlavaRunner(build_model(), build_processor(), path=path)
    runner._prompts._tokens.n_image_tokens = 15
    with pytest.raises(RunnerError, match=r"hold \[15\] image tokens.* 2 x 16 features"):
        runner.generate([ask("a"), ask("b c")], pictures(2))
    runner._prompts._tokens.n_image_tokens = 0
    with pytest.raises(RunnerError, match=r"hold \[0\] image tokens"):
        runner.generate([ask("a")], pictures(1))


def test_weights_that_lack_a_tensor_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "torn"))
    weights = load_file(folder / "model.safetensors")
    del weights["multi_modal_projector.linear_2.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunnerError, match=r"missing keys.*multi_modal_projector\.linear_2\.bias"):
        VipLlavaRunner(folder)
    weights["multi_modal_projector.linear_2.bias"] = torch.zeros(3)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunnerError, match=r"torn: cannot be loaded|mismatched keys"):
        VipLlavaRunner(folder)


def test_a_broken_tokenizer_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "mute"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(RunnerError, match="mute: the tokenizer cannot be loaded"):
        VipLlavaRunner(folder)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    runner = VipLlavaRunner(build_model(vocab_size=300), build_processor())
    with pytest.raises(RunnerError, match="but the model has 300 embeddings"):
        runner.generate([ask("the red rectangle")], pictures(1))


def test_a_prompt_that_is_too_long_is_an_error_of_its_own() -> None:
    runner = VipLlavaRunner(build_model(max_position_embeddings=128), build_processor())
    requests, images = [ask("a"), ask("a " * 200), ask("b c")], pictures(3)
    first, second, third = check_responses("v", requests, runner.generate(requests, images))
    assert [first, third] == runner.generate([requests[0], requests[2]], [images[0], images[2]])
    assert second.text is None
    assert second.error == f"the prompt has {second.n_prompt_tokens} tokens, the model takes 127"
    assert runner.generate([requests[1]], [images[1]]) == [second]


@pytest.mark.parametrize("path", ["fast", "reference"])
def test_logits_that_are_no_numbers_are_errors_not_answers(path: AnswerPath) -> None:
    model = build_model()
    with torch.no_grad():
        model.lm_head.weight[7] = float("nan")
    runner = VipLlavaRunner(model, build_processor(), path=path)
    responses = runner.generate(questions(3), pictures(3))
    assert [(r.text, r.finish) for r in responses] == [(None, "error")] * 3
    assert all(r.error == "the model's logits are no numbers in float32" for r in responses)


class SmallMemory(VipLlavaRunner):
    """A device with room for so many rows."""

    room = 3

    def _decode(self, rows: Any, pixels: torch.Tensor) -> Any:
        if len(rows) > self.room:
            raise torch.OutOfMemoryError
        return super()._decode(rows, pixels)


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


def test_a_token_budget_is_halved_until_a_batch_fits(checkpoint: Path) -> None:
    runner = SmallMemory(checkpoint)  # room for three rows of 16 image tokens and 128 of text
    assert runner.try_budget(3 * 144) == 3 * 144
    assert runner.try_budget(12 * 144) == 3 * 144
    assert runner.try_budget(10 * 144) == 10 * 144 // 4
    assert runner.settings.token_budget is None  # on a CPU nothing is tried while it is loaded
    assert VipLlavaRunner(checkpoint, token_budget=10).settings.token_budget is None
    runner.room = 0
    with pytest.raises(RunnerError, match=r"out of memory with one request of 272 tokens on cpu"):
        runner.try_budget(1 << 20)


def test_of_the_last_layer_only_the_last_token_is_computed(checkpoint: Path) -> None:
    runner = VipLlavaRunner(checkpoint)
    requests, images = questions(4), pictures(4)
    expected = runner.generate(requests, images)
    layers: Any = runner.model.model.language_model.layers
    seen: dict[str, list[tuple[int, ...]]] = {}

    def watch(name: str) -> Any:
        return lambda module, inputs, output: seen.setdefault(name, []).append(tuple(output.shape))

    hooks = [
        part.register_forward_hook(watch(f"{place} {name}"))
        for place in (0, -1)
        for name, part in (
            ("o_proj", layers[place].self_attn.o_proj),
            ("k_proj", layers[place].self_attn.k_proj),
            ("mlp", layers[place].mlp),
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


def test_a_sliding_window_does_not_see_padding(caplog: pytest.LogCaptureFixture) -> None:
    runner = VipLlavaRunner(stopping_model("mistral", sliding_window=48), build_processor())
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


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("device", "gpu", "device 'gpu' is not known"),
        ("device", "cuda:99", "device 'cuda:99' is not here"),
        ("dtype", "float61", "did you mean 'float16'"),
    ],
)
def test_unknown_devices_and_dtypes_are_refused(
    checkpoint: Path, kind: str, name: str, message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        VipLlavaRunner(checkpoint, **{kind: name})  # type: ignore[arg-type]


def test_float16_is_the_default_on_cuda_only() -> None:
    assert find_dtype(None, torch.device("cuda")) == torch.float16
    assert find_dtype("auto", torch.device("mps")) == torch.float32
    assert find_dtype(None, torch.device("cpu")) == torch.float32


def test_weights_of_another_size_are_named_with_both_sizes(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "tiny-vip"))
    config = json.loads((folder / "config.json").read_text())
    size = config["text_config"]["vocab_size"]
    config["text_config"]["vocab_size"] = 10
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunnerError, match=rf"lm_head\.weight \(\[{size}, 64\], not \[10, 64\]\)"):
        VipLlavaRunner(folder, device="cpu")


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("config.json", "text_config", "x", "cannot be loaded"),
        ("config.json", "image_token_index", "x", "cannot be loaded"),
        ("generation_config.json", "eos_token_id", "x", "eos_token_id is 'x'"),
    ],
)
def test_a_config_that_transformers_does_not_take_is_one_line(
    checkpoint: Path, tmp_path: Path, file: str, key: str, value: object, message: str
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "tiny-vip"))
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | {key: value}))
    with pytest.raises(RunnerError, match=message) as caught:
        VipLlavaRunner(folder, device="cpu")
    assert "\n" not in str(caught.value)
