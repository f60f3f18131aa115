"""Turn a checkpoint in the layout of the official ViP-LLaVA code into VipLlava's: `convert`.

Every tensor gets the name that transformers knows. They are read and written one at a time, so that
memory is needed for the largest one, and for one file of the original if its pickle format is old.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tokenizers import AddedToken
from transformers import (
    PreTrainedTokenizerFast,
    VipLlavaConfig,
    VipLlavaForConditionalGeneration,
)

from vipbench.errors import RunnerError
from vipbench.files import locked
from vipbench.runners.checkpoints.checkpoint import Hints
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.conversion.official import (
    Original,
    Tower,
    check_original,
    feature_layers,
    find_tower,
    names_error,
    official_fit,
    open_fetched,
    rename,
    shape_error,
)
from vipbench.runners.conversion.weights import Weights, Written, write_weights
from vipbench.runners.frames import FRAMES
from vipbench.runners.prompt_formats import missing_tokens
from vipbench.schema import Fit, Record

__all__ = ["Conversion", "convert"]

IMAGE_TOKEN, PAD_TOKEN = "<image>", "<pad>"
PAD_TO = 64
"""A vocabulary that grows has a multiple of this many rows, as in the conversions on the hub
(transformers, convert_vipllava_weights_to_hf.py): 32,000 become 32,064."""

_ROPE_THETA = 10_000
"""Base of rotary positions where a config names none (transformers, LlamaConfig, Phi3Config)."""
_EMBEDDINGS = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")
_MARK = ".vipbench-convert"
"""A file in each unfinished folder, by which a later start knows that it may remove it."""

StoredAs = Literal["float16", "float32", "keep"]


class Conversion(Record):
    """What `convert` has written."""

    path: Path
    converted_from: str
    n_tensors: int
    n_bytes: int
    """Of all weights."""
    vision_tower: str
    """Where the vision tower came from: `the original`, a folder or a hub id."""
    hints: Hints


class _Vocabulary(NamedTuple):
    """The tokenizer of the converted checkpoint, and what became of the embeddings."""

    tokenizer: PreTrainedTokenizerFast
    image_id: int
    n_trained: int
    """Rows of the original that are taken over; those after them are new."""
    n_rows: int


def convert(
    original: str | Path,
    out: Path,
    *,
    vision_tower: str | None = None,
    dtype: StoredAs = "keep",
    on_plan: Callable[[int], None] = lambda _: None,
    on_written: Callable[[int], None] = lambda _: None,
) -> Conversion:
    """Write a checkpoint of the official layout as a VipLlava checkpoint that transformers loads.

    Args:
        original: folder or hub id.
        out: new or empty folder; it is there when everything is written, and not before.
        vision_tower: folder or hub id of a CLIP, for an original without a tower; default: the one
            that its configuration stands for. Where the original holds the tower, only the
            configuration of this one is read.
        dtype: how the weights are stored; `keep`: each tensor as it is in the original.
        on_plan: called with the bytes that will be written.
        on_written: called with the bytes of each tensor when it is written.

    Raises:
        RunnerError: the original or the tower cannot be converted, or `out` not be written.
        RunError: another process converts to the same folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunnerError(f"{out}: is not empty · expected a new or an empty folder · name another")
    try:
        source = check_original(original)
        weights = open_fetched(source.folder, str(original))
        names = rename(source, weights)
        tower = find_tower(source, weights, names, vision_tower)
        layers = feature_layers(source, tower.config)
        vocabulary = _extend_vocabulary(source, weights, names)
    except OSError as error:
        raise RunnerError(
            f"{error.filename or original}: cannot be read ({error.strerror or error})"
        ) from error
    config = _make_config(source, tower, layers, vocabulary)
    tensors = _plan(config, source, weights, names, tower, vocabulary, dtype)
    hints = Hints(
        prompt_format=source.language_model.prompt_format,
        fit=official_fit(source.name, source.config),
        converted_from=source.name,
    )
    on_plan(sum(tensor.n_bytes for tensor in tensors))
    part = out.with_name(f"{out.name}.part")
    config.dtype = next(tensor.dtype for tensor in tensors if tensor.name == _EMBEDDINGS[0])
    with _replacing(part, out):
        _write_small_files(part, source, config, layers, vocabulary, tower, hints)
        write_weights(part, tensors, on_written)
    return Conversion(
        path=out,
        converted_from=source.name,
        n_tensors=len(tensors),
        n_bytes=sum(tensor.n_bytes for tensor in tensors),
        vision_tower=tower.name,
        hints=hints,
    )


