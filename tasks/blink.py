"""BLINK, the six subtasks whose pictures hold marks: points, boxes and letters, drawn already.

The folder of the release on the hub (`BLINK-Benchmark/BLINK`): a folder for each subtask with
parquet files named by their split, or one that the library `datasets` has saved. Rows have `idx`
(`val_Relative_Depth_1`), `prompt`, `choices`, `answer` (`(A)`) and `image_1` … `image_4`. The text
that is sent is `prompt`, which lists the options itself. Split `val` is read: the answers to `test`
are hidden.

Without the pictures: `val_answers.json` of the authors' repository, an object id -> `(A)`. It holds
neither questions nor pictures, so that answers that are there can be scored, and nothing be asked.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vipbench.data.image_rows import QUESTIONS, is_saved, write_pictures
from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    attempt,
    entries,
    parse,
    plain,
    read_questions,
    stated_id,
)
from vipbench.schema import DataSource, Problem, Sample

SPLIT = "val"
LETTERS = "ABCD"
PICTURES = ("image_1", "image_2", "image_3", "image_4")
ANSWERS = ("val_answers.json", "eval/val_answers.json")
"""The right answers alone, in a folder of their own and in the authors' repository."""
FOUR_POINTS = ("Point A", "Point B", "Point C", "Point D")
OPTIONS: dict[str, tuple[str, ...]] = {
    "Relative_Depth": ("A is closer", "B is closer"),
    "Object_Localization": ("Box A", "Box B"),
    "Relative_Reflectance": ("A is darker", "B is darker", "About the same"),
    "Visual_Correspondence": FOUR_POINTS,
    "Semantic_Correspondence": FOUR_POINTS,
    "Functional_Correspondence": FOUR_POINTS,
}
"""Subtask -> the texts of its options, the same in all of its questions; they stand in for those of
the data where these hold right answers alone."""
OLD_LABELS = "4321a5dbdca74d052e1671f8f1228dd3be83214ed35e6a9d484b490fc1a78f82"
"""`digest_labels` of Relative_Reflectance in split val as released in 2024 (`eval/val_answers.json`
of github.com/zeyofu/BLINK_Benchmark). Most of these labels are wrong (issue 13 there); the hub has
others since 2025-09-03."""


class _Row(DataRecord):
    idx: str
    prompt: str
    choices: list[str]
    answer: str
    image_1: str | None = None
    image_2: str | None = None
    image_3: str | None = None
    image_4: str | None = None


def as_files(source: DataSource, function: str) -> DataSource:
    """Write the rows of a subtask as files, unless the data hold right answers alone.

    Raises:
        DataError: The subtask is not there, or its table is broken.
    """
    subtask = _subtask(function)
    if _is_answers(source.questions) or source.questions.name == QUESTIONS:
        return source
    tables = _tables(source.questions, subtask)
    return write_pictures(source, tables, PICTURES) if tables else source


def _subtask(function: str) -> str:
    """Return the subtask of a reader: `read_relative_depth` reads Relative_Depth."""
    return "_".join(part.capitalize() for part in function.removeprefix("read_").split("_"))


def _is_answers(path: Path) -> bool:
    return path.is_file() and path.suffix == ".json"


def _tables(path: Path, subtask: str) -> list[Path]:
    """Find the tables of a subtask, those of its split; empty: there is none."""
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    for folder in (path / subtask, path / "data" / subtask, path):
        for saved in (folder / SPLIT, folder):
            if is_saved(saved):
                return [saved]
        found = sorted(folder.glob(f"{SPLIT}-*.parquet")) or sorted(folder.glob(f"{SPLIT}.parquet"))
        if found:
            return found
    return []


