"""The VipLlava runner: batched, and equal in float32 to asking one request at a time.

The image is tokenised around and normalised here rather than by the checkpoint's processor, whose
defaults cut images and differ between versions and machines. There are two paths to an answer,
`fast.py` and `reference.py`; tests hold the one against the other.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from transformers import VipLlavaForConditionalGeneration

from vipbench.errors import RunnerError, nearest
from vipbench.runfolder.margin import is_at_an_edge
from vipbench.runfolder.sharing import Readings
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.checkpoints.loading import check_images, inference
from vipbench.runners.contract import RunnerSettings
from vipbench.runners.device import Placement, find_placement
from vipbench.runners.memory import free_memory, out_of_memory
from vipbench.runners.vipllava import fast, reference
from vipbench.runners.vipllava.budget import find_fitting_budget
from vipbench.runners.vipllava.loading import load, wrap
from vipbench.runners.vipllava.model_sizes import sizes_of
from vipbench.runners.vipllava.net import Net
from vipbench.runners.vipllava.packed import can_pack
from vipbench.runners.vipllava.shared import (
    count_readings,
    find_tree,
    number_pictures,
)
from vipbench.runners.vipllava.tokens import Answer, Row, encode, letter_tokens
from vipbench.schema import AnswerPath, PromptFormat, Quantize, Request, Response

LOGPROB_ERROR = 3e-5
"""By how much a batch may change the distance of two options' log-probabilities in float32, above
what was ever seen (docs/performance.md)."""

_log = logging.getLogger(__name__)


class VipLlavaRunner:
    """Answers requests with a VipLlava checkpoint, or with a live model during its training."""

    reads_images = True
    shares = False
    """Whether what requests of a batch have in common is read once; set by whoever plans batches
    for it. The reference path never does."""

    def __init__(
        self,
        model: str | Path | VipLlavaForConditionalGeneration,
        processor: Any = None,
        *,
        prompt_format: PromptFormat | None = None,
        dtype: str | None = None,
        device: str | None = None,
        placement: Placement | None = None,
        threads: int | None = None,
        path: AnswerPath = "fast",
        token_budget: int | None = None,
        base: str | None = None,
        adapter: str | None = None,
        quantize: Quantize | None = None,
    ) -> None:
        """Load a checkpoint folder or hub id, or wrap a live model, which is not moved or cast.

        Args:
            model: folder, hub id, or live model.
            processor: processor or tokenizer of a live model; not used otherwise.
            prompt_format: default: the one in the checkpoint's `vipbench.json`, else `hf`.
            dtype: float32, float16 or bfloat16; default: float16 on CUDA (as the official loader),
                float32 elsewhere, whatever the weights are stored in.
            device: such as `cuda`, `cuda:1`, `mps`, `cpu`; default: the first of these there is.
            placement: both of them, resolved; the two above are not looked at then.
            threads: CPU threads that torch uses, process-wide; default: as it is.
            path: `reference` answers through transformers' own `generate`, slower; in float32 the
                answers are the same.
            token_budget: tokens of prompts in a batch, padding included. On a GPU one such batch is
                tried, and the number halved until it fits into memory; `settings` has the result.
            base: checkpoint that lends tokenizer, processor, chat template and `vipbench.json` to
                a folder or hub id that lacks them.
            adapter: folder or hub id of an adapter that PEFT saved, which is loaded onto it.
            quantize: `int8` or `int4`, by bitsandbytes.

        Raises:
            RunnerError: the checkpoint, dtype, device or path cannot be used, or not even one
                request fits into memory.
        """
        if path not in get_args(AnswerPath):
            raise RunnerError(f"path {path!r} is unknown{nearest(path, get_args(AnswerPath))}")
        if threads is not None:
            torch.set_num_threads(threads)
        if isinstance(model, str | Path):
            placement = placement or find_placement(device, dtype)
            info = check_checkpoint(model, base, adapter, quantize)
            self.net = load(info, placement, prompt_format)
        else:
            self.net = wrap(model, processor, prompt_format)
        if path == "reference":
            reference.check_embeddings(self.net)
        self.path: AnswerPath = path
        self.image_size: int = self.info.image_size
        self.patch_size: int = self.info.patch_size
        self.n_splits = 0
        """Batches that were split in two because they did not fit into memory."""
        self.readings = Readings()
        """What was asked to be read and what was, while it `shares`."""
        self._sizes = sizes_of(self.net.model.config)
        self._letter_tokens: dict[str, tuple[int, ...]] = {}
        self._warned_alone = False
        if token_budget is not None:
            # A CPU has no memory of its own to try.
            token_budget = None if self.net.device.type == "cpu" else self.try_budget(token_budget)
        self.settings = _describe(self.net, token_budget)

    @property
    def info(self) -> CheckpointInfo:
        """The checkpoint."""
        return self.net.info

    @property
    def model(self) -> VipLlavaForConditionalGeneration:
        """The model that answers."""
        return self.net.model

    def try_budget(self, n_tokens: int) -> int:
        """Halve a number of tokens until a batch of that many, padding included, fits into memory.

        Raises:
            RunnerError: not even one request fits.
        """
        return find_fitting_budget(self.net, self._decode, n_tokens)

    def prompt(self, request: Request) -> str:
        """Return the whole prompt as text, with one image token."""
        return self.net.prompts.text(request)

    def encode(self, request: Request) -> list[int]:
        """Return the token ids of a request's prompt, the image token once a feature."""
        return encode(self.net, request)

    def letter_tokens(self, letters: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return the tokens of each option letter; empty where one has no token of its own."""
        for letter in letters:
            if letter not in self._letter_tokens:
                self._letter_tokens[letter] = letter_tokens(self.net, letter)
        by_letter = tuple(self._letter_tokens[letter] for letter in letters)
        return by_letter if all(by_letter) else ()

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer a batch; one response a request, in order.

        `images` are uint8 (image_size, image_size, 3), RGB, one a request.

        Raises:
            RunnerError: an image is missing or of another shape, or image tokens and features do
                not match.
        """
        if not requests:
            return []
        check_images(self.info.name, requests, images, self.image_size)
        pixels = torch.from_numpy(np.stack(images))
        if self.net.device.type == "cuda":
            pixels = pixels.pin_memory()
        pictures: Sequence[int | None] = [None] * len(requests)
        if self.shares and self.path == "fast":
            pictures = number_pictures(images)
        rows = list(map(self._make_row, requests, pictures))
        longest = self.net.max_length
        fitting = [i for i, row in enumerate(rows) if len(row.ids) < longest]
        answers: dict[int, Answer] = {}
        if fitting:
            with inference(self.net.model):
                decoded = self._answer([rows[i] for i in fitting], pixels[fitting])
            answers.update(zip(fitting, decoded, strict=True))
        return [self._respond(row, answers.get(i)) for i, row in enumerate(rows)]

    def _make_row(self, request: Request, picture: int | None) -> Row:
        return Row(
            ids=self.encode(request),
            max_new_tokens=request.max_new_tokens,
            temperature=request.temperature,
            seed=request.seed,
            options=self.letter_tokens(request.options),
            picture=picture,
        )

    def _answer(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Decode a batch; in parts where it cannot be padded, or does not fit into memory."""
        alone = self._why_alone(rows) if len(rows) > 1 else None
        if alone is None:
            try:
                return self._decode(rows, pixels)
            except torch.OutOfMemoryError as error:
                if len(rows) == 1:
                    name, n_tokens = self.info.name, len(rows[0].ids)
                    raise out_of_memory(name, n_tokens, self.net.device) from error
            # Outside the handler, whose traceback would keep the failed batch in memory.
            free_memory()
            half = len(rows) // 2
            parts = [slice(half), slice(half, None)]
            self.n_splits += 1
            _log.warning("out of memory with %d requests: split in two", len(rows))
        else:
            parts = [slice(i, i + 1) for i in range(len(rows))]
            if not self._warned_alone:
                _log.warning("%s: requests are asked one at a time", alone)
                self._warned_alone = True
        return [answer for part in parts for answer in self._answer(rows[part], pixels[part])]

    def _why_alone(self, rows: list[Row]) -> str | None:
        """Say why rows cannot be answered in one batch; None: they can."""
        quantization = self.info.quantization
        if quantization is not None and not quantization.by_token:
            return f"batches of {quantization.words} are not known to answer like single requests"
        return fast.why_alone(self.net, rows) if self.path == "fast" else None

    def _decode(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Answer a batch that fits into memory, on the path that was chosen."""
        if self.path == "reference":
            return reference.generate(self.net, rows, pixels)
        tree = find_tree(rows, self.net.image_token_id) if can_pack(self.net) else None
        answers = fast.decode(self.net, rows, pixels, tree)
        if rows[0].picture is not None:
            self.readings = self.readings.plus(count_readings(rows, tree, self._sizes))
        return self._settle(rows, pixels, answers)

    def _settle(self, rows: list[Row], pixels: torch.Tensor, answers: list[Answer]) -> list[Answer]:
        """Read those again, each alone, of whose options the batch might decide what is kept.

        So that scores do not depend on it, whatever is read once. In 16 bit it decides more.
        """
        if len(rows) == 1 or self.net.dtype != torch.float32:
            return answers
        settled = list(answers)
        for i, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            if answer.option_logprobs and is_at_an_edge(answer.option_logprobs, LOGPROB_ERROR):
                only_first = row._replace(max_new_tokens=1)
                [alone] = fast.decode(self.net, [only_first], pixels[i : i + 1])
                settled[i] = answer._replace(option_logprobs=alone.option_logprobs)
                if row.picture is not None:
                    # Nothing is shared here either way.
                    self.readings = self.readings.plus(count_readings([row], None, self._sizes))
        return settled

    def _respond(self, row: Row, answer: Answer | None) -> Response:
        """Put an answer into words; None: the prompt was too long to be asked."""
        n_prompt = len(row.ids)
        if answer is None:
            limit = self.net.max_length - 1
            error = f"the prompt has {n_prompt} tokens, the model takes {limit}"
            return Response(error=error, n_prompt_tokens=n_prompt, finish="error")
        if answer.finish == "error":
            error = f"the model's logits are NaN or infinite in {self.settings.dtype}"
            return Response(error=error, n_prompt_tokens=n_prompt, finish="error")
        text = self.net.tokenizer.decode(
            answer.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Response(
            text=str(text),
            n_prompt_tokens=n_prompt,
            n_new_tokens=len(answer.tokens),
            finish=answer.finish,
            option_logprobs=answer.option_logprobs,
        )


def _describe(net: Net, token_budget: int | None) -> RunnerSettings:
    return RunnerSettings(
        model=net.info.full_name,
        weights=net.info.weights,
        prompt_format=net.prompts.prompt_format,
        dtype=str(net.dtype).removeprefix("torch."),
        decoding="greedy",
        template_date=net.prompts.template_date,
        adapter=net.info.adapter_digest,
        quantization=net.info.quantized,
        device=str(net.device),
        token_budget=token_budget,
    )
