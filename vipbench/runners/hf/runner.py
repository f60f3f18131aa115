"""The hf runner: any image-text-to-text model of transformers, asked as its authors ship it.

Its own processor and chat template make the inputs; greedy `generate` on a batch padded on the
left answers. Every request is processed alone and padded here, so that nothing a processor does
can depend on what else is in a batch. Images come as the same fitted square for every model.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from vipbench.errors import RunnerError
from vipbench.images.load import Pixels
from vipbench.runners.checkpoints.checkpoint import ModelInfo, check_model
from vipbench.runners.checkpoints.lending import own_names
from vipbench.runners.checkpoints.loading import (
    LOAD_ERRORS,
    check_images,
    end_ids,
    error_line,
    inference,
    load_model,
    readable_tokenizer,
)
from vipbench.runners.checkpoints.tokenizer_files import tokenizer_errors
from vipbench.runners.contract import RunnerSettings
from vipbench.runners.device import Placement, find_placement
from vipbench.runners.memory import free_memory, out_of_memory
from vipbench.runners.prompt_formats import conversation, special_tokens
from vipbench.runners.templates import ChatTemplate, as_template, choose_template
from vipbench.schema import PromptFormat, Quantize, Request, Response

_GEOMETRY = ("do_resize", "do_center_crop", "do_pad")
"""Settings of image processors that are to do nothing to a fitted image."""
_PROCESSOR_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What processors raise for a conversation that they cannot take."""

