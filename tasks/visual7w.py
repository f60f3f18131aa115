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
from pathlib import Path, PurePosixPath
from random import Random

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
)
from vipbench.schema import Box, DataSource, Problem, Region, Sample

IMAGE_FOLDERS = ("", "v7w", "images", "visual7w_images", "visual7w/images")
N_OPTIONS = 4


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
    image_id: int
    filename: str
    qa_pairs: list[dict[str, object]]


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
    yield from (_raw if layout == "raw" else _preprocessed)(file, source.images)


def _raw(file: QuestionFile, images: Path) -> Iterator[Sample | Problem]:
    content = file.content
    if not isinstance(content, dict) or not all(
        isinstance(content[key], list) for key in ("images", "boxes")
    ):
        raise DataError(f"{file.path}: 'images' and 'boxes' must be lists")
    boxes = _by_id(content["boxes"], file.path)
    test = [
        (index, image)
        for index, image in enumerate(content["images"])
        if isinstance(image, dict) and image.get("split") == "test"
    ]
    if not test:
        raise DataError(f"{file.path}: no image has split 'test' · expected the full release")
    for index, entry in test:
        where = f"{file.path.name} images[{index}]"
        try:
            image = parse(_RawImage, entry, where)
        except BadRecord as error:
            yield Problem(id=str(entry.get("image_id", where)), code=error.code, message=str(error))
            continue
        path = find_image(images, image.filename, IMAGE_FOLDERS)
        for n, question in enumerate(image.qa_pairs):
            make = partial(_raw_sample, question, f"{where}.qa_pairs[{n}]", path, boxes)
            yield from attempt(f"v7w-{question.get('qa_id')}", make)


def _by_id(values: list[object], path: Path) -> dict[object, object]:
    boxes: dict[object, object] = {
        value.get("box_id"): value for value in values if isinstance(value, dict)
    }
    if len(boxes) < len(values):
        raise DataError(
            f"{path}: {len(values)} boxes have only {len(boxes)} different 'box_id' ·"
            " expected one an entry, since answers refer to boxes by it"
        )
    return boxes


def _raw_sample(
    entry: dict[str, object], where: str, image: str, boxes: dict[object, object]
) -> Sample:
    question = parse(_RawQuestion, entry, where)
    ids = [question.answer, *question.multiple_choices]
    if len(ids) != N_OPTIONS or len(set(ids)) != N_OPTIONS:
        raise BadRecord(
            f"{where}: answer {question.answer} and multiple_choices {question.multiple_choices}"
            f" are not {N_OPTIONS} different boxes"
        )
    Random(f"v7w-{question.qa_id}").shuffle(ids)
    corners = []
    for box_id in ids:
        if box_id not in boxes:
            raise BadRecord(f"{where}: box {box_id} is not among the file's boxes", "missing_box")
        box = parse(_RawBox, boxes[box_id], f"{where}: box {box_id}")
        corners.append((box.x, box.y, box.x + box.width, box.y + box.height))
    return _sample(
        f"v7w-{question.qa_id}",
        image,
        question.question,
        corners,
        ids.index(question.answer),
        question.type,
        tuple(map(str, ids)),
    )


def _preprocessed(file: QuestionFile, images: Path) -> Iterator[Sample | Problem]:
    for where, value in file.records():
        sample_id = str(value.get("id", where)) if isinstance(value, dict) else where
        yield from attempt(sample_id, partial(_preprocessed_sample, value, where, images))


def _preprocessed_sample(value: object, where: str, images: Path) -> Sample:
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
