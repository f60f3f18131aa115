"""What people call a run: `name.json`, which is outside of its identity and of all digests."""

import re
import unicodedata
from pathlib import Path

from vipbench import files
from vipbench.console import one_line
from vipbench.errors import RunError
from vipbench.files import Advice
from vipbench.runfolder.folder import NAME
from vipbench.schema import Record
from vipbench.validation import shown

LONGEST_NAME = 100
"""Characters; a longer one fits into no table."""
LARGEST_STEP = 10**15
"""Far beyond any training, and exact in every reader of JSON."""
NAME_WANTED = f"a text of 1 to {LONGEST_NAME} characters, in one line"
STEP_WANTED = "a whole number from 0"
_BROKEN = Advice(broken="edit it, or remove it")


class Name(Record):
    """What people call a run, as far as anybody has said so."""

    name: str | None = None
    """None: it is called after its model."""
    step: int | None = None
    """Training step of the checkpoint; None: as far as the model's folder tells."""


def check_name(name: object, where: str) -> str:
    """Return a name without white space around it; RunError where it can be none.

    Args:
        name: as somebody gave it.
        where: begins the message, such as `--name`.
    """
    if not isinstance(name, str):
        raise RunError(f"{where} {shown(name)}: is not a text · expected {NAME_WANTED} · quote it")
    text = name.strip(" ")
    # One by one, so that the message names the first.
    bad = next((c for c in text if one_line(c) != c), None)
    if bad is not None:
        raise RunError(
            f"{where} {shown(text)}: holds the control character U+{ord(bad):04X} · expected "
            f"{NAME_WANTED} · leave it out"
        )
    if all(unicodedata.category(c)[0] in "CZ" for c in text):  # nothing that could be seen
        raise RunError(
            f"{where} {shown(name)}: is empty · expected {NAME_WANTED} · leave it out, and the "
            "run is called after its model"
        )
    if len(text) > LONGEST_NAME:
        raise RunError(
            f"{where} {shown(text)}: has {len(text):,} characters · expected {NAME_WANTED} · "
            "shorten it"
        )
    return text


def check_step(step: object, where: str) -> int:
    """Return a training step, of a number or its digits; RunError where it is none."""
    if isinstance(step, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", step, re.ASCII):
        step = int(step)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= LARGEST_STEP:
        raise RunError(
            f"{where} {shown(step)}: is not a training step · expected {STEP_WANTED} · give it "
            "in digits, such as 600, or leave it out"
        )
    return step


def read_name(folder: Path) -> Name:
    """Read what people call a run; nothing where nobody has said so.

    Raises:
        RunError: The file is broken, or holds what can be no name or step.
    """
    path = folder / NAME
    if not path.exists() and not path.is_symlink():
        return Name()
    content = files.read_json(path, _BROKEN)
    if not isinstance(content, dict) or not content.keys() <= Name.model_fields.keys():
        raise RunError(
            f"{path}: holds {shown(content)} · expected `name` and `step` alone · {_BROKEN.broken}"
        )
    name, step = content.get("name"), content.get("step")
    if isinstance(step, str):  # digits are a number on a command line only
        raise RunError(
            f"{path}: step {shown(step)}: is a text · expected {STEP_WANTED} · unquote it"
        )
    return Name(
        name=None if name is None else check_name(name, f"{path}: name"),
        step=None if step is None else check_step(step, f"{path}: step"),
    )


def write_name(folder: Path, name: str | None = None, step: int | None = None) -> Name:
    """Write what a run is called from now on; what is None stays as it was said before."""
    known = read_name(folder)
    new = Name(name=known.name if name is None else name, step=known.step if step is None else step)
    if new != known:
        files.write_json(folder / NAME, new.model_dump(mode="json"))
    return new


def remove_name(folder: Path, *, name: bool = False, step: bool = False) -> Name:
    """Forget the name of a run, its step, or both; without either there is no file."""
    known = read_name(folder)
    new = Name(name=None if name else known.name, step=None if step else known.step)
    if new == Name():
        try:
            (folder / NAME).unlink(missing_ok=True)
        except OSError as error:
            raise files.write_error(folder / NAME, error) from error
    elif new != known:
        files.write_json(folder / NAME, new.model_dump(mode="json"))
    return new
