"""The files of a checkpoint, read without running anything: JSON, safetensors headers, digests."""

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from vipbench.errors import RunnerError
from vipbench.files import LFS_POINTER

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_HEADER_ERRORS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    RecursionError,
)
"""What reading raises where safetensors did not write the header."""
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
"""Bits of a number of each dtype that safetensors knows (safetensors/src/tensor.rs, Dtype)."""
_CONSTANTS = ("rotary_emb.inv_freq", ".position_ids")
"""Ends of the names of tensors that follow from the config; old transformers stored them."""
# Files beside the weights that change what a model sees or answers.
_SETTINGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
)


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object, or say which file is broken and where."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # the last for thousands of brackets
        raise RunnerError(f"{path}: cannot be read as JSON ({error}) · fetch it again") from error
    if not isinstance(content, dict):
        raise RunnerError(f"{path}: holds a {type(content).__name__} · expected a JSON object")
    return content


def remote_code(config: dict[str, Any]) -> str:
    """Where in a config an `auto_map` stands, or nothing."""
    left: list[tuple[str, object]] = [("", config)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            if value.get("auto_map"):
                return f"{where}auto_map"
            left += [(f"{where}{key}.", entry) for key, entry in value.items()]
        elif isinstance(value, list):
            left += [(f"{where}{i}.", entry) for i, entry in enumerate(value)]
    return ""


def weight_files(folder: Path) -> Iterator[Path]:
    """Paths of the weights: one safetensors file, or the shards that the index names."""
    if (folder / _WEIGHTS).is_file():
        check_single(folder / _WEIGHTS)
        yield folder / _WEIGHTS
        return
    index = folder / _INDEX
    if not index.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLED)
        if pickled:
            raise RunnerError(
                f"{folder}: the weights are pickled ({pickled[0]}), and unpickling can run any "
                f"code · expected {_WEIGHTS} · save the model again with save_pretrained"
            )
        raise RunnerError(f"{folder}: has no weights · expected {_WEIGHTS} or {_INDEX}")
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise RunnerError(f"{index}: weight_map is missing · expected a mapping tensor: file")
    for name in sorted(set(map(str, shards.values()))):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise RunnerError(f"{index}: weight_map names {name!r} · expected a safetensors file")
        if not (folder / name).is_file():
            raise RunnerError(
                f"{folder / name}: does not exist · {_INDEX} names it · fetch it again"
            )
        yield folder / name


def check_single(path: Path) -> None:
    """Refuse a file of all weights beside shards of weights: nothing says which of them count."""
    shards = sorted(path.parent.glob(f"{path.stem}-*-of-*{path.suffix}"))
    if shards:
        raise RunnerError(
            f"{path.parent}: holds {path.name} and {shards[0].name} ({len(shards)} such) · "
            "expected the weights once, in one file or in shards · remove what is out of date"
        )


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Read names and shapes in a safetensors header, after comparing its size with the file's."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if start.startswith(b"version "):
            raise RunnerError(f"{path}: {LFS_POINTER}")
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise RunnerError(
                f"{path}: is not a whole safetensors file ({size} bytes) · fetch it again"
            )
        try:
            header: dict[str, dict[str, Any]] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = _check_layout(header)
            shapes = {name: list(tensor["shape"]) for name, tensor in header.items()}
        except _HEADER_ERRORS as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
            raise RunnerError(
                f"{path}: broken safetensors header ({reason}) · expected what the format asks for "
                "· fetch it again"
            ) from error
    if 8 + length + end != size:
        raise RunnerError(
            f"{path}: has {size} bytes · its header promises {8 + length + end} · fetch it again"
        )
    return shapes


def _check_layout(header: dict[str, dict[str, Any]]) -> int:
    """Check each tensor of a header, and that they lie without overlap or gap; return their end.

    Raises:
        ValueError: a tensor is not what the format allows. Other errors of `_HEADER_ERRORS`: the
            header is not of the form at all.
    """
    end = 0
    by_start = sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"]))
    for name, tensor in by_start:
        start, stop = tensor["data_offsets"]
        shape, dtype = tensor["shape"], tensor["dtype"]
        if dtype not in _BITS:
            raise ValueError(f"{name} has the dtype {dtype!r}")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"{name} has the shape {shape!r}")
        if type(start) is not int or type(stop) is not int or start != end:
            raise ValueError(f"{name} is at {start!r} to {stop!r}, where {end} comes next")
        if (stop - start) * 8 != math.prod(shape) * _BITS[dtype]:
            raise ValueError(f"{name} has {stop - start} bytes for {shape} numbers of {dtype}")
        end = stop
    return end


def all_shapes(files: Iterable[Path]) -> dict[str, list[int]]:
    """Read the headers of all weight files; RunnerError where a tensor stands in two of them."""
    holders: dict[str, Path] = {}
    shapes: dict[str, list[int]] = {}
    for path in files:
        own = tensor_shapes(path)
        for name in own:
            if name in holders:
                raise RunnerError(
                    f"{path}: holds {name}, as does {holders[name].name} · expected each tensor "
                    "once · remove the files that do not belong here"
                )
            holders[name] = path
        shapes |= own
    return shapes


def is_constant(name: str) -> bool:
    """Whether a tensor is a constant that old versions of transformers stored with the weights."""
    return name.endswith(_CONSTANTS)


def digest(files: Iterable[Path]) -> str:
    """Sha256 over names and contents of files."""
    lines = []
    for path in files:
        status = path.stat()
        digest = _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)
        lines.append(f"{path.name} {digest}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """Sha256 of a file, remembered while it does not change: weights take many seconds to read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_digest(folder: Path) -> str:
    """Sha256 over config, tokenizer, processor and template files, those that there are."""
    return digest(folder / file for file in _SETTINGS if (folder / file).is_file())
