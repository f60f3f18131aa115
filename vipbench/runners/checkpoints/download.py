"""Where the files of a checkpoint are: in a folder, or in the hub's cache once they are there."""

import re
from pathlib import Path

from vipbench.console import Console, hub_bars
from vipbench.errors import RunnerError, suggested
from vipbench.files import check_regular, reason

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CONFIGS = ("config.json", "adapter_config.json")
"""One of which every checkpoint has; an adapter the second."""
SMALL_FILES = ("*.json", "*.jinja", "*.txt", "*.model")


def find_folder(model: str | Path, what: str = "model") -> tuple[Path, str]:
    """Return the folder with at least the small files of a checkpoint, and its name.

    `what` it is called in messages.
    """
    if re.match("https?://", str(model)):
        raise RunnerError(
            f"{what} {model}: is an address · expected a checkpoint's folder or a hub id; a server "
            f"is asked by --runner openai --base-url {model} --model NAME"
        )
    path = Path(model).expanduser()
    if path.is_dir():
        _check_kinds(path, what)
        return path, path.resolve().name
    if path.exists():
        raise RunnerError(f"{what} {model}: is a file · expected a checkpoint's folder")
    if HUB_ID.fullmatch(str(model)) and not path.parent.is_dir():
        return download(str(model), SMALL_FILES, what), str(model)
    parent = next(p for p in path.absolute().parents if p.is_dir())
    missing = path.absolute().relative_to(parent).parts[0]
    near = suggested(missing, (p.name for p in parent.iterdir() if p.is_dir()))
    raise RunnerError(
        f"{what} {model}: does not exist; looked for {missing!r} in {parent}{near} · expected a "
        "checkpoint's folder or a hub id (owner/name)"
    )


def _check_kinds(folder: Path, what: str) -> None:
    """Refuse pipes and devices, which transformers would read for ever."""
    is_checkpoint = any((folder / name).exists() for name in CONFIGS)
    for path in sorted(folder.iterdir()):
        try:
            check_regular(path)
        except FileNotFoundError:
            continue  # a link that leads nowhere: whoever needs the file says so
        except OSError as error:
            if not is_checkpoint:
                raise RunnerError(
                    f"{what} {folder}: holds no checkpoint (no {CONFIGS[what == '--adapter']}) · "
                    "expected a folder that save_pretrained wrote"
                ) from error
            raise RunnerError(f"{path}: {reason(error)} · expected files and folders") from error


def download(hub_id: str, patterns: tuple[str, ...], what: str = "model") -> Path:
    """Bring files of a hub repository into the hub's cache; weights only as safetensors."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        with hub_bars(hub_id, Console(shows_bars=True)) as bars:
            return Path(snapshot_download(hub_id, allow_patterns=list(patterns), **bars))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())
        raise RunnerError(
            f"{what} {hub_id}: there is no such folder here, and as a hub id it cannot be fetched "
            f"({type(error).__name__}: {reason[:200]}) · expected a checkpoint's folder or an id"
        ) from error
