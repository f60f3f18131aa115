"""An adapter that PEFT saved, checked as far as is possible without torch: `--adapter`."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.download import HUB_ID, download, find_folder
from vipbench.runners.checkpoints.files import read_json, remote_code, tensor_shapes
from vipbench.schema import Record

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ORIGINAL = "non_lora_trainables.bin"
"""What the original LLaVA code writes beside a LoRA."""
EXTRA = "pip install 'vipbench[peft]'"
PROMPTS = frozenset(
    {
        "PROMPT_TUNING",
        "MULTITASK_PROMPT_TUNING",
        "P_TUNING",
        "PREFIX_TUNING",
        "ADAPTION_PROMPT",
        "CARTRIDGE",
        "CPT",
    }
)
"""Methods of PEFT that put something before the prompt, and change no layer."""
_ELSEWHERE = (
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "peft_version",
    "auto_mapping",
)
"""Keys of a config that do not change what the adapter computes."""


class AdapterInfo(Record):
    """An adapter that has passed every check that needs no model."""

    name: str
    """Folder name, or hub id."""
    path: Path | None
    """The folder that holds it; None: it is in memory."""
    base: str | None = None
    """The checkpoint that it says it was trained on."""
    whole: tuple[str, ...] = ()
    """Modules that it brings as a whole (`modules_to_save`)."""
    digest: str
    """sha256 of its tensors and of what its config says of them."""


def check_adapter(adapter: str) -> AdapterInfo:
    """Check an adapter's folder or hub id (then downloaded).

    Raises:
        RunnerError: there is none, or not one that PEFT saved as safetensors; it puts something
            before the prompt; or PEFT is not installed.
    """
    folder, name = _find(adapter)
    config = read_config(folder)
    if importlib.util.find_spec("peft") is None:
        raise RunnerError(f"--adapter {adapter}: needs peft, not installed here · {EXTRA}")
    if not Path(adapter).expanduser().is_dir():
        folder = download(adapter, (WEIGHTS,), "--adapter")
    weights = folder / WEIGHTS
    if not weights.is_file():
        pickled = sorted(path.name for path in folder.glob("adapter_model.*"))
        held = f"are pickled ({pickled[0]})" if pickled else "are not there"
        raise RunnerError(
            f"{folder}: the adapter's weights {held} · expected {WEIGHTS} · save it again with a "
            "current PEFT (save_pretrained)"
        )
    if not tensor_shapes(weights):
        raise RunnerError(f"{weights}: holds no tensor · expected those of the adapter")
    base = config.get("base_model_name_or_path")
    return AdapterInfo(
        name=name,
        path=folder,
        base=base if isinstance(base, str) and base else None,
        whole=_modules_to_save(folder, config),
        digest=digests.digest([digests.file_digest(weights), facts_of(config)]),
    )


def _modules_to_save(folder: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("modules_to_save") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RunnerError(f"{folder / CONFIG}: modules_to_save is {names!r} · expected names")
    return tuple(names)


def _find(adapter: str) -> tuple[Path, str]:
    """Find an adapter's folder and its name; refuse what is none."""
    folder, name = find_folder(adapter, "--adapter")
    check_not_original(folder)
    if not (folder / CONFIG).is_file():
        whole = (folder / "config.json").is_file()
        advice = "is it a whole model? give it as --model" if whole else "give another folder"
        raise RunnerError(
            f"--adapter {adapter}: has no {CONFIG} · expected a folder that PEFT's "
            f"save_pretrained wrote · {advice}"
        )
    return folder, name


def check_not_original(folder: Path) -> None:
    """Refuse a LoRA of the original LLaVA code, whose other weights are pickled."""
    if (folder / ORIGINAL).exists():
        raise RunnerError(
            f"{folder}: holds a LoRA of the original LLaVA code ({ORIGINAL}) · expected an adapter "
            "that PEFT saved for transformers' model · merge it with that code "
            "(scripts/merge_lora_weights.py), then vipbench convert MERGED OUT"
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Read an adapter's config; refuse what PEFT would import by name, and what is no layer."""
    path = folder / CONFIG
    config = read_json(path)
    if where := (
        remote_code(config) or ("megatron_config" if config.get("megatron_config") else "")
    ):
        raise RunnerError(
            f"{path}: {where} asks for code of other packages · vipbench never runs code that a "
            "checkpoint names · expected an adapter of PEFT itself"
        )
    kind = config.get("peft_type")
    if not isinstance(kind, str):
        raise RunnerError(f"{path}: peft_type is {kind!r} · expected a name such as LORA")
    if kind in PROMPTS:
        raise RunnerError(
            f"{path}: peft_type is {kind}, which puts something before the prompt · expected an "
            "adapter of layers, such as LORA"
        )
    return config


def base_of(adapter: str) -> str:
    """Return the checkpoint that an adapter was trained on; RunnerError where it is not here."""
    folder, _ = _find(adapter)
    config = read_config(folder)
    base = config.get("base_model_name_or_path")
    where = f"{folder / CONFIG}: base_model_name_or_path is {base!r}"
    if not isinstance(base, str) or not base:
        raise RunnerError(
            f"{where} · expected the checkpoint that it was trained on · give --model"
        )
    if config.get("revision"):
        raise RunnerError(
            f"{where} in revision {config['revision']!r} · expected no revision · give the folder "
            "of that snapshot as --model"
        )
    path = Path(base).expanduser()
    if not path.is_dir() and (not HUB_ID.fullmatch(base) or path.parent.is_dir()):
        raise RunnerError(f"{where}, which is not here · give the base as --model")
    return base


def adapter_notes(adapter: AdapterInfo | None, model: str, *, merged: bool) -> tuple[str, ...]:
    """Say that an adapter is at work, and where its config names another base.

    Args:
        adapter: None: there is none.
        model: name of the checkpoint that it is loaded onto.
        merged: whether it is merged, or left beside quantised weights.
    """
    if adapter is None or adapter.path is None:
        return ()
    how = "merged into" if merged else "beside the quantised weights of"
    notes = [f"--adapter {adapter.name}: {how} {model}"]
    named = Path(adapter.base or model).name
    if named != Path(model).name:
        notes.append(f"--adapter {adapter.name}: its config names {named} as its base")
    return tuple(notes)


def facts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an adapter's config changes what it computes."""
    return {key: value for key, value in config.items() if key not in _ELSEWHERE}
