"""Visual7W, pointing questions: which of four boxes? Reads the raw and the preprocessed release.

Raw: `dataset_v7w_pointing.json` (the toolkit calls it `dataset.json`), an object with `images`
(of which split `test` is read) and `boxes` (x, y, width, height in px). It defines no order of the
options: they stand in a permutation keyed by the question's id, which no run's seed changes.
Preprocessed: ViP-LLaVA's `v7w-test.json`, a list of records with four `bboxes` (x0, y0, x1, y1) in
the order A-D; the first box equal to `answer` is the right one. Where a folder holds both, the raw
file is read. Class names are never shown: every option is "the object" in its box.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from random import Random
from typing import Literal, NamedTuple

from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Layout,
    Number,
    QuestionFile,
    Xyxy,
    attempt,
    entries,
    find_image,
    parse,
    plain,
    recognise,
    stated_id,
    uncounted,
)
from vipbench.schema import Box, DataSource, ImageRoots, Problem, Region, Sample

IMAGE_FOLDERS = ("", "v7w", "images", "visual7w_images", "visual7w/images")
N_OPTIONS = 4
OTHER_SPLITS = ("train", "val")
"""Images of these are not asked; of one whose split is anything else, nobody knows."""


class _RawBox(DataRecord):
    x: Number
    y: Number
    width: Number
    height: Number


class _RawQuestion(DataRecord):
    qa_id: int
    question: str
    answer: int
    multiple_choices: list[int]
    type: str = "which"


class _RawImage(DataRecord):
    filename: str
    split: Literal["test"]


class _Boxes(NamedTuple):
    """The boxes of a raw file."""

    by_id: dict[int | float, object]
    """`box_id` -> entry."""
    ambiguous: frozenset[int | float]
    """Ids that entries with different content share."""
    unusable: tuple[int, ...]
    """Indices of the entries without a usable `box_id`."""


class _Record(DataRecord):
    id: str
    image: str
    question: str
    bboxes: list[Xyxy]
    answer: Xyxy


def _is_raw(content: object) -> bool:
    return isinstance(content, dict) and {"images", "boxes"} <= content.keys()


def _is_preprocessed(content: object) -> bool:
    return any(
        {"question", "bboxes"} <= record.keys() and isinstance(record.get("answer"), list)
        for record in entries(content)
    )


LAYOUTS = {
    "raw": Layout(
        ("dataset_v7w_pointing.json", "dataset.json"),
        _is_raw,
        "the raw release: an object with 'images' and 'boxes'",
    ),
    "preprocessed": Layout(
        ("v7w-test.json",),
        _is_preprocessed,
        "ViP-LLaVA's file: a list of records with 'question', 'bboxes' and a box as 'answer'",
    ),
}


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the test questions; boxes in px of the original image, as in the data, never clipped.

    Raises:
        DataError: A file is broken, not recognised, or without split `test`.
    """
    layout, file = recognise(source.questions, LAYOUTS)
    yield from (_raw if layout == "raw" else _preprocessed)(file, source.image_roots)


def _raw(file: QuestionFile, images: ImageRoots) -> Iterator[Sample | Problem]:
    content = file.content
    if not isinstance(content, dict) or not all(
        isinstance(content[key], list) for key in ("images", "boxes")
    ):
        raise DataError(f"{file.path}: 'images' and 'boxes' must be lists")
    if not any(image.get("split") == "test" for image in entries(content["images"])):
        raise DataError(f"{file.path}: no image has split 'test' · expected the full release")
    boxes = _by_id(content["boxes"])
    for index, entry in enumerate(content["images"]):
        if not (isinstance(entry, dict) and entry.get("split") in OTHER_SPLITS):
            yield from _raw_image(entry, f"{file.path.name} images[{index}]", images, boxes)


def _raw_image(
    entry: object, where: str, images: ImageRoots, boxes: _Boxes
) -> Iterator[Sample | Problem]:
    """Yield the questions of an image; one that cannot be used makes each of them a problem."""
    if not isinstance(entry, dict):
        yield Problem(id=where, code="no_questions", message=uncounted(where, entry))
        return
    questions = entry.get("qa_pairs")
    if not isinstance(questions, list):
        what = f"{where}.qa_pairs"
        yield Problem(id=what, code="no_questions", message=uncounted(what, questions))
        return
    image: str | BadRecord
    try:
        image = find_image(images, parse(_RawImage, entry, where).filename, IMAGE_FOLDERS)
    except BadRecord as error:
        image = error
    for n, question in enumerate(questions):
        at = f"{where}.qa_pairs[{n}]"
        make = partial(_raw_sample, question, at, image, boxes)
        yield from attempt(_raw_id(question, at), make)


