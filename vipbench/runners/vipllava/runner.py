"""The VipLlava runner: greedy, batched, equal in float32 to asking one request at a time.

The image is tokenised around and normalised here rather than by the checkpoint's processor, whose
defaults cut images and differ between versions and machines. On the fast path a batch is padded on
the right and read without an attention mask: causal attention never looks to the right, so that
every row goes through the same kernels as it would alone. One reading of the prompts gives both the
log-probabilities of the option letters and the first token of each answer. The reference path is
transformers' own `generate` on prompts padded on the left; tests hold the two against each other.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
    VipLlavaForConditionalGeneration,
)

from vipbench.errors import RunnerError, nearest
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.checkpoints.loading import check_images, end_ids, inference, load_tokenizer
from vipbench.runners.checkpoints.sizing import ANSWER_TOKENS
from vipbench.runners.contract import RunnerSettings
from vipbench.runners.device import find_device, find_dtype
from vipbench.runners.prompt_formats import PromptEncoder
from vipbench.runners.vipllava.cache import make_room
from vipbench.runners.vipllava.fast import COVERED, DROP_SHARE
from vipbench.runners.vipllava.loading import _load_model, describe_live, drop_unused_layers
from vipbench.runners.vipllava.net import free_memory
from vipbench.runners.vipllava.reference import Steps
from vipbench.runners.vipllava.tokens import Answer, Row, _option_logprobs, sample
from vipbench.schema import AnswerPath, PromptFormat, Request, Response

_log = logging.getLogger(__name__)


class VipLlavaRunner:
    """Answers requests with a VipLlava checkpoint, or with a live model during its training."""

    reads_images = True

    def __init__(
        self,
        model: str | Path | VipLlavaForConditionalGeneration,
        processor: Any = None,
        *,
        prompt_format: PromptFormat | None = None,
        dtype: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        path: AnswerPath = "fast",
        token_budget: int | None = None,
    ) -> None:
        """Load a checkpoint folder or hub id, or wrap a live model, which is not moved or cast.

        Args:
            model: folder, hub id, or live model.
            processor: processor or tokenizer of a live model; not used otherwise.
            prompt_format: default: the one in the checkpoint's `vipbench.json`, else `hf`.
            dtype: float32, float16 or bfloat16; default: float16 on CUDA (as the official loader),
                float32 elsewhere, whatever the weights are stored in.
            device: such as `cuda`, `cuda:1`, `mps`, `cpu`; default: the first of these there is.
            threads: CPU threads that torch uses, process-wide; default: as it is.
            path: `reference` answers through transformers' own `generate`, slower; in float32 the
                answers are the same.
            token_budget: tokens of prompts in a batch, padding included. On a GPU one such batch is
                tried, and the number halved until it fits into memory; `settings` tell what did.

        Raises:
            RunnerError: the checkpoint, dtype, device or path cannot be used, or not even one
                request fits into memory.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        if isinstance(model, str | Path):
            self.info = check_checkpoint(model)
            place = find_device(device)
            number_type = find_dtype(dtype, place)
            tokenizer = load_tokenizer(self.info)
            self.model = _load_model(self.info, number_type, place)
            drop_unused_layers(self.model, self.info.vision_feature_layers)
        else:
            self.info = describe_live(model, processor)
            self.model = model
            tokenizer = getattr(processor, "tokenizer", processor)
        self.image_size: int = self.info.image_size
        self.patch_size: int = self.info.patch_size
        config: Any = self.model.config
        self._image_token_id = int(config.image_token_id)
        self._tokenizer: PreTrainedTokenizerBase = tokenizer
        self._prompts = PromptEncoder(
            tokenizer,
            prompt_format or self.info.hints.prompt_format or "hf",
            image_token_id=self._image_token_id,
            n_image_tokens=self.info.n_image_tokens,
            chat_template=self.info.chat_template,
        )
        self.settings = RunnerSettings(
            model=self.info.name,
            weights=self.info.weights,
            prompt_format=self._prompts.prompt_format,
            dtype=str(self.model.dtype).removeprefix("torch."),
            decoding="greedy",
            device=str(self.model.device),
        )
        self._n_embeddings: int = config.text_config.vocab_size
        self._max_length: int = config.text_config.max_position_embeddings
        self._sliding_window: int | None = getattr(config.text_config, "sliding_window", None)
        self._text_model: str = config.text_config.model_type
        self._said_alone = False
        if path not in get_args(AnswerPath):
            raise RunnerError(f"path {path!r} is not known{nearest(path, get_args(AnswerPath))}")
        if path == "reference" and self._image_token_id >= self._n_embeddings:
            raise RunnerError(
                f"{self.info.name}: the image token {self._image_token_id} lies beyond the model's "
                f"{self._n_embeddings} embeddings, where transformers' generate fails · use --path "
                "fast, or extend the embeddings"
            )
        self.path: AnswerPath = path
        self._end_ids = end_ids(self.model, tokenizer)
        self._mean = torch.tensor(self.info.image_mean, device=self.model.device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.info.image_std, device=self.model.device).view(1, 3, 1, 1)
        self._letters: dict[str, tuple[int, ...]] = {}
        self.n_splits = 0
        """Batches that were split in two because they did not fit into memory."""
        if token_budget is not None and self.model.device.type != "cpu":
            fitting = self.try_budget(token_budget)
            self.settings = self.settings.model_copy(update={"token_budget": fitting})

    def try_budget(self, tokens: int) -> int:
        """Halve a number of tokens until a batch with so many, padding included, fits into memory.

        Raises:
            RunnerError: not even one request fits.
        """
        # A prompt of usual length, and the part of its answer that memory is kept for.
        width = self.info.n_image_tokens + 2 * ANSWER_TOKENS
        ids = [self._image_token_id] * self.info.n_image_tokens
        ids += [0 if self._image_token_id else 1] * (width - len(ids))
        side = self.image_size
        while True:
            n = max(1, tokens // (width - ANSWER_TOKENS))
            rows = [Row(ids, max_new_tokens=2, temperature=0, seed=0)] * n
            try:
                with inference(self.model):
                    self._ask(rows, torch.zeros(n, side, side, 3, dtype=torch.uint8))
            except torch.OutOfMemoryError as error:
                if n == 1:
                    raise self._too_small(width) from error
            else:
                return tokens
            finally:
                free_memory()
            tokens //= 2

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer a batch; one response a request, in order.

        `images` are uint8 (image_size, image_size, 3), RGB, one a request.

        Raises:
            RunnerError: an image is missing or of another shape, or image tokens and features do
                not match.
        """
        if not requests:
            return []
        pixels = self._stack(requests, images)
        rows = [
            Row(
                self.encode(each),
                each.max_new_tokens,
                each.temperature,
                each.seed,
                self.letter_tokens(each.options),
            )
            for each in requests
        ]
        fitting = [i for i, row in enumerate(rows) if len(row.ids) < self._max_length]
        answers = dict.fromkeys(range(len(rows)), Answer([], "error"))
        if fitting:
            with inference(self.model):
                found = self._answer([rows[i] for i in fitting], pixels[fitting])
            answers.update(zip(fitting, found, strict=True))
        return [self._respond(rows[i], answer) for i, answer in answers.items()]

    def prompt(self, request: Request) -> str:
        """Return the whole prompt as text, with one image token."""
        return self._prompts.text(request)

    def encode(self, request: Request) -> list[int]:
        """Return the token ids of a request's prompt, the image token once a feature."""
        ids = self._prompts.encode(request)
        unknown = [i for i in set(ids) - {self._image_token_id} if i >= self._n_embeddings]
        if unknown:
            raise RunnerError(
                f"{self.info.name}: the tokenizer gives id {max(unknown)}, but the model has "
                f"{self._n_embeddings} embeddings · expected a tokenizer made for this model"
            )
        return ids

    def letter_tokens(self, letters: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return the tokens with which an answer that is one bare letter may begin, a tuple each.

        They are what the tokenizer gives for the letter behind the end of the prompt, with and
        without a space between (`▁A` and `A`): an answer is stripped before it is compared. Empty
        where one of the letters has no token of its own.
        """
        for letter in letters:
            if letter not in self._letters:
                self._letters[letter] = tuple(
                    token
                    for token in self._prompts.option_tokens(letter)
                    if token < self._n_embeddings
                    and str(self._tokenizer.decode([token], skip_special_tokens=True)).strip()
                    == letter
                )
        tokens = tuple(self._letters[letter] for letter in letters)
        return tokens if all(tokens) else ()

    def _stack(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> torch.Tensor:
        """Check every image and return uint8 (batch, size, size, 3) on the CPU."""
        check_images(self.info.name, requests, images, self.image_size)
        pixels = torch.from_numpy(np.stack(images))
        return pixels.pin_memory() if self.model.device.type == "cuda" else pixels

    def _respond(self, row: Row, answer: Answer) -> Response:
        if len(row.ids) >= self._max_length:
            error = f"the prompt has {len(row.ids)} tokens, the model takes {self._max_length - 1}"
        elif answer.finish == "error":
            error = f"the model's logits are no numbers in {self.settings.dtype}"
        else:
            text = self._tokenizer.decode(
                answer.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            return Response(
                text=str(text),
                n_prompt_tokens=len(row.ids),
                n_new_tokens=len(answer.tokens),
                finish=answer.finish,
                option_logprobs=answer.option_logprobs,
            )
        return Response(error=error, n_prompt_tokens=len(row.ids), finish="error")

    def _answer(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Decode a batch; in halves where it does not fit into memory."""
        if self.path == "fast" and len(rows) > 1 and (reason := self._why_alone(rows)):
            if not self._said_alone:
                _log.warning("%s: requests are asked one at a time", reason)
                self._said_alone = True
            halves = [slice(i, i + 1) for i in range(len(rows))]
        else:
            try:
                return self._ask(rows, pixels)
            except torch.OutOfMemoryError as error:
                if len(rows) == 1:
                    raise self._too_small(len(rows[0].ids)) from error
            # Outside the handler, whose traceback would keep the failed batch in memory.
            free_memory()
            half = len(rows) // 2
            halves = [slice(half), slice(half, None)]
            self.n_splits += 1
            _log.warning("out of memory with %d requests: split in two", len(rows))
        return [answer for part in halves for answer in self._answer(rows[part], pixels[part])]

    def _ask(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Answer a batch that fits into memory."""
        if self.path == "reference":
            return self._generate(rows, pixels)
        return self._decode(rows, pixels)

    def _too_small(self, n_tokens: int) -> RunnerError:
        return RunnerError(
            f"{self.info.name}: out of memory with one request of {n_tokens} tokens on "
            f"{self.model.device} · use a larger device or a 16-bit --dtype"
        )

    def _why_alone(self, rows: list[Row]) -> str | None:
        """Say why rows cannot be read as one padded batch; None: they can."""
        if self._text_model not in COVERED:
            return f"batches of a {self._text_model} are not known to answer like single requests"
        longest = max(len(row.ids) + row.max_new_tokens for row in rows)
        if self._sliding_window and longest > self._sliding_window:
            # It counts padding too, so that padded rows would see less than alone.
            return (
                f"{longest} tokens do not fit into the attention window of {self._sliding_window}"
            )
        return None

    def _decode(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Prefill once, then decode token by token, dropping rows as they finish."""
        device = self.model.device
        lengths = torch.tensor([len(row.ids) for row in rows], device=device)
        logits, cache = self._prefill(rows, pixels, lengths)
        make_room(cache)
        logprobs = _option_logprobs(logits, rows)
        width = max(len(row.ids) for row in rows)
        # True where the cache holds a token of the row; what is padding stays a hole in it.
        seen = torch.arange(width, device=device) < lengths[:, None]
        positions = lengths
        padded = not bool(seen.all())
        draws = {
            i: np.random.Generator(np.random.PCG64(row.seed))
            for i, row in enumerate(rows)
            if row.temperature
        }
        tokens: list[list[int]] = [[] for _ in rows]
        finish: dict[int, Literal["stop", "length", "error"]] = {}
        alive = list(range(len(rows)))
        while True:
            finite = torch.isfinite(logits.float().max(-1).values).tolist()
            chosen = logits.argmax(-1)
            for place, i in enumerate(alive):
                if i in draws and finite[place]:
                    chosen[place] = sample(logits[place], rows[i].temperature, draws[i].random())
            for place, (i, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
                if i in finish:
                    continue
                if not finite[place]:
                    finish[i] = "error"
                elif token in self._end_ids:
                    finish[i] = "stop"
                else:
                    tokens[i].append(token)
                    if len(tokens[i]) == rows[i].max_new_tokens:
                        finish[i] = "length"
            keep = [place for place, i in enumerate(alive) if i not in finish]
            if not keep:
                return [Answer(tokens[i], finish[i], logprobs[i]) for i in range(len(rows))]
            if len(alive) - len(keep) >= DROP_SHARE * len(alive):
                kept = torch.tensor(keep, device=device)
                cache.batch_select_indices(kept)
                seen, positions, chosen = seen[kept], positions[kept], chosen[kept]
                alive = [alive[place] for place in keep]
            seen = torch.nn.functional.pad(seen, (0, 1), value=True)
            output = self.model.model.language_model(
                input_ids=chosen[:, None],
                attention_mask=seen.long() if padded else None,
                position_ids=positions[:, None],
                past_key_values=cache,
                use_cache=True,
            )
            positions = positions + 1
            logits = self.model.lm_head(output.last_hidden_state[:, -1])

    def _prefill(
        self, rows: list[Row], pixels: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, Any]:
        """Read prompts and images; return logits after each row's last token, and the cache."""
        model = self.model
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
        ids = ids.to(model.device)
        image_places = (ids == self._image_token_id) & (
            torch.arange(width, device=model.device) < lengths[:, None]
        )
        features = model.model.get_image_features(pixel_values=self.normalise(pixels)).pooler_output
        self._check_features(image_places, features)
        # The image token may lie beyond the embeddings (as in checkpoints of transformers 4.37).
        embeddings = model.get_input_embeddings()(ids.masked_fill(image_places, 0))
        features = features.to(embeddings.device, embeddings.dtype)
        embeddings = embeddings.masked_scatter(image_places[..., None], features)
        last = torch.arange(len(rows), device=model.device), lengths - 1
        with self._last_layer_read(last):
            output = model.model.language_model(inputs_embeds=embeddings, use_cache=True)
        return model.lm_head(output.last_hidden_state[last]), output.past_key_values

    @contextmanager
    def _last_layer_read(self, last: tuple[torch.Tensor, torch.Tensor]) -> Iterator[None]:
        """Let the last layer compute nothing that nobody reads.

        Of its output only `last`, (batch,) rows and (batch,) places, is read. So what attention
        gave is cut to that before it goes on, and so is what the MLP gets: (batch, 1, width), which
        is added to every place of the residual, and right at that one. Keys and values are whole.
        """
        if self._text_model not in COVERED:
            yield
            return

        def cut(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
            return (inputs[0][last][:, None],)

        layer: Any = self.model.model.language_model.layers[-1]
        parts = (layer.self_attn.o_proj, layer.mlp)
        hooks = [part.register_forward_pre_hook(cut) for part in parts]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _check_features(self, image_places: torch.Tensor, features: torch.Tensor) -> None:
        """Raise RunnerError unless each row (batch, width) has one image token a feature."""
        per_row = sorted(set(image_places.sum(-1).tolist()))
        if per_row != [features.shape[1]] or len(features) != len(image_places):
            raise RunnerError(
                f"{self.info.name}: prompts hold {per_row} image tokens, the vision tower gives "
                f"{len(features)} x {features.shape[1]} features for {len(image_places)} prompts · "
                "expected equal numbers"
            )

    def _generate(self, rows: list[Row], pixels: torch.Tensor) -> list[Answer]:
        """Answer a batch through transformers' `generate`, padded on the left: the reference."""
        model: Any = self.model
        width = max(len(row.ids) for row in rows)
        padding = int(self._image_token_id == 0)  # anything but an image token
        ids = torch.tensor([[padding] * (width - len(row.ids)) + row.ids for row in rows])
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows])
        steps = Steps(rows)
        settings = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers' own
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(row.max_new_tokens for row in rows),
            eos_token_id=sorted(self._end_ids) or None,
            pad_token_id=padding,
        )
        with self._image_watched(ids.to(model.device) == self._image_token_id):
            then = model.generation_config
            # Replaced, since what a checkpoint sets there (a penalty, a top-p) would be added.
            model.generation_config = settings
            try:
                output = model.generate(
                    input_ids=ids.to(model.device),
                    attention_mask=mask.to(model.device),
                    pixel_values=self.normalise(pixels),
                    logits_processor=LogitsProcessorList([steps]),
                )
            finally:
                model.generation_config = then
        return [
            self._read(tokens, row, broken, logprobs)
            for tokens, row, broken, logprobs in zip(
                output[:, width:].tolist(), rows, steps.broken, steps.logprobs, strict=True
            )
        ]

    def _read(
        self, tokens: list[int], row: Row, broken: int | None, logprobs: tuple[float, ...] | None
    ) -> Answer:
        """Cut what `generate` gave for a row where that row ends, which others may outlast."""
        kept = tokens[: row.max_new_tokens]
        stop = next((i for i, token in enumerate(kept) if token in self._end_ids), None)
        n_steps = len(kept) if stop is None else stop + 1
        if broken is not None and broken < n_steps:
            return Answer(kept[:broken], "error")
        return Answer(kept[:stop], "length" if stop is None else "stop", logprobs)

    @contextmanager
    def _image_watched(self, image_places: torch.Tensor) -> Iterator[None]:
        """Make sure that the language model reads the image where its tokens are.

        `image_places` is bool (batch, width). A `generate` that loses the pixels would answer from
        the text alone, and say nothing. Raises RunnerError.
        """
        seen: list[torch.Tensor] = []
        checked: list[bool] = []

        def keep(module: torch.nn.Module, args: object, output: torch.Tensor) -> None:
            self._check_features(image_places, output)  # transformers' own error is no RunnerError
            seen.append(output)

        def check(module: torch.nn.Module, args: object, kwargs: dict[str, Any]) -> None:
            if checked:
                return
            checked.append(True)
            embeddings: torch.Tensor | None = kwargs.get("inputs_embeds")
            if (
                len(seen) != 1
                or embeddings is None
                or not torch.allclose(
                    embeddings[image_places],
                    seen[0].flatten(0, 1).to(embeddings.dtype),
                    rtol=0,
                    atol=0,
                    equal_nan=True,
                )
            ):
                raise RunnerError(
                    f"{self.info.name}: generate does not give the image to the language model · "
                    "use --path fast, or another version of transformers"
                )

        model: Any = self.model.model
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
                f"{self.info.name}: generate did not call the language model as expected, so that "
                "nobody knows what became of the image · use --path fast"
            )

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn uint8 (batch, size, size, 3) into the vision tower's (batch, 3, size, size).

        In float32 on the model's device, then cast to the model's dtype.
        """
        values = pixels.to(self.model.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        return ((values - self._mean) / self._std).to(self.model.dtype)
