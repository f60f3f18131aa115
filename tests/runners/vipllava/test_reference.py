"""The reference path: equal to the fast one, and sure of its image."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import VipLlavaForConditionalGeneration

from tests.models import build_model, build_processor
from tests.runners.vipllava.asking import ask, pictures, questions, sampled, stopping_model
from vipbench.errors import RunnerError
from vipbench.runners.vipllava.runner import VipLlavaRunner


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

        def _decode(self, rows: Any, pixels: torch.Tensor) -> Any:
            if len(rows) > 3:
                raise torch.OutOfMemoryError
            return super()._decode(rows, pixels)

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
        image_mask = inputs["input_ids"] == self.config.image_token_id
        self.model.get_image_features(pixel_values=pixels)
        embeddings = self.get_input_embeddings()(inputs.pop("input_ids"))
        embeddings[image_mask] = 0
        plain: Any = super()
        return plain.generate(*arguments, inputs_embeds=embeddings, **inputs)


@pytest.mark.parametrize("kind", [Blind, Deaf])
def test_an_image_that_is_lost_on_the_reference_path_is_an_error(kind: Any) -> None:
    model = build_model()
    model.__class__ = kind
    runner = VipLlavaRunner(model, build_processor(), path="reference")
    with pytest.raises(RunnerError, match="does not give the image to the language model"):
        runner.generate([ask("a"), ask("b c")], pictures(2))


def test_an_image_token_that_generate_cannot_embed_is_refused() -> None:
    with pytest.raises(RunnerError, match=r"image token 4 lies beyond the model's 4 embeddings"):
        VipLlavaRunner(build_model(vocab_size=4), build_processor(), path="reference")
