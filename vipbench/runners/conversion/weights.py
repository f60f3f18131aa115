"""Weight files: `open_weights` reads single tensors of a checkpoint, `write_weights` writes them.

Nothing here holds more than one tensor and what one file of the old pickle format needs, however
large the checkpoint is. Pickles are read as plain tensors only (`weights_only`).
"""

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from vipbench.errors import RunnerError
from vipbench.files import LFS_POINTER
from vipbench.runners.checkpoints.files import check_single, is_constant, read_json, tensor_shapes

MAX_SHARD = 4 * 2**30
"""Bytes of tensors in one file that is written; a single larger tensor has a file of its own."""

_CODES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_BROKEN = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError)
"""What `torch.load` raises for a file that is truncated or not one of tensors."""


class Stored(NamedTuple):
    """What a file says about one of its tensors."""

    path: Path
    shape: tuple[int, ...]
    dtype: torch.dtype


class Written(NamedTuple):
    """One tensor that is to be written, and how to get it."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]

    @property
    def n_bytes(self) -> int:
        """Size of the values."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


class Weights:
    """The tensors of a checkpoint; the file that was read last stays open until the next."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Read what the files hold, without the values.

        Raises:
            RunnerError: a file is truncated, holds more than floating-point tensors, or a tensor
                stands in two files.
        """
        self.stored: dict[str, Stored] = {}
        self._path: Path | None = None
        self._tensors: Mapping[str, torch.Tensor] = {}
        for path in files:
            for name, shape, dtype in self._headers(path):
                if name in self.stored:
                    raise RunnerError(
                        f"{path}: holds {name}, as does {self.stored[name].path.name} · expected "
                        "each tensor once · remove the files that do not belong here"
                    )
                self.stored[name] = Stored(path, shape, dtype)

    def read(self, name: str) -> torch.Tensor:
        """Read one tensor, as it is stored."""
        path = self.stored[name].path
        if path.suffix == ".safetensors":
            with _open_safetensors(path) as file:
                tensor: torch.Tensor = file.get_tensor(name)
                return tensor
        return self._load(path)[name]

    def _headers(self, path: Path) -> Iterator[tuple[str, tuple[int, ...], torch.dtype]]:
        if path.suffix == ".safetensors":
            tensor_shapes(path)  # a torn file is found, and called by its fault
            with _open_safetensors(path) as file:
                for name in file.keys():  # noqa: SIM118 (not a mapping)
                    part = file.get_slice(name)
                    dtype = _DTYPES.get(part.get_dtype())
                    if dtype is None and not is_constant(name):
                        raise _not_float(path, name, part.get_dtype())
                    yield name, tuple(part.get_shape()), dtype or torch.float32
            return
        for name, tensor in self._load(path).items():
            if tensor.dtype not in _CODES and not is_constant(name):
                raise _not_float(path, name, str(tensor.dtype))
            yield name, tuple(tensor.shape), tensor.dtype

    def _load(self, path: Path) -> Mapping[str, torch.Tensor]:
        if path != self._path:
            self._tensors = {}  # first the old file goes, then the new one comes
            self._tensors = _load_pickle(path)
            self._path = path
        return self._tensors


def open_weights(folder: Path) -> Weights:
    """Open the weights of a checkpoint's folder: safetensors if there are any, else pickles.

    Raises:
        RunnerError: there are no weights, a file is missing, torn or holds more than tensors.
    """
    try:
        return Weights(weight_files(folder))
    except OSError as error:
        raise RunnerError(f"{folder}: cannot be read ({error.strerror or error})") from error


def weight_files(folder: Path) -> list[Path]:
    """Find the files with weights: the only one, those that an index names, or all parts."""
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        if (folder / f"{stem}{suffix}").is_file():
            check_single(folder / f"{stem}{suffix}")
            return [folder / f"{stem}{suffix}"]
        index = folder / f"{stem}{suffix}.index.json"
        if index.is_file():
            return _indexed(index, suffix)
        if parts := sorted(folder.glob(f"{stem}-*-of-*{suffix}")):
            return parts
    raise RunnerError(
        f"{folder}: has no weights · expected model*.safetensors or pytorch_model*.bin"
    )


def write_weights(
    folder: Path, tensors: Sequence[Written], on_written: Callable[[int], None] = lambda _: None
) -> None:
    """Write tensors in their order as safetensors, with an index where one file is not enough.

    `on_written` is called with the bytes of each tensor when it is written.

    Raises:
        OSError: the disk refuses.
    """
    shards: list[list[Written]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.n_bytes > MAX_SHARD:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.n_bytes
    if len(shards) == 1:
        _write_shard(folder / "model.safetensors", shards[0], on_written)
        return
    files: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(folder / name, shard, on_written)
        files.update({tensor.name: name for tensor in shard})
    index = {
        "metadata": {"total_size": sum(tensor.n_bytes for tensor in tensors)},
        "weight_map": dict(sorted(files.items())),
    }
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _write_shard(path: Path, tensors: Sequence[Written], on_written: Callable[[int], None]) -> None:
    """Write one safetensors file, tensor by tensor: the library's writer takes all at once."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + tensor.n_bytes
        header[tensor.name] = {
            "dtype": _CODES[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": (start, end),
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # values begin at a multiple of 8 bytes
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors:
            values = tensor.read().contiguous()
            assert (tuple(values.shape), values.dtype) == (tensor.shape, tensor.dtype)
            file.write(values.reshape(-1).view(torch.uint8).numpy().data)
            on_written(tensor.n_bytes)


def _indexed(index: Path, suffix: str) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise RunnerError(f"{index}: weight_map is missing · expected a mapping tensor: file")
    files = []
    for name in sorted(set(map(str, names.values()))):
        if Path(name).name != name or not name.endswith(suffix):
            raise RunnerError(f"{index}: weight_map names {name!r} · expected a {suffix} file")
        if not (index.parent / name).is_file():
            raise RunnerError(
                f"{index.parent / name}: does not exist · {index.name} names it · fetch it again"
            )
        files.append(index.parent / name)
    return files


def _open_safetensors(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunnerError(f"{path}: cannot be read ({reason}) · fetch it again") from error


def _load_pickle(path: Path) -> Mapping[str, torch.Tensor]:
    """Load a `.bin` file: mapped into memory, or as a whole where its format is the old one."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == b"version ":
        raise RunnerError(f"{path}: {LFS_POINTER}")
    zipped = zipfile.is_zipfile(path)
    if start.startswith(b"PK") and not zipped:
        raise RunnerError(f"{path}: is truncated ({path.stat().st_size} bytes) · fetch it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise RunnerError(
            f"{path}: is truncated or holds more than tensors, and unpickling that can run any code"
            " · expected plain tensors under their names · fetch it again from a source you trust"
        ) from error
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise RunnerError(
            f"{path}: cannot be read ({type(error).__name__}: {reason}) · fetch it again"
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise RunnerError(
            f"{path}: does not hold plain tensors under their names · expected weights"
        )
    return content


def _not_float(path: Path, name: str, dtype: str) -> RunnerError:
    return RunnerError(
        f"{path}: {name} is stored as {dtype} · expected float32, float16 or bfloat16 · take a "
        "checkpoint that is not quantised"
    )