def _extend_vocabulary(source: Original, weights: Weights, names: Mapping[str, str]) -> _Vocabulary:
    """Load the tokenizer, and add the image token and the padding token where they are missing."""
    n_rows = source.text.vocab_size
    for name in _EMBEDDINGS:
        if name in names:
            stored = weights.stored[names[name]]
            expected = (n_rows, source.text.hidden_size)
            if stored.shape != expected:
                raise shape_error(source.folder, names[name], stored.shape, expected)
    language_model = source.language_model
    tokenizer = load_original_tokenizer(source.folder, fast=language_model.is_loaded_fast)
    if missing := missing_tokens(tokenizer, language_model.tokens):
        raise RunnerError(
            f"{source.folder}: the tokenizer has no {', no '.join(missing)}, which prompt format "
            f"{language_model.prompt_format} needs · expected the tokenizer of "
            f"{language_model.name}, which the configuration stands for"
        )
    vocabulary = tokenizer.get_vocab()
    added = set(tokenizer.get_added_vocab().values())
    ordinary = max((i for i in vocabulary.values() if i not in added), default=-1)
    if ordinary >= n_rows:
        raise RunnerError(
            f"{source.folder}: the tokenizer has ids up to {ordinary}, and the model {n_rows} "
            "embeddings · expected a tokenizer made for this model"
        )
    n_ids = max(vocabulary.values()) + 1
    # In this order: 32000 and 32001, as in the conversions on the hub.
    image_token, pad_token = (
        AddedToken(text, normalized=False, special=True) for text in (IMAGE_TOKEN, PAD_TOKEN)
    )
    tokenizer.add_tokens([image_token], special_tokens=True)
    tokenizer.add_special_tokens({"pad_token": pad_token})
    image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    assert isinstance(image_id, int)
    needed = max(tokenizer.get_vocab().values()) + 1
    if needed == n_ids <= n_rows:
        return _Vocabulary(tokenizer, image_id, n_rows, n_rows)
    # Rows behind the tokenizer's last id were never trained: the official loader cuts them off.
    n_rows = max(n_rows, -(-needed // PAD_TO) * PAD_TO)
    return _Vocabulary(tokenizer, image_id, min(n_ids, source.text.vocab_size), n_rows)


def _make_config(
    source: Original, tower: Tower, layers: list[int], vocabulary: _Vocabulary
) -> VipLlavaConfig:
    text = source.text
    text.vocab_size = vocabulary.n_rows
    text.pad_token_id = vocabulary.tokenizer.pad_token_id
    config = VipLlavaConfig(
        vision_config=tower.config.to_dict(),
        text_config=text.to_dict(),
        image_token_index=vocabulary.image_id,
        image_seq_length=(tower.image_size // tower.patch_size) ** 2,
    )
    # Set by the name that all versions know: some read one spelling of the key only.
    config.vision_feature_layers = layers
    config.architectures = ["VipLlavaForConditionalGeneration"]
    return config


def _plan(
    config: VipLlavaConfig,
    source: Original,
    weights: Weights,
    names: Mapping[str, str],
    tower: Tower,
    vocabulary: _Vocabulary,
    dtype: StoredAs,
) -> list[Written]:
    """Give each tensor of the VipLlava model its source, in the order of the original's files."""
    sources = {new: (weights, old) for new, old in names.items()}
    sources |= {new: (tower.weights, old) for new, old in tower.names.items()}
    expected = dict(_expected(config))
    if missing := sorted(set(expected) - set(sources)):
        raise names_error(source.folder, "missing", missing)
    if unexpected := sorted(set(sources) - set(expected)):
        raise names_error(source.folder, "unexpected", [sources[name][1] for name in unexpected])
    tensors = []
    for new, (held, old) in sources.items():
        stored = held.stored[old]
        kept = None
        if new in _EMBEDDINGS:
            kept = vocabulary.n_trained
        elif stored.shape != expected[new]:
            raise shape_error(stored.path, old, stored.shape, expected[new])
        kind = stored.dtype if dtype == "keep" else getattr(torch, dtype)
        read = partial(_read, held, old, kind, kept, expected[new][0])
        tensors.append((stored.path, Written(new, expected[new], kind, read)))
    # One file of the original after the other: an old pickle is read as a whole.
    return [tensor for _, tensor in sorted(tensors, key=lambda pair: (str(pair[0]), pair[1].name))]


def _expected(config: VipLlavaConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of a VipLlava's tensors, the names as transformers 4.37 wrote them.

    All later versions read those, too.
    """
    with torch.device("meta"):
        model = VipLlavaForConditionalGeneration(config)
    for name, tensor in model.state_dict().items():
        part = name.removeprefix("model.")
        if part.startswith("vision_tower."):
            rest = part.removeprefix("vision_tower.").removeprefix("vision_model.")
            part = f"vision_tower.vision_model.{rest}"
        elif part.startswith("language_model."):
            part = part.replace("language_model.", "language_model.model.", 1)
        elif part.startswith("lm_head."):
            part = f"language_model.{part}"
        yield part, tuple(tensor.shape)


def _read(
    weights: Weights, name: str, dtype: torch.dtype, n_trained: int | None, n_rows: int
) -> torch.Tensor:
    """Read one tensor as it will be written; an embedding gets the rows that it lacks.

    A new row is the mean of all trained ones. Features take the place of the image token's
    embedding, and padding is never read. In the last layer, a new token's logit is then the mean
    of all logits: it cannot be the highest, so that greedy decoding never says a new token. Rows of
    zeros would not do: their logit, 0, is the highest where all others are negative.
    """
    tensor = weights.read(name)
    if n_trained is not None and n_trained < n_rows:
        trained = tensor[:n_trained]
        # In parts, for a copy in 64 bit would be several times as large as the tensor.
        total = sum(
            (part.double().sum(0) for part in torch.split(trained, 1024)),
            torch.zeros(tensor.shape[1], dtype=torch.float64),
        )
        mean = (total / n_trained).to(tensor.dtype)
        tensor = torch.cat([trained, mean.expand(n_rows - n_trained, -1)])
    converted = tensor.to(dtype)
    if converted.dtype != tensor.dtype and not bool(torch.isfinite(converted).all()):
        raise RunnerError(
            f"{weights.stored[name].path}: {name} has values that {dtype} cannot hold, or that are "
            "NaN or infinite · use --dtype keep or float32"
        )
    return converted


def _write_small_files(
    folder: Path,
    source: Original,
    config: VipLlavaConfig,
    layers: list[int],
    vocabulary: _Vocabulary,
    tower: Tower,
    hints: Hints,
) -> None:
    """Write everything but the weights."""
    config.save_pretrained(folder)
    content = read_json(folder / "config.json")
    # Versions of transformers before 5.23 know the second name, later ones the first.
    content |= {"vision_feature_layer": layers, "vision_feature_layers": layers}
    theta = content["text_config"].get("rope_parameters", {}).get("rope_theta", _ROPE_THETA)
    if theta != _ROPE_THETA:
        # Under its old name too: transformers 4 reads no other, and would take the usual one.
        content["text_config"]["rope_theta"] = theta
    _write_json(folder / "config.json", content)
    tokenizer = vocabulary.tokenizer
    # No save_pretrained: `tokenizers` raises a bare Exception where the disk is full.
    (folder / "tokenizer.json").write_text(
        tokenizer.backend_tokenizer.to_str(pretty=True) + "\n", encoding="utf-8"
    )
    _write_json(
        folder / "tokenizer_config.json",
        {
            **{str(name): str(token) for name, token in tokenizer.special_tokens_map.items()},
            "padding_side": "left",
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )
    template = source.folder / "chat_template.jinja"
    if template.is_file():
        shutil.copyfile(template, folder / template.name)
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": _end_ids(source, tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
        },
    )
    _write_json(folder / "preprocessor_config.json", _image_processor(tower, hints.fit))
    _write_json(
        folder / "processor_config.json",
        {
            "image_token": IMAGE_TOKEN,
            "num_additional_image_tokens": 1,
            "patch_size": tower.patch_size,
            "processor_class": "LlavaProcessor",
            "vision_feature_select_strategy": "default",
        },
    )
    _write_json(folder / "vipbench.json", hints.model_dump(mode="json"))


def _image_processor(tower: Tower, fit: Fit | None) -> dict[str, object]:
    """Settings for who uses transformers' own processor: it fits images as the checkpoint asks."""
    size = tower.image_size
    square = {"height": size, "width": size}
    return {
        "crop_size": square,
        "do_center_crop": fit == "crop",
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": tower.mean,
        "image_std": tower.std,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": square if fit == "squash" else {"shortest_edge": size},
        **(
            {"image_processor_type": "LlavaImageProcessor", "do_pad": True}
            if fit == "pad"
            else {"image_processor_type": "CLIPImageProcessor"}
        ),
    }


def _end_ids(source: Original, tokenizer: PreTrainedTokenizerFast) -> object:
    """Tokens that end an answer: the original's generation config's, its config's, or EOS.

    With a frame, they are also EOS and the token that ends a turn, as in the official scripts.
    """
    ids = _own_end_ids(source, tokenizer)
    frame = FRAMES.get(source.language_model.prompt_format)
    if frame is None:
        return ids
    own = ids if isinstance(ids, list) else [ids]
    return sorted({*own, tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(frame.end_token)})


def _own_end_ids(source: Original, tokenizer: PreTrainedTokenizerFast) -> Any:
    path = source.folder / "generation_config.json"
    for content in (read_json(path) if path.is_file() else {}, source.config):
        ids = content.get("eos_token_id")
        if type(ids) is int or (isinstance(ids, list) and all(type(i) is int for i in ids) and ids):
            return ids
    return tokenizer.eos_token_id


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _replacing(part: Path, out: Path) -> Iterator[None]:
    """Give an empty folder that takes the name `out` at the end, and is removed after a failure."""
    if part.exists() and (
        not part.is_dir() or (any(part.iterdir()) and not (part / _MARK).is_file())
    ):
        raise RunnerError(f"{part}: is in the way, and is not an unfinished conversion · remove it")
    with locked(part):
        done = False
        try:
            for path in part.iterdir():
                if path.name != _MARK:
                    path.unlink()
            (part / _MARK).touch()
            yield
            for path in part.iterdir():
                _sync(path)
            part.replace(out)
            _sync(out.absolute().parent)
            (out / _MARK).unlink()
            done = True
        except OSError as error:
            raise RunnerError(
                f"{error.filename or part}: cannot be read or written "
                f"({error.strerror or error}) · {out} was not made, and nothing was left behind · "
                "make room, or name another folder"
            ) from error
        finally:
            if not done:
                _remove(part)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk before its new name is."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
