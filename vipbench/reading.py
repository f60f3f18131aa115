"""What readers share: question files read strictly, records checked, images found below a root.

Nothing here knows a benchmark. A file that cannot be read or recognised is a DataError; one record
that cannot be used is a BadRecord, which a reader turns into a Problem.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from vipbench.errors import (
    DataError,
    alternatives,
    details,
    expected,
    first_mistake,
    nearest,
    own_words,
)
from vipbench.files import (
    LFS_POINTER,
    NOT_REGULAR,
    AmbiguousFile,
    check_regular,
    check_same,
    is_file,
    is_lfs_pointer,
    listed,
)
from vipbench.schema import ImageRoots, Problem, Sample

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Xyxy = Annotated[tuple[Number, Number, Number, Number], Strict(False)]
"""A JSON list of four finite numbers x0, y0, x1, y1."""

MAX_UNNAMED_BYTES = 500_000_000
"""Larger files are opened only under their official name: training mixes have gigabytes."""

_RESERVED = re.compile(r"<r\d+>")


class DataRecord(BaseModel):
    """Base of the records that readers expect in a file: strict types, other keys ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


DataRecordT = TypeVar("DataRecordT", bound=DataRecord)


class BadRecord(Exception):
    """One record cannot be used; `code` is what such problems are counted by."""

    def __init__(self, message: str, code: str = "bad_record") -> None:
        super().__init__(message)
        self.code = code


class QuestionFile(NamedTuple):
    """The content of one JSON or JSON lines file."""

    path: Path
    content: object
    """As decoded; a list of values for JSON lines."""
    lines: tuple[int, ...] = ()
    """For JSON lines: the line of each value, counted from 1."""

    def records(self) -> Iterator[tuple[str, object]]:
        """Yield the entries of a list, with the words that say where they are."""
        content = self.content if isinstance(self.content, list) else [self.content]
        for index, value in enumerate(content):
            where = f"line {self.lines[index]}" if self.lines else f"record {index}"
            yield f"{self.path.name} {where}", value


class Layout(NamedTuple):
    """One format that a reader knows."""

    names: tuple[str, ...]
    """Paths of the official file below the folder of questions, most usual first."""
    matches: Callable[[object], bool]
    """Whether a file's content has this format."""
    expected: str
    """The format in words, for the error message."""


def read_questions(path: Path, *, written_by_hand: bool = False) -> QuestionFile:
    """Read a JSON file, or one JSON value a line; told apart by the content, not by the name.

    In a file `written_by_hand`, a key that occurs twice in an object is an error, too; in others
    the last one counts, as for the authors of the releases.

    Raises DataError with file, line and column for broken JSON, and for a file that is missing,
    empty or not UTF-8 text.
    """
    text = _text(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty · expected JSON or JSON lines")
    try:
        return QuestionFile(path, _decode(text, unique=written_by_hand))
    except json.JSONDecodeError as error:
        # Not the error itself: it holds this frame, and with it the content, until the next sweep
        # of the garbage collector.
        whole = _broken(path, error.msg, error.lineno, error.colno)
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    values = []
    for n, line in lines:
        try:
            values.append(_decode(line, unique=written_by_hand))
        except json.JSONDecodeError as error:
            if not values:  # not JSON lines at all: the error of the whole file is the true one
                raise whole from error
            raise _broken(path, error.msg, n, error.colno) from error
    return QuestionFile(path, values, tuple(n for n, _ in lines))


def _text(path: Path) -> str:
    try:
        check_regular(path)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}) · expected JSON") from error
    if is_lfs_pointer(text[:100].encode()):
        raise DataError(f"{path}: {LFS_POINTER}")
    return text


def _decode(text: str, *, unique: bool) -> object:
    def refuse(constant: str) -> NoReturn:
        raise json.JSONDecodeError(f"{constant} is not JSON", text, max(text.find(constant), 0))

    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        decoded = dict(pairs)
        if len(decoded) < len(pairs):
            key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            # Close enough: an object that names its key twice, without another in between.
            name = re.escape(json.dumps(key, ensure_ascii=False))
            match = re.search(rf"{name}\s*:[^{{}}]*?({name})\s*:", text)
            position = match.start(1) if match else 0
            raise json.JSONDecodeError(f"key {key!r} occurs twice in one object", text, position)
        return decoded

    try:
        return json.loads(
            text, parse_constant=refuse, object_pairs_hook=distinct if unique else None
        )
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError) as error:  # nested thousands deep; an endless integer
        raise json.JSONDecodeError(f"not readable: {error}", text, 0) from error


