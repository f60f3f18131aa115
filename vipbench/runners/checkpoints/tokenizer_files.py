"""The tokenizer's files of a checkpoint: checked before weights are read, named when they fail.

`tokenizers` raises a bare `Exception` for whatever it cannot take; `tokenizer_errors` turns that
and what else loading raises into a RunnerError, and lets all other errors pass.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.files import read_json

LEND = (
    "give the checkpoint that it began with by --base, which lends tokenizer, processor, chat "
    "template and vipbench.json"
)
PROCESSOR = ("preprocessor_config.json", "processor_config.json")
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
_MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")
"""Types of model in a tokenizer.json (tokenizers, `tokenizers.models`)."""


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer, or with a file that shows that it is not one.

    Raises:
        RunnerError: there is no file, or tokenizer.json holds no vocabulary or an unknown type of
            model.
    """
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise RunnerError(
            f"{folder}: has no tokenizer · expected tokenizer.json · where a trainer saved weights "
            f"and config alone, {LEND}"
        )
    if (folder / "tokenizer.json").is_file():
        check_vocabulary(folder)


def check_vocabulary(folder: Path) -> dict[str, Any]:
    """Read tokenizer.json; RunnerError where it is JSON and not a tokenizer."""
    content = read_json(folder / "tokenizer.json")
    model = content.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
        fault = "tokenizer.json: holds no vocabulary"
    elif model.get("type", _MODELS[0]) not in _MODELS:
        fault = f"tokenizer.json: model.type is {model['type']!r}"
    else:
        return content
    raise RunnerError(
        f"{folder}: the tokenizer cannot be loaded ({fault}) · expected a model of type "
        f"{', '.join(_MODELS[:-1])} or {_MODELS[-1]} with its vocab · fetch it again"
    )


def is_model_only(folder: Path) -> bool:
    """Whether a folder has a tokenizer.model, and no file that `tokenizers` reads."""
    return (folder / "tokenizer.model").is_file() and not any(
        (folder / name).is_file() for name in ("tokenizer.json", "vocab.json")
    )


class tokenizer_errors:  # noqa: N801 (a context manager, used like a function)
    """Turn what loading a tokenizer raises, bare `Exception` included, into a RunnerError."""

    def __init__(self, folder: Path, what: str, kinds: tuple[type[BaseException], ...]) -> None:
        """Take the folder and the thing that is loaded, `tokenizer` or `processor`.

        `kinds` are the errors to be turned beside a bare `Exception`.
        """
        self._folder, self._what, self._kinds = folder, what, kinds

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Raise RunnerError where the error is one of a tokenizer."""
        if error is None or isinstance(error, RunnerError):
            return
        # Only the type itself: its subclasses are everything else that can happen.
        if kind is Exception or isinstance(error, self._kinds):
            line = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            lacks = self._what == "processor" and not any(
                (self._folder / name).is_file() for name in PROCESSOR
            )
            raise RunnerError(
                f"{self._folder}: the {self._what} cannot be loaded ({line}) · expected the files "
                "that save_pretrained wrote · "
                + (f"there is no {PROCESSOR[0]}: {LEND}" if lacks else "fetch them again")
            ) from error
