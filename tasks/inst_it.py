"""Inst-It-Bench, the image split's questions with options: things are numbered in the pictures.

The release on the hub (`Inst-IT/Inst-It-Bench`): parquet files of config `image_multi_choice`,
split `test`; or `image_multi_choices.json` beside the unpacked `images_vpt.zip`. Records have
`question_id`, `question`, `choice_a` to `choice_d`, `answer` (a letter) and `image`. Texts speak of
things by the numbers that are drawn on them, `[1]`, and are sent as they are. The pictures without
marks (`images_raw`) are not looked at.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vipbench.data.image_rows import QUESTIONS, is_saved, write_pictures
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Layout,
    attempt,
    entries,
    find_image,
    parse,
    plain,
    recognise,
    stated_id,
)
from vipbench.schema import DataSource, ImageRoots, Problem, Sample

CONFIG, SPLIT = "image_multi_choice", "test"
MARKED = ("images_vpt", "")
LETTERS = "ABCD"


class _Record(DataRecord):
    question_id: int | str
    question: str
    choice_a: str
    choice_b: str
    choice_c: str
    choice_d: str
    answer: str
    image: str | None = None
    image_path: str | None = None


def _is_questions(content: object) -> bool:
    keys = {"question_id", "question", "choice_a", "choice_b", "answer"}
    return any(keys <= record.keys() for record in entries(content))


LAYOUTS = {
    "release": Layout(
        (QUESTIONS, "image_multi_choices.json"),
        _is_questions,
        "a list of records with 'question_id', 'question', 'choice_a' to 'choice_d', 'answer' and"
        " 'image'",
    )
}


def as_files(source: DataSource, function: str) -> DataSource:  # one reader
    """Write rows of the hub as files; other data stay as they are."""
    tables = _tables(source.questions)
    return write_pictures(source, tables, ["image"]) if tables else source


def _tables(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    for folder in (path / CONFIG, path / "data" / CONFIG, path):
        for saved in (folder / SPLIT, folder):
            if is_saved(saved):
                return [saved]
        found = sorted(folder.glob(f"{SPLIT}-*.parquet"))
        if found:
            return found
    return []


def read_multiple_choice(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions; DataError where the file is missing, broken or not recognised."""
    _, file = recognise(source.questions, LAYOUTS)
    for where, value in file.records():
        make = partial(_sample, value, where, source.image_roots)
        yield from attempt(stated_id(value, "question_id", where), make)


def _sample(value: object, where: str, images: ImageRoots) -> Sample:
    record = parse(_Record, value, where)
    image = record.image or record.image_path
    if not image:
        raise BadRecord(f"{where}: names no picture ('image')", "missing_image")
    if record.answer.strip() not in tuple(LETTERS):
        raise BadRecord(
            f"{where}: answer {record.answer!r:.60} · expected a letter from A to D",
            "answer_not_in_options",
        )
    choices = (record.choice_a, record.choice_b, record.choice_c, record.choice_d)
    return Sample(
        id=str(record.question_id),
        image=find_image(images, image, MARKED),
        question=plain(record.question),
        choices=tuple(map(plain, choices)),
        target=record.answer.strip(),
        group=image,
    )