def _broken(path: Path, message: str, line: int, column: int) -> DataError:
    return DataError(
        f"{path}:{line}:{column}: broken JSON ({message}) · download or write the file again"
    )


def recognise(
    questions: Path, layouts: dict[str, Layout], skip: str = "train"
) -> tuple[str, QuestionFile]:
    """Find the question file and say which layout its content has.

    Args:
        questions: one file of any name, or a folder: there the official names are looked for in the
            order of `layouts`, then all other `*.json` and `*.jsonl` directly in it.
        layouts: name -> layout, the preferred one first.
        skip: files without an official name are passed over where this is part of their name, and
            where they are larger than `MAX_UNNAMED_BYTES`.

    Raises DataError that lists what was seen and what was expected, or for several files of one
    layout among which none has an official name.
    """
    if questions.exists() and not (questions.is_file() or questions.is_dir()):
        raise DataError(f"{questions}: {NOT_REGULAR} · expected a file or a folder")
    seen: list[str] = []
    official = [questions / name for layout in layouts.values() for name in layout.names]
    for path in [questions] if questions.is_file() else filter(Path.is_file, official):
        file = read_questions(path)
        if name := _layout(file, layouts):
            return name, file
        seen.append(f"{path.name} holds {describe(file.content)}")
    others: dict[str, list[QuestionFile]] = {}
    for path in _others(questions, official, skip):
        file = read_questions(path)
        if name := _layout(file, layouts):
            others.setdefault(name, []).append(file)
        seen.append(f"{path.name} holds {describe(file.content)}")
    for name in layouts:
        files = others.get(name, [])
        if len(files) == 1:
            return name, files[0]
        if files:
            several = ", ".join(file.path.name for file in files)
            raise DataError(f"{questions}: {several} all fit · name one file instead of the folder")
    expected = "; or ".join(f"{layout.names[0]} ({layout.expected})" for layout in layouts.values())
    raise DataError(
        f"{questions}: no question file is recognised"
        f" ({'; '.join(seen[:4]) or 'no JSON file found'}) · expected {expected}"
    )


def _layout(file: QuestionFile, layouts: dict[str, Layout]) -> str | None:
    return next((name for name, layout in layouts.items() if layout.matches(file.content)), None)


def _others(questions: Path, official: Sequence[Path], skip: str) -> list[Path]:
    if not questions.is_dir():
        return []
    files = {*questions.glob("*.json"), *questions.glob("*.jsonl")} - set(official)
    return sorted(
        file
        for file in files
        if skip not in file.name and file.is_file() and file.stat().st_size <= MAX_UNNAMED_BYTES
    )


def describe(content: object) -> str:
    """Say in a few words what a decoded file holds, for an error message."""
    if isinstance(content, dict):
        return f"an object with the keys {_keys(content)}"
    if isinstance(content, list):
        first = content[0] if content else None
        of = f" of objects with the keys {_keys(first)}" if isinstance(first, dict) else ""
        return f"a list{of}" if content else "an empty list"
    return f"a {type(content).__name__}"


def _keys(record: dict[str, object]) -> str:
    keys = list(record)
    return ", ".join(keys[:8]) + (", …" if len(keys) > 8 else "") if keys else "(none)"


def entries(content: object) -> list[dict[str, object]]:
    """List the objects of a list (or the one object of a one-line JSON lines file)."""
    values = content if isinstance(content, list) else [content]
    return [value for value in values if isinstance(value, dict)]


