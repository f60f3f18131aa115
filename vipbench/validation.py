"""What a user wrote: YAML as plain data, checked by a record, with its mistakes in words."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from vipbench.errors import (
    TaskError,
    VipbenchError,
    alternatives,
    closest_choice,
    details,
    expected,
    nearest,
    own_words,
)
from vipbench.errors import shown as shown
from vipbench.files import SURROGATE, check_regular
from vipbench.schema import Record

RecordT = TypeVar("RecordT", bound=Record)

MAX_VALUES = 100_000
"""More than any file written by hand holds; a few lines of aliases can stand for billions."""


class YamlMapping(dict[str, Any]):
    """A mapping read from YAML that knows the line of each of its keys, counted from 1."""

    lines: dict[str, int]


def checked(
    kind: type[RecordT],
    fields: dict[str, Any],
    where: str,
    mistakes: Sequence[str] = (),
    places: Mapping[str, str] | None = None,
) -> RecordT:
    """Make a record from fields that a user wrote; TaskError names every mistake at once.

    Args:
        kind: the record's class.
        fields: its values; with the lines of a `YamlMapping`, mistakes name them.
        where: the file, which begins the message.
        mistakes: what the caller has found wrong; reported with the record's own mistakes.
        places: where values were written, by their keys (`endpoint.timeout`): a mistake in one of
            them begins with that, in place of `where` and the key.
    """
    try:
        record = kind.model_validate(fields)
    except ValidationError as error:
        own = _mistakes(kind, fields, error, places or {})
        if places and all(mistake.startswith(tuple(places.values())) for mistake in own):
            raise TaskError("; and ".join([*own, *mistakes])) from error
        raise TaskError(f"{where}: {'; and '.join([*own, *mistakes])}") from error
    if mistakes:
        raise TaskError(f"{where}: {'; and '.join(mistakes)}")
    return record


def _mistakes(
    kind: type[Record], fields: dict[str, Any], error: ValidationError, places: Mapping[str, str]
) -> list[str]:
    """Put what pydantic found into words: one mistake a key, the alternatives of a union joined."""
    lines = getattr(fields, "lines", {})
    by_key: dict[str, _Mistake] = {}
    known: set[str] = set()
    for found in details(error):
        path, value = _resolved(fields, found["loc"])
        key = ".".join(map(str, path))
        line = lines.get(str(path[0])) if path else None
        mistake = by_key.setdefault(key, _Mistake(f"line {line}: " if line else ""))
        place = places.get(key) or places.get(_of_list(path), key)
        mistake.add(kind, place, value, found["type"], found.get("ctx", {}))
        if mistake.hint.startswith(" · known") and mistake.hint in known:
            mistake.hint = ""
        known.add(mistake.hint)
    return [mistake.text() for mistake in by_key.values()]


def _of_list(path: Sequence[int | str]) -> str:
    """Return the key of the list that an element is in: `metrics` of `metrics.0`."""
    return ".".join(step for step in path if isinstance(step, str))


class _Mistake:
    """What is wrong with one key."""

    def __init__(self, where: str) -> None:
        self.subject = where
        self.expected: list[str] = []
        self.words: list[str] = []
        """Of our own validators."""
        self.hint = ""

    def add(
        self, kind: type[Record], key: str, value: Any, error: str, context: Mapping[str, Any]
    ) -> None:
        """Take an error of pydantic by its type and `ctx`; of a union, there are several."""
        is_first = not (self.expected or self.words or self.hint)
        if error == "extra_forbidden":
            known = [name for name, field in kind.model_fields.items() if not field.exclude]
            subject, self.hint = f"unknown key {key!r}", nearest(key, known)
        elif error == "missing":
            subject = f"key {key!r} is missing"
        else:
            subject = f"{key} = {shown(value)}" if key else ""
            self.words.append(own_words(error, context))
            self.expected.append(expected(error, context))
            if error == "literal_error":
                self.hint = self.hint or closest_choice(value, self.expected[-1])
        if is_first:
            self.subject += subject

    def text(self) -> str:
        """Return all of it as one sentence."""
        own = dict.fromkeys(filter(None, self.words))
        said = " ".join(filter(None, (self.subject, " or ".join(own))))
        return f"{said}{alternatives(self.expected)}{self.hint}".removeprefix(" · ")


def _resolved(fields: Any, location: tuple[int | str, ...]) -> tuple[list[int | str], Any]:
    """Return the keys that lead to a mistake, and the value there.

    Of pydantic's location, steps that are names of types and not keys are left out.
    """
    path: list[int | str] = []
    value = fields
    for step in location:
        if isinstance(value, dict):
            path.append(step)
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            path.append(step)
            value = value[step]
    return path, value


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]  # untyped library
    """Plain data only; a key that occurs twice in a mapping is an error, not overwritten."""

    def construct_yaml_map(self, node: yaml.MappingNode) -> Iterator[YamlMapping]:
        lines: dict[str, int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"key {key.value!r} occurs twice (first in line {lines[key.value]})",
                    problem_mark=key.start_mark,
                )
            lines[str(key.value)] = key.start_mark.line + 1
        mapping = YamlMapping()
        mapping.lines = lines
        yield mapping  # empty: an alias within may refer to it
        mapping.update(self.construct_mapping(node))

    def construct_scalar(self, node: yaml.Node) -> object:
        value = super().construct_scalar(node)
        if isinstance(value, str) and SURROGATE.search(value):
            raise yaml.constructor.ConstructorError(
                problem=f"{value!r} holds half a character (a lone surrogate)",
                problem_mark=node.start_mark,
            )
        return value


_PlainLoader.add_constructor("tag:yaml.org,2002:map", _PlainLoader.construct_yaml_map)


def read_yaml(
    path: Path, kind: type[VipbenchError] = TaskError, wanted: str = "a mapping of keys to values"
) -> YamlMapping:
    """Read a YAML file of plain data that holds a mapping of text to values.

    Raises an error of `kind` that names file, line and column for anything else: unsafe tags,
    broken YAML, a key that occurs twice, aliases that multiply into an endless file. `wanted` says
    what a file without content should hold.
    """
    if path.is_dir():
        raise kind(f"{path}: is a folder · expected a file")
    try:
        check_regular(path)
        content = copy.deepcopy(_parse_yaml(path.read_text(encoding="utf-8")))
        if _n_values(content) > MAX_VALUES:
            raise ValueError(f"aliases make it hold over {MAX_VALUES:,} values")
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise kind(f"{path}: not UTF-8 text (byte {error.start})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise kind(f"{path}{line}: not plain YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        # the last four: a value that its own tag does not allow (!!bool maybe), endless nesting
        reason = shown(" ".join(str(error).split()))
        raise kind(f"{path}: not plain YAML: a value cannot be read ({reason})") from error
    if content is None:
        raise kind(f"{path}: is empty · expected {wanted}")
    if not isinstance(content, YamlMapping):
        raise kind(f"{path}: expected a mapping of keys to values, not {shown(content)}")
    for key in content:
        if not isinstance(key, str):
            raise kind(f"{path}: key {shown(key)}: expected text · put it into quotes")
    return content


def _n_values(content: object) -> float:
    """Count all values as they would be written without aliases; one in itself is infinite."""
    counts: dict[int, float] = {}

    def count(value: object) -> float:
        if not isinstance(value, dict | list | tuple):
            return 1
        if id(value) not in counts:
            counts[id(value)] = math.inf  # until it is known
            parts = value.values() if isinstance(value, dict) else value
            counts[id(value)] = 1 + sum(map(count, parts))
        return counts[id(value)]

    return count(content)


@lru_cache(maxsize=64)
def _parse_yaml(text: str) -> object:
    """Parse YAML, which is slow; every task that is loaded needs `styles.yaml` again."""
    return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  # it is a SafeLoader
