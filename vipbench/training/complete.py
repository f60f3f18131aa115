"""Whether a checkpoint has been written to its end, told by its files alone."""

import contextlib
from pathlib import Path

from vipbench.errors import RunnerError
from vipbench.report.names import step_of
from vipbench.runners.checkpoints.adapters import CONFIG, WEIGHTS
from vipbench.runners.checkpoints.files import read_json, tensor_shapes, weight_files

INDEX = "model.safetensors.index.json"
Signature = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of each file."""


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the folders right below one that hold a checkpoint, or the beginning of one.

    In the order of their training steps, then by name. Hidden folders are left out, and those
    that a training writes to before it renames them (`tmp-…`, `….tmp`).
    """
    found = [
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "tmp-"))
        and not path.name.endswith((".tmp", ".part"))
        and _has_any(path)
    ]

    def order(path: Path) -> tuple[int, str]:
        step = step_of(path.name)
        return (-1 if step is None else step, path.name)

    return sorted(found, key=order)


def _has_any(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", CONFIG, INDEX)) or any(
        folder.glob("*.safetensors")
    )


def is_adapter(folder: Path) -> bool:
    """Say whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def why_incomplete(folder: Path) -> str | None:
    """Say what a checkpoint still lacks; None: its config and all of its weights are there, whole.

    The weights are one file, or every shard that the index names with every tensor that it names;
    a safetensors file is whole where it is as long as its header says.
    """
    try:
        if is_adapter(folder):
            read_json(folder / CONFIG)
            if not (folder / WEIGHTS).is_file():
                return f"{folder / WEIGHTS}: does not exist"
            tensor_shapes(folder / WEIGHTS)
            return None
        if not (folder / "config.json").is_file():
            return f"{folder / 'config.json'}: does not exist"
        read_json(folder / "config.json")
        held = {name for path in weight_files(folder) for name in tensor_shapes(path)}
        if (folder / INDEX).is_file():
            named = set(read_json(folder / INDEX).get("weight_map", {}))
            if missing := sorted(named - held):
                return f"{folder}: {missing[0]} is in no shard yet ({len(missing)} such)"
    except RunnerError as error:
        return str(error)
    except OSError as error:  # removed or renamed meanwhile
        return f"{error.filename or folder}: {error.strerror or error}"
    return None


def signature(folder: Path) -> Signature:
    """Return what changes while a folder is written to."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # the training removes old checkpoints
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((path.name, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
