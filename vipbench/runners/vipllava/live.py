"""What a model in memory lacks: the processor that a base lends, and the hints of its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vipbench import digests
from vipbench.runners.checkpoints.checkpoint import Hints, chat_template, processor_of, read_hints
from vipbench.runners.checkpoints.download import find_folder
from vipbench.runners.checkpoints.lending import HINTS, TEMPLATE_FILES
from vipbench.runners.checkpoints.parts import TEMPLATE, TOKENIZER, digest_files
from vipbench.runners.checkpoints.tokenizer_files import PROCESSOR, check_tokenizer


@dataclass(frozen=True)
class _ImageSettings:
    """What is looked at of an image processor."""

    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.settings


@dataclass(frozen=True)
class LentProcessor:
    """A processor of which a base has lent a part, or all."""

    tokenizer: Any
    image_processor: Any
    chat_template: str | None


class LiveLent(NamedTuple):
    """What a base lends to a model in memory."""

    processor: Any
    """With what was lent."""
    parts: tuple[str, ...]
    """What was lent, in words."""
    digest: str | None
    """Of the lent files that an answer depends on; None: there is none."""


def find_hints(model: Any, base: str | None) -> tuple[Hints, str]:
    """Find how a model in memory wants to be asked, and where that stands in words.

    By the base that the user names, else by the folder that the model was loaded from.
    """
    if base is not None:
        folder, name = find_folder(base, "--base")
        if (folder / HINTS).is_file():
            return read_hints(folder), f"{HINTS} of {name}, by --base"
    origin = getattr(getattr(model, "config", None), "_name_or_path", "") or ""
    folder = Path(str(origin))
    if origin and (folder / HINTS).is_file():
        return read_hints(folder), f"{HINTS} of {folder.resolve().name}, the model's folder"
    return Hints(), HINTS


def unwrapped(model: Any) -> Any:
    """Return the model inside of a PeftModel, with its adapter at work; any other as it is."""
    from vipbench.runners.checkpoints.adapting import unwrap  # loads torch

    return unwrap(model)


def lend_live(base: str, processor: Any) -> LiveLent:
    """Put what a processor lacks beside it, from a base; `processor` may be None or a tokenizer.

    Raises:
        RunnerError: the base is not there, or has no tokenizer where one is needed.
    """
    folder, _ = find_folder(base, "--base")
    tokenizer = getattr(processor, "tokenizer", processor)
    image_processor = getattr(processor, "image_processor", None)
    template = getattr(processor, TEMPLATE, None) or getattr(tokenizer, TEMPLATE, None)
    parts: list[str] = []
    names: list[str] = []
    if tokenizer is None:
        check_tokenizer(folder)
        tokenizer = _load_tokenizer(folder)
        parts, names = ["tokenizer"], [*TOKENIZER]
    if image_processor is None and any((folder / name).is_file() for name in PROCESSOR):
        image_processor = _ImageSettings(processor_of(folder))
        parts, names = [*parts, "processor"], [*names, *PROCESSOR]
    if not template:
        template = chat_template(folder) or getattr(tokenizer, TEMPLATE, None)
        if template:
            parts, names = [*parts, "chat template"], [*names, *TEMPLATE_FILES]
    if (folder / HINTS).is_file():
        parts.append(HINTS)
    lent = digest_files(folder, names)
    texts = [lent, template if "chat template" in parts else None]
    return LiveLent(
        LentProcessor(tokenizer, image_processor, template),
        tuple(parts),
        digests.digest(texts) if names else None,
    )


def _load_tokenizer(folder: Path) -> Any:
    from vipbench.runners.checkpoints.loading import load_tokenizer_of  # loads transformers

    return load_tokenizer_of(folder)