def parse(model: type[DataRecordT], value: object, where: str) -> DataRecordT:
    """Check one record; BadRecord names where it is, key, value and the nearest valid key."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = details(error)
        mistakes = [
            _mistake(model, value, e["loc"], e["type"], e.get("ctx", {})) for e in errors[:3]
        ]
        raise BadRecord(f"{where}: {'; '.join(mistakes)}") from error


def _mistake(
    model: type[DataRecord],
    value: object,
    path: tuple[int | str, ...],
    kind: str,
    context: Mapping[str, Any],
) -> str:
    for step in path[:-1]:
        value = _step(value, step)
    key = ".".join(map(str, path)) or "the record"
    if kind == "missing" and isinstance(value, dict):
        return f"key {key!r} is missing{nearest(str(path[-1]), value)}"
    if kind == "missing":
        return f"{'.'.join(map(str, path[:-1]))} = {value!r:.60}: has too few entries"
    if kind == "extra_forbidden":
        return f"unknown key {key!r}{nearest(str(path[-1]), model.model_fields)}"
    shown = _step(value, path[-1]) if path else value
    if words := own_words(kind, context):
        return f"{key} = {shown!r:.60}: {words}"
    return f"{key} = {shown!r:.60}{alternatives([expected(kind, context)])}"


def _step(value: object, step: int | str) -> object:
    """Return what a key or an index leads to; the value itself where it leads nowhere."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return value


def stated_id(value: object, key: str, where: str) -> str:
    """Return the id that a record states under `key`; `where` it stands, if it states none."""
    stated = value.get(key) if isinstance(value, dict) else None
    usable = isinstance(stated, str | int) and not isinstance(stated, bool)
    return str(stated) if usable else where


def uncounted(what: str, value: object) -> str:
    """Say that what should list questions is no list, so that they count as one error."""
    found = "is null or missing" if value is None else f"= {value!r:.60}"
    return (
        f"{what} {found} · expected a list of questions; how many there are is unknown, and they"
        " count as one"
    )


def plain(text: str) -> str:
    """Return text of the data unchanged; BadRecord where it would be taken for a mention."""
    if match := _RESERVED.search(text):
        raise BadRecord(
            f"the text holds {match[0]!r}, which stands for a region in vipbench: {text!r:.80}",
            "reserved_text",
        )
    return text


def annotated_size(width: object, height: object) -> tuple[int, int] | None:
    """Return width and height in px of the annotated image; None where a file does not say them.

    Whole numbers above 0, some programs write them as text.
    """
    sides = [_side(width), _side(height)]
    return (sides[0], sides[1]) if sides[0] and sides[1] else None


def _side(value: object) -> int:
    if isinstance(value, str):
        value = int(value) if re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII) else 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1:
        return 0
    return max(0, int(value))


def attempt(
    sample_id: str, make: Callable[[], Sample], warnings: Sequence[Problem] = ()
) -> Iterator[Sample | Problem]:
    """Yield the sample that `make` builds, or the problem that kept it from being built.

    What `make` gives a Sample of the wrong type (a reader that does not `parse`) is such a problem.
    """
    try:
        sample = make()
    except BadRecord as error:
        yield Problem(id=sample_id, code=error.code, message=str(error))
        return
    except ValidationError as error:
        message = first_mistake(error, error.title)
        yield Problem(id=sample_id, code="bad_record", message=message)
        return
    yield from warnings
    yield sample


DEEPEST = 64
"""Parts of a path that is looked up without its leading folders; no release has a fifth of it."""


def find_image(roots: ImageRoots, image: str, folders: Sequence[str]) -> str:
    """Return the path of an image below its root, wherever one of the known layouts puts it.

    Args:
        roots: the image root, or several.
        image: path or file name from the data.
        folders: folders below the root to look in, `""` for the root itself.

    The whole path is tried first, then without its leading folders, one after another. What is
    nowhere, would leave the root, or has more than `DEEPEST` parts, is returned as it is, for the
    checks to report.

    Raises BadRecord where several roots have files of this name with different content.
    """
    pure = PurePosixPath(image)
    if pure.is_absolute() or ".." in pure.parts or len(pure.parts) > DEEPEST:
        return image
    for start in range(max(len(pure.parts), 1)):
        tail = pure.parts[start:]
        paths = [PurePosixPath(folder, *tail) for folder in (*(() if start else ("",)), *folders)]
        places = [
            (root, path)
            for root in listed(roots)
            if (path := next((path for path in paths if is_file(root / path)), None))
        ]
        if not places:
            continue
        try:
            check_same([root / path for root, path in places])
        except AmbiguousFile as error:
            raise BadRecord(f"image {image!r}: {error}", "ambiguous_image") from error
        path = places[0][1]
        return image if path == pure else path.as_posix()
    return image