_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One request on its way through the model."""

    inputs: dict[str, torch.Tensor]
    """What the processor gave, as a batch of one on the CPU; empty where there is an error."""
    max_new_tokens: int
    error: str | None = None
    """Why the request cannot be asked."""

    @property
    def n_tokens(self) -> int:
        return self.inputs["input_ids"].shape[1] if self.inputs else 0


class _Answer(NamedTuple):
    """New tokens without the end token; finish `error` where the logits are NaN or infinite."""

    tokens: list[int]
    finish: Literal["stop", "length", "error"]


class HfRunner:
    """Answers requests with a checkpoint that `AutoModelForImageTextToText` loads."""

    reads_images = True
    several_images = True

    def __init__(
        self,
        model: str | Path,
        *,
        prompt_format: PromptFormat | None = None,
        dtype: str | None = None,
        device: str | None = None,
        placement: Placement | None = None,
        threads: int | None = None,
        base: str | None = None,
        adapter: str | None = None,
        quantize: Quantize | None = None,
    ) -> None:
        """Load a checkpoint folder or hub id, and ask it one question for a trial.

        Args:
            model: folder or hub id.
            prompt_format: None or `chat_template`.
            dtype: float32, float16 or bfloat16; default: float16 on CUDA, float32 elsewhere.
            device: such as `cuda`, `cuda:1`, `mps`, `cpu`; default: the first of these there is.
            placement: both of them, resolved; the two above are not looked at then.
            threads: CPU threads that torch uses, process-wide; default: as it is.
            base: checkpoint that lends what this one lacks.
            adapter: folder or hub id of an adapter that PEFT saved, which is loaded onto it.
            quantize: `int8` or `int4`, by bitsandbytes.

        Raises:
            RunnerError: the checkpoint, prompt format, dtype or device cannot be used.
        """
        if not isinstance(model, str | Path):
            raise RunnerError(
                f"runner hf: the model is a {type(model).__name__} · expected a checkpoint's "
                "folder or a hub id"
            )
        if threads is not None:
            torch.set_num_threads(threads)
        self.info: ModelInfo = check_model(model, prompt_format, base, adapter, quantize)
        placement = placement or find_placement(device, dtype)
        self.processor = _load_processor(self.info)
        self._template = _find_template(self.info, self.processor)
        self._losses: dict[int, str | None] = {}
        """Turns of a conversation -> what is wrong with how the template writes them."""
        self.model = _load_model(self.info, placement)
        config: Any = self.model.config
        self.image_size: int = self.info.image_size
        self.patch_size: int | None = None
        self.n_splits = 0
        self.settings = RunnerSettings(
            model=self.info.full_name,
            weights=self.info.weights,
            prompt_format="chat_template",
            dtype=str(self.model.dtype).removeprefix("torch."),
            decoding="greedy",
            template_date=self._template.date,
            adapter=self.info.adapter_digest,
            quantization=self.info.quantized,
            device=str(self.model.device),
        )
        tokenizer: Any = self.processor.tokenizer
        self._image_id = _image_id(self.info, config, self.processor)
        self._controls = _controls(self.processor, self._image_id)
        self._end_ids = end_ids(self.model, tokenizer)
        self._max_length: int | None = getattr(
            config.get_text_config(), "max_position_embeddings", None
        )
        self._n_embeddings: int = self.model.get_input_embeddings().weight.shape[0]
        pad = tokenizer.pad_token_id
        self._pad_id: int = min(self._end_ids, default=0) if pad is None else int(pad)
        # The checkpoint's own would bring its sampling and penalties into greedy answers.
        self.model.generation_config = _greedy(self._end_ids, self._pad_id)
        self.n_image_tokens = self._try_out()
        self._n_image_tokens = {1: self.n_image_tokens}
        """Images of a request -> tokens of all of them."""

    def generate(self, requests: Sequence[Request], images: Sequence[Pixels]) -> list[Response]:
        """Answer a batch; one response a request, in order.

        `images` are uint8 (image_size, image_size, 3), RGB, one a request, or a tuple of them
        where it shows several. A request is an error of its own where its text holds a special
        token of the model, which the model could not tell from a real one; where the template
        leaves out a turn; where it is too long.

        Raises:
            RunnerError: an image is missing or of another shape, the model takes no such number
                of images, or an answer is to be sampled.
        """
        check_images(self.info.name, requests, images, self.image_size, several=True)
        for request in requests:
            if request.temperature:
                raise RunnerError(
                    f"runner hf: sample {request.id} is to be sampled at temperature "
                    f"{request.temperature:g} · expected 0, since this runner answers greedily"
                )
        for n in {len(request.all_images) for request in requests} - self._n_image_tokens.keys():
            self._n_image_tokens[n] = self._try_several(n)
        rows = [
            self._encode(request, image if isinstance(image, tuple) else (image,))
            for request, image in zip(requests, images, strict=True)
        ]
        asked = [i for i, row in enumerate(rows) if row.error is None]
        answers: dict[int, _Answer] = {}
        with inference(self.model):
            # Some processors give features by request, of which a batch has equally many.
            for n in sorted({len(requests[i].all_images) for i in asked}):
                alike = [i for i in asked if len(requests[i].all_images) == n]
                answers.update(zip(alike, self._answer([rows[i] for i in alike]), strict=True))
        return [self._respond(row, answers.get(i)) for i, row in enumerate(rows)]

    def prompt(self, request: Request) -> str:
        """Return the whole prompt as the chat template writes it."""
        return self._render(request.turns, len(request.all_images))

    def _render(self, turns: Sequence[str], n_images: int = 1) -> str:
        # Rendered as transformers does, but in bounded time and on the same day.
        part = {"image": "<Image>"}
        messages = conversation(turns, *[part] * n_images)
        return self._template.render(messages, self.processor.tokenizer.special_tokens_map)

    def _encode(self, request: Request, images: tuple[np.ndarray, ...]) -> _Row:
        """Let the processor make the inputs of one request, and check what it made."""
        try:
            fault = self._find_control(request.turns) or self._find_loss(len(request.turns))
            inputs = {} if fault else self._process(request.turns, *images)
        except RunnerError as error:
            fault, inputs = str(error), {}
        except _PROCESSOR_ERRORS as error:
            fault, inputs = f"the processor cannot take it ({error_line(error)})", {}
        row = _Row(inputs, request.max_new_tokens, fault)
        if fault is not None:
            return row
        ids = inputs["input_ids"][0]
        n_image_tokens = int((ids == self._image_id).sum())
        highest = int(ids[ids != self._image_id].max())
        wanted = self._n_image_tokens[len(images)]
        if n_image_tokens != wanted:
            fault = f"the prompt has {n_image_tokens} image tokens, not {wanted}"
        elif highest >= self._n_embeddings:
            fault = f"the tokenizer gives id {highest}, the model has {self._n_embeddings}"
        elif self._max_length is not None and len(ids) >= self._max_length:
            fault = f"the prompt has {len(ids)} tokens, the model takes {self._max_length - 1}"
        return row._replace(error=fault)

    def _find_control(self, turns: Sequence[str]) -> str | None:
        """Name a special token that a text spells out; the tokenizer would take it for one."""
        spelled = (token for token in self._controls for turn in turns if token in turn)
        token = next(spelled, None)
        return None if token is None else f"the text holds {token!r}, a special token of the model"

    def _find_loss(self, n_turns: int) -> str | None:
        """Name a turn of a conversation that the template does not write."""
        if n_turns not in self._losses:
            turns = [f"(turn {i} of {n_turns})" for i in range(1, n_turns + 1)]
            prompt = self._render(turns)
            lost = next((turn for turn in turns if turn not in prompt), None)
            fault = None if lost is None else f"the chat template leaves out a turn {lost}"
            self._losses[n_turns] = fault
        return self._losses[n_turns]

    def _process(self, turns: Sequence[str], *images: np.ndarray) -> dict[str, torch.Tensor]:
        parts = [{"image": Image.fromarray(image)} for image in images]
        inputs = self.processor.apply_chat_template(
            [conversation(turns, *parts)],
            chat_template=as_template(self._render(turns, len(images))),
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
        )
        return {key: value for key, value in inputs.items() if isinstance(value, torch.Tensor)}

    def _answer(self, rows: list[_Row]) -> list[_Answer]:
        """Generate for a batch; in halves where it does not fit into memory.

        One at a time where quantised layers look at all tokens of a batch.
        """
        quantization = self.info.quantization
        if len(rows) > 1 and quantization is not None and not quantization.by_token:
            return [answer for row in rows for answer in self._answer([row])]
        try:
            return self._generate(rows)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                name, n_tokens = self.info.name, rows[0].n_tokens
                raise out_of_memory(name, n_tokens, self.model.device) from error
        # Outside the handler, whose traceback would keep the failed batch in memory.
        free_memory()
        self.n_splits += 1
        _log.warning("out of memory with %d requests: split in two", len(rows))
        half = len(rows) // 2
        return [*self._answer(rows[:half]), *self._answer(rows[half:])]

    def _generate(self, rows: list[_Row]) -> list[_Answer]:
        inputs = self._collate(rows)
        width = inputs["input_ids"].shape[1]
        limits = torch.tensor([row.max_new_tokens for row in rows], device=self.model.device)
        finite = _Finite(min(self._end_ids, default=None))
        output = self.model.generate(
            **inputs,
            max_new_tokens=int(limits.max()),
            logits_processor=LogitsProcessorList([finite]),
            stopping_criteria=StoppingCriteriaList([_OwnLimit(width + limits)]),
        )
        if not torch.equal(output[:, :width], inputs["input_ids"]):
            raise RunnerError(
                f"{self.info.name}: {type(self.model).__name__} returns other tokens than those of "
                "the prompt before the answer · expected a model that continues its prompt"
            )
        answers = []
        for i, (row, tokens) in enumerate(zip(rows, output[:, width:].tolist(), strict=True)):
            kept = tokens[: row.max_new_tokens]
            stop = next((k for k, token in enumerate(kept) if token in self._end_ids), None)
            end = row.max_new_tokens if stop is None else stop + 1
            if finite.failed.get(i, width + end) < width + end:
                answers.append(_Answer([], "error"))
            elif stop is None:
                answers.append(_Answer(kept, "length"))
            else:
                answers.append(_Answer(kept[:stop], "stop"))
        return answers

    def _collate(self, rows: list[_Row]) -> dict[str, torch.Tensor]:
        """Put rows into a batch, those of the prompt's length padded on the left."""
        width = max(row.n_tokens for row in rows)
        batch = {}
        for key in rows[0].inputs:
            parts = []
            for row in rows:
                part = row.inputs[key]
                if part.shape == (1, row.n_tokens):
                    fill = self._pad_id if key == "input_ids" else 0
                    part = torch.nn.functional.pad(part, (width - row.n_tokens, 0), value=fill)
                parts.append(part)
            dtype = self.model.dtype if parts[0].is_floating_point() else None
            batch[key] = torch.cat(parts).to(self.model.device, dtype)
        return batch

    def _respond(self, row: _Row, answer: _Answer | None) -> Response:
        error = row.error
        if answer is not None and answer.finish == "error":
            error = f"the model's logits are NaN or infinite in {self.settings.dtype}"
        if answer is None or error is not None:
            return Response(error=error, n_prompt_tokens=row.n_tokens, finish="error")
        text = self.processor.tokenizer.decode(
            answer.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Response(
            text=str(text),
            n_prompt_tokens=row.n_tokens,
            n_new_tokens=len(answer.tokens),
            finish=answer.finish,
        )

    def _try_out(self) -> int:
        """Ask one question, so that an unusable model is found now; return its image tokens.

        A processor that makes one square of an image has to leave a fitted one as it is; one that
        cuts tiles or patches, of which it needs its resizing, does as it was made to.
        """
        side = self.image_size
        grey = np.full((side, side, 3), 128, np.uint8)
        try:
            pixels = self._process(("?",), grey).get("pixel_values")
            if pixels is not None and pixels.ndim == 4 and pixels.shape[:2] == (1, 3):
                if pixels.shape[2:] != (side, side):
                    raise RunnerError(
                        f"{self.info.name}: images come as squares of {side} px, and the processor "
                        f"makes {pixels.shape[3]} x {pixels.shape[2]} px of them · give image_size "
                        "in the checkpoint's vipbench.json"
                    )
                for name in _GEOMETRY:
                    if hasattr(self.processor.image_processor, name):
                        setattr(self.processor.image_processor, name, False)
                patch = getattr(getattr(self.model.config, "vision_config", None), "patch_size", 0)
                self.patch_size = patch if isinstance(patch, int) and patch > 0 else None
            inputs = self._process(("?",), grey)
            n_image_tokens = int((inputs["input_ids"] == self._image_id).sum())
            if n_image_tokens == 0:
                raise RunnerError(
                    f"{self.info.name}: the chat template places no image · expected a template "
                    "for contents of several parts, image and text"
                )
            with inference(self.model):
                # Raises where the vision tower gives another number of features.
                self._generate([_Row(inputs, 1)])
        except (*LOAD_ERRORS, *_PROCESSOR_ERRORS) as error:
            raise RunnerError(
                f"{self.info.name}: fails at one image and one question ({error_line(error)}) · "
                "expected a model that answers in transformers as it is"
            ) from error
        return n_image_tokens

    def _try_several(self, n: int) -> int:
        """Ask one question about `n` images, and return their tokens; RunnerError if it fails."""
        grey = np.full((self.image_size, self.image_size, 3), 128, np.uint8)
        try:
            inputs = self._process(("?",), *[grey] * n)
            n_image_tokens = int((inputs["input_ids"] == self._image_id).sum())
            if n_image_tokens <= self.n_image_tokens:
                raise RunnerError(
                    f"{self.info.name}: the chat template places {n_image_tokens} image tokens for "
                    f"{n} images, and {self.n_image_tokens} for one · expected a template that "
                    "places each image · ask a model that takes several, or questions about one"
                )
            with inference(self.model):
                self._generate([_Row(inputs, 1)])
        except (*LOAD_ERRORS, *_PROCESSOR_ERRORS) as error:
            raise RunnerError(
                f"{self.info.name}: fails at {n} images and one question ({error_line(error)}) · "
                "expected a model that takes several images in one prompt · ask another one, or "
                "questions about one image"
            ) from error
        return n_image_tokens


class _Finite(LogitsProcessor):
    """Notes rows whose logits are NaN or infinite, and ends them if the model has an end token."""

    def __init__(self, end_id: int | None) -> None:
        self.failed: dict[int, int] = {}
        """Row -> tokens before the first one that could not be chosen."""
        self._end_id = end_id

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        finite = torch.isfinite(scores.float().max(-1).values)
        if bool(finite.all()):
            return scores
        for row in torch.nonzero(~finite).flatten().tolist():
            self.failed.setdefault(row, input_ids.shape[1])
        scores = torch.where(finite[:, None], scores, 0.0)
        if self._end_id is not None:
            scores[~finite, self._end_id] = 1.0
        return scores


class _OwnLimit(StoppingCriteria):
    """Ends each row at its own length, prompt and padding included."""

    def __init__(self, lengths: torch.Tensor) -> None:
        self._lengths = lengths

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        return self._lengths <= input_ids.shape[1]


def _greedy(end_ids: frozenset[int], pad_id: int) -> GenerationConfig:
    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers' own
        do_sample=False, eos_token_id=sorted(end_ids) or None, pad_token_id=pad_id
    )