def read_relative_depth(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of two marked points is closer to the camera."""
    yield from _read(source, "Relative_Depth")


def read_relative_reflectance(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of two marked points has the darker surface."""
    yield from _read(source, "Relative_Reflectance")


def read_object_localization(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of two drawn boxes encloses a thing better."""
    yield from _read(source, "Object_Localization")


def read_visual_correspondence(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of four points is the marked one, seen from elsewhere."""
    yield from _read(source, "Visual_Correspondence")


def read_semantic_correspondence(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of four points is the same part of another thing."""
    yield from _read(source, "Semantic_Correspondence")


def read_functional_correspondence(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions which of four points of another thing serves the same action."""
    yield from _read(source, "Functional_Correspondence")


def _read(source: DataSource, subtask: str) -> Iterator[Sample | Problem]:
    """Yield a subtask's samples, and before them what is known of its labels.

    Raises DataError where neither questions nor answers are found, or the file is broken.
    """
    path = source.questions
    names = [path] if path.is_file() else [path / name for name in ANSWERS]
    file = next((each for each in names if each.is_file()), None)
    if file is None or file.suffix not in (".json", ".jsonl"):
        raise DataError(
            f"{path}: holds no {subtask} of BLINK · expected {subtask}/{SPLIT}-*.parquet, as"
            " BLINK-Benchmark/BLINK on the hub has it, or val_answers.json to score answers that"
            " are there"
        )
    content = read_questions(file)
    prefix = f"{SPLIT}_{subtask}_"
    if file.suffix == ".json":
        if not isinstance(content.content, dict):
            raise DataError(f"{file}: no right answers · expected an object id -> '(A)'")
        labels = {id_: a for id_, a in content.content.items() if id_.startswith(prefix)}
        records = [
            (id_, partial(_answer_only, id_, letter, subtask)) for id_, letter in labels.items()
        ]
    else:
        rows = [
            (stated_id(value, "idx", where), where, value) for where, value in content.records()
        ]
        rows = [row for row in rows if row[0].startswith(prefix) or not row[0].startswith(SPLIT)]
        labels = {row.get("idx"): row.get("answer") for row in entries(content.content)}
        records = [(id_, partial(_sample, value, where)) for id_, where, value in rows]
    if not records:
        raise DataError(
            f"{file}: holds no id that begins with {prefix} · is it of another subtask?"
        )
    if digest_labels(labels) == OLD_LABELS:
        yield _old_labels(file)
    for id_, make in records:
        yield from attempt(id_, make)


def digest_labels(labels: Mapping[Any, object]) -> str:
    """Return the sha256 of the lines `<id> <letter>`, sorted by id as text, each with its end."""
    lines = sorted(f"{id_} {str(answer).strip('()')}\n" for id_, answer in labels.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _old_labels(file: Path) -> Problem:
    message = (
        "has the labels of the release of 2024, of which most are wrong (sha256 of the labels"
        f" {OLD_LABELS[:12]}); the release on the hub has corrected ones since 2025-09-03. What was"
        " scored by the one cannot be compared with what was scored by the other; numbers published"
        " before that date are by the old ones"
    )
    return Problem(id=file.name, code="old_labels", message=message, warning=True)


def _answer_only(id_: str, answer: object, subtask: str) -> Sample:
    options = OPTIONS[subtask]
    lines = [f"({letter}) {text}" for letter, text in zip(LETTERS, options, strict=False)]
    return Sample(
        id=id_,
        image="",
        answer_only=True,
        question="\n".join(lines),
        choices=options,
        target=_letter(answer, options, id_),
        group=id_,
    )


def _letter(answer: object, options: Sequence[str], where: str) -> str:
    match = re.fullmatch(r"\(([A-Z])\)", answer) if isinstance(answer, str) else None
    if match is None or match[1] not in LETTERS[: len(options)]:
        raise BadRecord(
            f"{where}: answer {answer!r:.60} · expected one of (A) to ({LETTERS[len(options) - 1]})"
            + ("; those of split test are hidden: read val" if answer == "hidden" else ""),
            "answer_not_in_options",
        )
    return match[1]


def _sample(value: object, where: str) -> Sample:
    row = parse(_Row, value, where)
    if not 2 <= len(row.choices) <= len(LETTERS):
        raise BadRecord(f"{where}: {len(row.choices)} choices · expected 2 to 4", "choices")
    images = [path for path in (row.image_1, row.image_2, row.image_3, row.image_4) if path]
    if not images:
        raise BadRecord(f"{where}: image_1 to image_4 are empty", "missing_image")
    return Sample(
        id=row.idx,
        image=images[0],
        images=tuple(images) if len(images) > 1 else (),
        question=plain(row.prompt),
        choices=tuple(map(plain, row.choices)),
        target=_letter(row.answer, row.choices, where),
        group=row.idx,
    )
