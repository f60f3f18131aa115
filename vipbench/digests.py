"""What files, records and plain data are told apart by: sha256, in hex.

A record that a digest is made of can grow: a field that was added after version 1 of the run folder
is left out while it has its default, so that keys, settings digests and names of runs stay those of
the code that knew nothing of it.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vipbench.errors import DataError
from vipbench.files import reason
from vipbench.schema import Record, fixed_defaults

REMEMBERED = 20_000
"""Images whose header and digest are remembered: more than a published test set has."""


def file_digest(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex; remembered while the file does not change.

    Raises DataError where the file cannot be read.
    """
    try:
        status = path.stat()
        return _digest(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({reason(error)})") from error


@lru_cache(maxsize=REMEMBERED)
def _digest(path: str, size: int, mtime_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return the sha256, in hex, of plain data as canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def facts(record: Record, *, defaults: bool = False) -> dict[str, Any]:
    """Return a record as plain data to make a digest of.

    Left out, here and in the records within it, are the fields of `UNDIGESTED`, and each that has
    its default and is not among the `FIRST_FIELDS`. Fields without a default are always there.
    `defaults` keeps those that have their default, to show what differs.
    """
    plain = record.model_dump(mode="json")
    _leave_out(record, plain, defaults=defaults)
    return plain


def added_facts(record: Record) -> dict[str, Any]:
    """Return what `facts` returns of the fields that were added after version 1.

    For digests that are made of chosen fields of a record: what a later version adds counts too.
    Empty for a record as it was in version 1.
    """
    told = _added_fields(type(record)) - record.UNDIGESTED - _at_default(record)
    return {name: value for name, value in facts(record).items() if name in told} if told else {}


@lru_cache
def _added_fields(kind: type[Record]) -> frozenset[str]:
    """Return the fields of a record that version 1 did not have: they all have a default."""
    optional = {name for name, field in kind.model_fields.items() if not field.is_required()}
    return frozenset(optional - kind.FIRST_FIELDS)


def _leave_out(value: object, plain: Any, *, defaults: bool) -> None:
    """Remove from `plain`, the dumped `value`, what `facts` leaves out."""
    if isinstance(value, Record):
        for name in value.UNDIGESTED | (frozenset() if defaults else _at_default(value)):
            plain.pop(name, None)
        for name, child in vars(value).items():
            if name in plain and not isinstance(child, str | int | float):
                _leave_out(child, plain[name], defaults=defaults)
    elif isinstance(value, Mapping):
        for child, child_plain in zip(value.values(), plain.values(), strict=True):
            _leave_out(child, child_plain, defaults=defaults)
    elif isinstance(value, tuple | list) and value and not isinstance(value[0], int | float | str):
        for child, child_plain in zip(value, plain, strict=True):
            _leave_out(child, child_plain, defaults=defaults)


def _at_default(record: Record) -> frozenset[str]:
    """Return the fields that were added after version 1 and have their default."""
    default = fixed_defaults(type(record))
    return frozenset(
        name
        for name in _added_fields(type(record))
        if name in default and getattr(record, name) == default[name]
    )