def _load_processor(info: ModelInfo) -> Any:
    load: Any = AutoProcessor.from_pretrained
    assert info.path is not None
    with (
        own_names(),
        tokenizer_errors(info.path, "processor", LOAD_ERRORS),
        readable_tokenizer(info.path) as folder,
    ):
        processor = load(str(folder), trust_remote_code=False)
        if hasattr(processor, "tokenizer"):
            processor.tokenizer("")  # where a value of tokenizer_config.json is looked at first
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise RunnerError(
            f"{info.path}: its processor is a {type(processor).__name__} · expected one of images "
            "and text"
        )
    return processor


def _find_template(info: ModelInfo, processor: Any) -> ChatTemplate:
    where = f"{info.path}: chat template"
    advice = "correct it"
    own = getattr(processor, "chat_template", None)
    template = choose_template(own, where, advice) or choose_template(
        processor.tokenizer.chat_template, where, advice
    )
    if template is None:
        raise RunnerError(f"{where}: there is none · expected one in chat_template.jinja")
    template.check_repeats(
        template.render(
            conversation(("?",), {"image": "<Image>"}), processor.tokenizer.special_tokens_map
        )
    )
    return template


def _load_model(info: ModelInfo, placement: Placement) -> Any:
    model = load_model(AutoModelForImageTextToText, info, placement, trust_remote_code=False)
    if model.config.is_encoder_decoder:
        raise RunnerError(
            f"{info.name}: {type(model).__name__} is an encoder-decoder · expected a model that "
            "continues its prompt"
        )
    return model


def _image_id(info: ModelInfo, config: Any, processor: Any) -> int:
    """Token that stands for a feature of the image."""
    for owner, name in (
        (config, "image_token_id"),
        (config, "image_token_index"),
        (processor, "image_token_id"),
    ):
        token = getattr(owner, name, None)
        if isinstance(token, int):
            return token
    raise RunnerError(
        f"{info.path}: neither config nor processor names the image token (image_token_id) · "
        "expected a model whose prompt holds the image's features"
    )


def _controls(processor: Any, image_id: int) -> tuple[str, ...]:
    """Texts that the tokenizer or the processor takes for something other than text."""
    texts = set(special_tokens(processor.tokenizer, image_id))
    texts |= {
        value
        for name, value in vars(processor).items()
        if name.endswith(("_token", "_tag")) and isinstance(value, str) and value
    }
    return tuple(sorted(texts))
