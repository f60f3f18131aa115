"""The VipLlava runner: greedy, batched, equal in float32 to asking one request at a time.

The image is tokenised around and normalised here rather than by the checkpoint's processor, whose
defaults cut images and differ between versions and machines. A batch is padded on the right and
read without an attention mask: causal attention never looks to the right, so that every row goes
through the same kernels as it would alone.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerBase,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)
from transformers.utils import logging as hf_logging

from vipbench.errors import RunnerError
from vipbench.runners import RunnerSettings
from vipbench.runners.checkpoint import CheckpointInfo, check_checkpoint, image_statistics
from vipbench.runners.device import find_device, find_dtype
from vipbench.runners.prompt_formats import PromptTokenizer, encode_prompt, format_prompt, readable
from vipbench.schema import PromptFormat, Request, Response

__all__ = ["PromptTokenizer", "VipLlavaRunner", "encode_prompt", "format_prompt", "readable"]

# cuDNN's attention is left out: on some GPUs it misreads masks and grouped key-value heads
# (pytorch issues 134001 and 193893).
_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
TOP_K = 50
"""Likeliest tokens that sampling draws from. Source: the default of `generate` in transformers
4.37, which the official loader (`model_vqa_loader_vip.py`) leaves as it is."""
# Finished rows leave the batch once they are this share of it, since copying the cache costs too.
_DROP_SHARE = 0.25

_LOAD_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    ImportError,
    KeyError,
    TypeError,
    AttributeError,
    StrictDataclassError,
)
"""What transformers raises for a config, weights or a tokenizer that it cannot take."""

_log = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One prompt on its way through the model."""

    ids: list[int]
    max_new_tokens: int
    temperature: float
    """0: greedy."""
    seed: int
    """Of the draws, one a token, where the temperature is above 0."""


