"""The reference path: transformers' own `generate` on prompts padded on the left.

Slower than `fast.py`, which tests hold against it. What it adds to a plain call of `generate` is
what shows that the call did what was meant: the image reaches the language model, and no answer is
made of logits that are NaN or infinite.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from vipbench.errors import RunnerError
from vipbench.runners.vipllava.net import Net, check_features, normalise
from vipbench.runners.vipllava.tokens import Answer, Row, finite_rows, option_logprobs, sample


def check_embeddings(net: Net) -> None:
    """Raise RunnerError where `generate` could not embed the image token."""
    if net.image_token_id >= net.n_embeddings:
        raise RunnerError(
            f"{net.info.name}: the image token {net.image_token_id} lies beyond the model's "
            f"{net.n_embeddings} embeddings, where transformers' generate fails · use --path "
            "fast, or extend the embeddings"
        )


def generate(net: Net, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
    """Answer a batch through transformers' `generate`.

    `pixels` are uint8 (batch, size, size, 3), one image a row.

    Raises:
        RunnerError: image tokens and features do not match, or the image does not reach the
            language model.
    """
    model: Any = net.model
    width = max(len(row.ids) for row in rows)
    padding = int(net.image_token_id == 0)  # anything but an image token
    ids = torch.tensor([[padding] * (width - len(row.ids)) + row.ids for row in rows])
    mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows])
    steps = _Steps(rows)
    settings = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers' own
        do_sample=False,
        num_beams=1,
        max_new_tokens=max(row.max_new_tokens for row in rows),
        eos_token_id=sorted(net.end_ids) or None,
        pad_token_id=padding,
    )
    with _watch_image(net, ids.to(model.device) == net.image_token_id):
        previous = model.generation_config
        # Replaced, since what a checkpoint sets there (a penalty, a top-p) would be added.
        model.generation_config = settings
        try:
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                pixel_values=normalise(net, pixels),
                logits_processor=LogitsProcessorList([steps]),
            )
        finally:
            model.generation_config = previous
    return [
        _cut(tokens, row, net.end_ids, broken, logprobs)
        for tokens, row, broken, logprobs in zip(
            output[:, width:].tolist(), rows, steps.broken, steps.logprobs, strict=True
        )
    ]


class _Steps(LogitsProcessor):
    """Watches each step of `generate`, and chooses the tokens of rows that are sampled."""

    def __init__(self, rows: list[Row]) -> None:
        self.logprobs: list[tuple[float, ...] | None] = []
        """Of the options, from the first step."""
        self.broken: list[int | None] = [None] * len(rows)
        """The first step at which the logits of a row were NaN or infinite."""
        self._rows = rows
        self._step = 0
        self._generators = [row.generator() for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Take the logits (batch, vocabulary) of a step; a token that is drawn is left alone."""
        if self._step == 0:
            self.logprobs = option_logprobs(scores, self._rows)
        for i, (row, finite) in enumerate(zip(self._rows, finite_rows(scores), strict=True)):
            if not finite and self.broken[i] is None:
                self.broken[i] = self._step
            if finite and row.temperature:
                token = sample(scores[i], row.temperature, self._generators[i].random())
                scores[i] = -torch.inf
                scores[i, token] = 0
        self._step += 1
        return scores


def _cut(
    tokens: list[int],
    row: Row,
    end_ids: frozenset[int],
    broken: int | None,
    logprobs: tuple[float, ...] | None,
) -> Answer:
    """Cut what `generate` gave for a row where that row ends, which others may outlast."""
    kept = tokens[: row.max_new_tokens]
    stop = next((i for i, token in enumerate(kept) if token in end_ids), None)
    n_steps = len(kept) if stop is None else stop + 1
    if broken is not None and broken < n_steps:
        return Answer(kept[:broken], "error")
    return Answer(kept[:stop], "length" if stop is None else "stop", logprobs)


@contextmanager
def _watch_image(net: Net, image_mask: torch.Tensor) -> Iterator[None]:
    """Make sure that the language model reads the image where its tokens are.

    `image_mask` is bool (batch, tokens). A `generate` that loses the pixels would answer from the
    text alone, and say nothing. Raises RunnerError.
    """
    features: list[torch.Tensor] = []
    checked = False

    def keep(module: torch.nn.Module, args: object, output: torch.Tensor) -> None:
        n_tokens = image_mask.sum(-1).tolist()
        check_features(net, n_tokens, output, len(image_mask))  # transformers raises something else
        features.append(output)

    def check(module: torch.nn.Module, args: object, kwargs: dict[str, Any]) -> None:
        nonlocal checked
        if not checked:
            checked = True
            _check_embedded(net, image_mask, features, kwargs.get("inputs_embeds"))

    model: Any = net.model.model
    hooks = [
        model.multi_modal_projector.register_forward_hook(keep),
        model.language_model.register_forward_pre_hook(check, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if not checked:
        raise RunnerError(
            f"{net.info.name}: generate did not call the language model as expected, so that it is "
            "not known what became of the image · use --path fast"
        )


def _check_embedded(
    net: Net,
    image_mask: torch.Tensor,
    features: list[torch.Tensor],
    embeddings: torch.Tensor | None,
) -> None:
    """Raise RunnerError unless `embeddings` hold the one output of the projector, bit for bit."""
    if (
        len(features) != 1
        or embeddings is None
        or not torch.allclose(
            embeddings[image_mask],
            features[0].flatten(0, 1).to(embeddings.dtype),
            rtol=0,
            atol=0,
            equal_nan=True,
        )
    ):
        raise RunnerError(
            f"{net.info.name}: generate does not give the image to the language model · "
            "use --path fast, or another version of transformers"
        )