def _raw_id(question: object, where: str) -> str:
    qa_id = question.get("qa_id") if isinstance(question, dict) else None
    return f"v7w-{qa_id}" if isinstance(qa_id, int) and not isinstance(qa_id, bool) else where


def _by_id(values: list[object]) -> _Boxes:
    by_id: dict[int | float, object] = {}
    ambiguous = set()
    unusable = []
    for index, value in enumerate(values):
        box_id = value.get("box_id") if isinstance(value, dict) else None
        if not isinstance(box_id, int | float) or isinstance(box_id, bool):
            unusable.append(index)
        elif by_id.setdefault(box_id, value) != value:
            ambiguous.add(box_id)
    return _Boxes(by_id, frozenset(ambiguous), tuple(unusable))


def _corners(box_id: int, boxes: _Boxes, where: str) -> Box:
    if box_id in boxes.ambiguous:
        raise BadRecord(
            f"{where}: box {box_id} stands more than once among the file's boxes, with different"
            " content · expected one entry a 'box_id'",
            "ambiguous_box",
        )
    if box_id not in boxes.by_id:
        unusable = f" (boxes[{boxes.unusable[0]}] has no usable id)" if boxes.unusable else ""
        raise BadRecord(
            f"{where}: box {box_id} is not among the file's boxes{unusable}", "missing_box"
        )
    box = parse(_RawBox, boxes.by_id[box_id], f"{where}: box {box_id}")
    return box.x, box.y, box.x + box.width, box.y + box.height


def _raw_sample(entry: object, where: str, image: str | BadRecord, boxes: _Boxes) -> Sample:
    if isinstance(image, BadRecord):
        raise BadRecord(f"{where}: its image cannot be used: {image}", image.code)
    question = parse(_RawQuestion, entry, where)
    ids = [question.answer, *question.multiple_choices]
    if len(ids) != N_OPTIONS or len(set(ids)) != N_OPTIONS:
        raise BadRecord(
            f"{where}: answer {question.answer} and multiple_choices {question.multiple_choices}"
            f" are not {N_OPTIONS} different boxes"
        )
    Random(f"v7w-{question.qa_id}").shuffle(ids)
    corners = [_corners(box_id, boxes, where) for box_id in ids]
    return _sample(
        f"v7w-{question.qa_id}",
        image,
        question.question,
        corners,
        ids.index(question.answer),
        question.type,
        tuple(map(str, ids)),
    )


def _preprocessed(file: QuestionFile, images: ImageRoots) -> Iterator[Sample | Problem]:
    for where, value in file.records():
        make = partial(_preprocessed_sample, value, where, images)
        yield from attempt(stated_id(value, "id", where), make)


def _preprocessed_sample(value: object, where: str, images: ImageRoots) -> Sample:
    record = parse(_Record, value, where)
    if len(record.bboxes) != N_OPTIONS:
        raise BadRecord(f"{where}: {len(record.bboxes)} bboxes · expected {N_OPTIONS}", "choices")
    if record.answer not in record.bboxes:
        raise BadRecord(
            f"{where}: answer {list(record.answer)} is none of the bboxes", "answer_not_in_options"
        )
    image = find_image(images, record.image, IMAGE_FOLDERS)
    right = record.bboxes.index(record.answer)
    return _sample(record.id, image, record.question, record.bboxes, right, "which")


def _sample(
    sample_id: str,
    image: str,
    question: str,
    boxes: Sequence[Box],
    right: int,
    kind: str,
    box_ids: tuple[str, ...] = (),
) -> Sample:
    return Sample(
        id=sample_id,
        image=image,
        question=plain(question),
        choices=tuple(f"<r{k}>" for k in range(N_OPTIONS)),
        target="ABCD"[right],
        regions=tuple(Region(box=box) for box in boxes),
        target_region=right,
        choice_ids=box_ids,
        group=PurePosixPath(image).stem,
        tags={"question_type": (kind,)},
    )