class _Answer(NamedTuple):
    """New tokens without the end token; finish `error` where the logits are no numbers."""

    tokens: list[int]
    finish: Literal["stop", "length", "error"]


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

        Raises:
            RunnerError: the checkpoint, dtype or device cannot be used.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        if isinstance(model, str | Path):
            self.info = check_checkpoint(model)
            place = find_device(device)
            number_type = find_dtype(dtype, place)
            tokenizer = _load_tokenizer(self.info)
            self.model = _load_model(self.info, number_type, place)
        else:
            self.info = _describe_live(model, processor)
            self.model = model
            tokenizer = getattr(processor, "tokenizer", processor)
        self.image_size: int = self.info.image_size
        self.patch_size: int = self.info.patch_size
        self.prompt_format: PromptFormat = prompt_format or self.info.hints.prompt_format or "hf"
        self.settings = RunnerSettings(
            model=self.info.name,
            weights=self.info.weights,
            prompt_format=self.prompt_format,
            dtype=str(self.model.dtype).removeprefix("torch."),
            decoding="greedy",
            device=str(self.model.device),
        )
        config: Any = self.model.config
        image_token_id = int(config.image_token_id)
        self._tokenizer: PreTrainedTokenizerBase = tokenizer
        self._prompt_tokenizer = PromptTokenizer(
            tokenizer, image_token_id, self.info.n_image_tokens
        )
        self._image_token = str(tokenizer.convert_ids_to_tokens(image_token_id) or "<image>")
        self._n_embeddings: int = config.text_config.vocab_size
        self._max_length: int = config.text_config.max_position_embeddings
        self._sliding_window: int | None = getattr(config.text_config, "sliding_window", None)
        self._end_ids = _end_ids(self.model, tokenizer)
        self._mean = torch.tensor(self.info.image_mean, device=self.model.device).view(1, 3, 1, 1)
        self._std = torch.tensor(self.info.image_std, device=self.model.device).view(1, 3, 1, 1)
        # A template that cannot be used is an error now rather than at the first sample.
        self._format(("?",))

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
            _Row(self.encode(each), each.max_new_tokens, each.temperature, each.seed)
            for each in requests
        ]
        fitting = [i for i, row in enumerate(rows) if len(row.ids) < self._max_length]
        answers = dict.fromkeys(range(len(rows)), _Answer([], "error"))
        if fitting:
            with _inference(self.model):
                found = self._answer([rows[i] for i in fitting], pixels[fitting])
            answers.update(zip(fitting, found, strict=True))
        return [self._respond(rows[i], answer) for i, answer in answers.items()]

    def prompt(self, request: Request) -> str:
        """Return the whole prompt as text, with one image token."""
        return readable(*self._format(request.turns), self._image_token)

    def encode(self, request: Request) -> list[int]:
        """Return the token ids of a request's prompt, the image token once a feature."""
        ids = encode_prompt(self._prompt_tokenizer, *self._format(request.turns))
        unknown = [
            i for i in set(ids) - {self._prompt_tokenizer.image_token_id} if i >= self._n_embeddings
        ]
        if unknown:
            raise RunnerError(
                f"{self.info.name}: the tokenizer gives id {max(unknown)}, but the model has "
                f"{self._n_embeddings} embeddings · expected a tokenizer made for this model"
            )
        return ids

    def _format(self, turns: Sequence[str]) -> tuple[str, str]:
        return format_prompt(
            turns,
            self.prompt_format,
            self._tokenizer,
            self.info.chat_template,
            self._image_token,
        )

    def _stack(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> torch.Tensor:
        """Check every image and return uint8 (batch, size, size, 3) on the CPU."""
        if len(images) != len(requests):
            raise RunnerError(
                f"{self.info.name}: {len(images)} images for {len(requests)} requests · "
                "expected exactly one each"
            )
        shape = (self.image_size, self.image_size, 3)
        for request, image in zip(requests, images, strict=True):
            if image is None:
                raise RunnerError(f"{self.info.name}: sample {request.id} has no image")
            if image.ndim == 4:
                raise RunnerError(
                    f"{self.info.name}: sample {request.id} has {len(image)} images · expected "
                    "one, since the model was not trained for several images in one prompt"
                )
            if image.shape != shape or image.dtype != np.uint8:
                raise RunnerError(
                    f"{self.info.name}: the image of sample {request.id} is {image.dtype} "
                    f"{image.shape} · expected uint8 {shape}"
                )
        return torch.from_numpy(np.stack(images))

    def _respond(self, row: _Row, answer: _Answer) -> Response:
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
            )
        return Response(error=error, n_prompt_tokens=len(row.ids), finish="error")

    def _answer(self, rows: list[_Row], pixels: torch.Tensor) -> list[_Answer]:
        """Decode a batch; in halves where it does not fit into memory."""
        longest = max(len(row.ids) + row.max_new_tokens for row in rows)
        if len(rows) > 1 and self._sliding_window and longest > self._sliding_window:
            # A sliding window counts padding too, so that padded rows would see less than alone.
            halves = [slice(i, i + 1) for i in range(len(rows))]
        else:
            try:
                return self._decode(rows, pixels)
            except torch.OutOfMemoryError as error:
                if len(rows) == 1:
                    raise RunnerError(
                        f"{self.info.name}: out of memory with one request of {len(rows[0].ids)} "
                        f"tokens on {self.model.device} · use a larger device or a 16-bit --dtype"
                    ) from error
            # Outside the handler, whose traceback would keep the failed batch in memory.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            half = len(rows) // 2
            halves = [slice(half), slice(half, None)]
            _log.warning("out of memory with %d requests: split in two", len(rows))
        return [answer for part in halves for answer in self._answer(rows[part], pixels[part])]

    def _decode(self, rows: list[_Row], pixels: torch.Tensor) -> list[_Answer]:
        """Prefill once, then decode token by token, dropping rows as they finish."""
        device = self.model.device
        lengths = torch.tensor([len(row.ids) for row in rows], device=device)
        logits, cache = self._prefill(rows, pixels, lengths)
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
                    chosen[place] = _sample(logits[place], rows[i].temperature, draws[i].random())
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
                return [_Answer(tokens[i], finish[i]) for i in range(len(rows))]
            if len(alive) - len(keep) >= _DROP_SHARE * len(alive):
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
        self, rows: list[_Row], pixels: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, Any]:
        """Read prompts and images; return logits after each row's last token, and the cache."""
        model = self.model
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows])
        ids = ids.to(model.device)
        image_id = self._prompt_tokenizer.image_token_id
        image_places = (ids == image_id) & (
            torch.arange(width, device=model.device) < lengths[:, None]
        )
        features = model.model.get_image_features(pixel_values=self.normalise(pixels)).pooler_output
        per_row = sorted(set(image_places.sum(-1).tolist()))
        if per_row != [features.shape[1]] or len(features) != len(rows):
            raise RunnerError(
                f"{self.info.name}: prompts hold {per_row} image tokens, the vision tower gives "
                f"{len(features)} x {features.shape[1]} features for {len(rows)} prompts · "
                "expected equal numbers"
            )
        # The image token may lie beyond the embeddings (as in checkpoints of transformers 4.37).
        embeddings = model.get_input_embeddings()(ids.masked_fill(image_places, 0))
        features = features.to(embeddings.device, embeddings.dtype)
        embeddings = embeddings.masked_scatter(image_places[..., None], features)
        output = model.model.language_model(inputs_embeds=embeddings, use_cache=True)
        last = torch.arange(len(rows), device=model.device), lengths - 1
        return model.lm_head(output.last_hidden_state[last]), output.past_key_values

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn uint8 (batch, size, size, 3) into the vision tower's (batch, 3, size, size).

        In float32 on the model's device, then cast to the model's dtype.
        """
        values = pixels.to(self.model.device).permute(0, 3, 1, 2).float() / 255
        return ((values - self._mean) / self._std).to(self.model.dtype)


def _sample(logits: torch.Tensor, temperature: float, draw: float) -> torch.Tensor:
    """Return the token (vocabulary,) that a number 0-1 falls on, among the TOP_K likeliest."""
    values, ids = logits.float().topk(min(TOP_K, len(logits)))
    # In float64, which MPS lacks.
    cumulative = torch.softmax(values.cpu().double() / temperature, -1).cumsum(-1)
    place = int(torch.searchsorted(cumulative, draw * float(cumulative[-1]), right=True))
    return ids[min(place, len(ids) - 1)]


@contextmanager
def _inference(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, for as long as it takes; then the model is as it was."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode(), sdpa_kernel(_ATTENTION):
            yield
    finally:
        model.train(training)


@contextmanager
def _no_bar() -> Iterator[None]:
    """Keep transformers' own progress bar off the screen, where the run's is."""
    enabled = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers' own
    try:
        yield
    finally:
        if enabled:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # likewise


def _load_model(
    info: CheckpointInfo, dtype: torch.dtype, device: torch.device
) -> VipLlavaForConditionalGeneration:
    """Load safetensors weights; every tensor that the model needs must be among them."""
    model: VipLlavaForConditionalGeneration
    report: dict[str, Any]
    load: Any = VipLlavaForConditionalGeneration.from_pretrained
    try:
        config = VipLlavaConfig.from_pretrained(str(info.path))
        # Set by the name that all versions know: some read one spelling of the key only.
        config.vision_feature_layers = list(info.vision_feature_layers)
        with _no_bar():
            model, report = load(
                str(info.path),
                config=config,
                dtype=dtype,
                use_safetensors=True,
                attn_implementation="sdpa",
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused below
            )
        model.to(device)  # type: ignore[arg-type]
    except _LOAD_ERRORS as error:
        raise RunnerError(f"{info.path}: cannot be loaded ({_one_line(error)})") from error
    for problem in ("missing_keys", "mismatched_keys", "error_msgs"):
        if report[problem]:
            names = sorted(map(_readable_key, report[problem]))
            raise RunnerError(
                f"{info.path}: {problem.replace('_', ' ')} in the weights: {', '.join(names[:3])} "
                f"({len(names)} in all) · expected every tensor of a VipLlava model"
            )
    if device.type == "cuda":
        # TF32 keeps 10 bits of the mantissa: float32 in name only.
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return model


def _readable_key(key: object) -> str:
    """Write an entry of the loading report: a name, or a name with two shapes."""
    if isinstance(key, tuple) and len(key) == 3:
        name, stored, expected = key
        return f"{name} ({list(stored)}, not {list(expected)})"
    return str(key)


def _load_tokenizer(info: CheckpointInfo) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(str(info.path))
    except _LOAD_ERRORS as error:
        raise RunnerError(
            f"{info.path}: the tokenizer cannot be loaded ({_one_line(error)})"
        ) from error


def _describe_live(model: VipLlavaForConditionalGeneration, processor: Any) -> CheckpointInfo:
    """Describe a model in memory as `check_checkpoint` describes one on disk."""
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if not isinstance(model, VipLlavaForConditionalGeneration):
        raise RunnerError(
            f"model: is a {type(model).__name__} ({kind}) · expected a path, a hub id or a "
            "VipLlavaForConditionalGeneration"
        )
    if processor is None:
        raise RunnerError("model: a live model came without processor · give its processor too")
    vision: Any = model.config.vision_config
    layers: Any = model.config.vision_feature_layers
    image_processor = getattr(processor, "image_processor", None)
    mean, std = image_statistics(getattr(image_processor, "to_dict", dict)())
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(raw.numpy())
    return CheckpointInfo(
        name="live",
        path=None,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        n_image_tokens=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layers=(layers,) if isinstance(layers, int) else tuple(layers),
        image_mean=mean,
        image_std=std,
        chat_template=getattr(processor, "chat_template", None),
        weights=digest.hexdigest(),
        settings="",
    )


def _end_ids(model: VipLlavaForConditionalGeneration, tokenizer: Any) -> frozenset[int]:
    """Tokens that end an answer: the generation config's, else the tokenizer's."""
    ids = model.generation_config.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        return frozenset()
    found = [ids] if isinstance(ids, int) else list(ids)
    if not all(isinstance(each, int) for each in found):
        raise RunnerError(f"model: eos_token_id is {ids!r} · expected the number of a token")
    return frozenset(found)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
