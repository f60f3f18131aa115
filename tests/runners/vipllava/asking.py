"""Requests, images and runners for the tests of the VipLlava runner, on tiny random models."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import VipLlavaForConditionalGeneration

from tests.models import CORPUS, IMAGE_SIZE, TextModel, build_model, build_processor
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Request, Response

END_IDS = list(range(2, 400, 9))
"""So many end tokens that some answers stop early and others do not."""


def ask(*turns: str, new: int = 12, name: str = "1") -> Request:
    return Request(
        task="t", style="s", id=name, turns=turns, image="x", fit="pad", max_new_tokens=new, key="k"
    )


def pictures(n: int, seed: int = 0, size: int = IMAGE_SIZE) -> list[np.ndarray]:
    shape = (n, size, size, 3)
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


def sampled(requests: Sequence[Request], temperature: float, shift: int = 0) -> list[Request]:
    return [
        request.model_copy(update={"temperature": temperature, "seed": 100 + shift + i})
        for i, request in enumerate(requests)
    ]


class SmallMemory(VipLlavaRunner):
    """A device with room for so many rows."""

    room = 3

    def _decode(self, rows: Any, pixels: torch.Tensor) -> Any:
        if len(rows) > self.room:
            raise torch.OutOfMemoryError
        return super()._decode(rows, pixels)
