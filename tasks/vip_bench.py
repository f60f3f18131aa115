"""ViP-Bench: 303 open questions on marked images; with the marks as released, or drawn anew.

The release folder: `vip-bench-meta-data.json` (question with `<obj>`, answer, capabilities),
`bbox/` and `human/` (each `questions.jsonl` and `images/`, with the marks in the pictures), and
`source_image/` (plain images, each with a LabelMe JSON of its regions). Instead of the folder, its
metadata file may be given. The judged text of a split is left as it is.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from vipbench.data import safe_path
from vipbench.errors import DataError
from vipbench.files import find_below
from vipbench.geometry import bounds
from vipbench.prompts.mark_words import marks_in_text
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Layout,
    Number,
    QuestionFile,
    annotated_size,
    attempt,
    entries,
    find_image,
    parse,
    plain,
    read_questions,
    recognise,
)
from vipbench.schema import DataSource, ImageRoots, Polygon, Problem, Region, Sample

PLACEHOLDER = re.compile(r"<(obj\d*)>")
SOURCE_FOLDERS = ("source_image", "")

NOUN_SLOT = re.compile(
    r"(?:^|[,;:.?!]|\b(?:an?|am|and|are|as|at|be|been|behind|below|beside|between|by|can|could|did|do"
    r"|does|for|from|had|has|have|in|into|is|like|near|nor|of|off|on|onto|or|over|than|that|the|to"
    r"|under|up|was|were|what|when|where|which|while|who|whose|why|will|with|would))[\s(\"']*$",
    re.IGNORECASE,
)
"""Text after which `<obj>` is a noun ("what is <obj>"). After any other word that noun is there
already ("the equation <obj>", "the person <obj>"), as in the released metadata, and the placeholder
stands for the position alone: "within the red rectangle"."""
LISTED = re.compile(r"[\s,]*(?:and|or)?\s*", re.IGNORECASE)
"""Between placeholders that are alike: "the equations <obj>, <obj1> and <obj2>"."""


class _Meta(DataRecord):
    image_source: str
    image: str
    question: str
    answer: str
    capability: list[str]


class _Question(DataRecord):
    question_id: int
    image: str
    text: str


class _Shape(DataRecord):
    label: str
    points: list[list[Number]]
    shape_type: str


class _LabelMe(DataRecord):
    shapes: list[object]
    imageWidth: object = None  # noqa: N815  # as LabelMe calls it
    imageHeight: object = None  # noqa: N815

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in px of the image as LabelMe showed it, where the file says so."""
        return annotated_size(self.imageWidth, self.imageHeight)


def _is_metadata(content: object) -> bool:
    return isinstance(content, dict) and any(
        {"answer", "capability"} <= record.keys()
        for record in content.values()
        if isinstance(record, dict)
    )


LAYOUTS = {
    "release": Layout(
        ("vip-bench-meta-data.json",),
        _is_metadata,
        "an object id -> record with 'image_source', 'question', 'answer' and 'capability'",
    )
}


def read_bbox(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions with tight boxes in the images; shape and color are read from the text.

    Raises:
        DataError: A file is missing, broken or not recognised.
    """
    yield from _read_marked(source, "bbox")


def read_human(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions with hand-drawn marks in the images; shape and color as in the text.

    Raises:
        DataError: A file is missing, broken or not recognised.
    """
    yield from _read_marked(source, "human")


def read_drawn(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions on the plain source images, with a region for each `<obj>`.

    A region that the question names itself ("the person <obj>") has an empty label.

    Raises:
        DataError: A file is missing, broken or not recognised.
    """
    _, file = recognise(source.questions, LAYOUTS)
    for sample_id, value in _metadata(file):
        where = f"{file.path.name} {sample_id}"
        try:
            sample, warnings = _drawn_sample(sample_id, value, where, source.image_roots)
        except BadRecord as error:
            yield Problem(id=sample_id, code=error.code, message=str(error))
            continue
        yield from warnings
        yield sample


def _shared(values: tuple[str, ...]) -> tuple[str]:
    """Return the breakdown value: the one that all marks share, `mixed`, or `unnamed` for none."""
    return ("mixed" if len(values) > 1 else values[0] if values else "unnamed",)


def _metadata(file: QuestionFile) -> list[tuple[str, object]]:
    return list(file.content.items()) if isinstance(file.content, dict) else []


def _read_marked(source: DataSource, split: str) -> Iterator[Sample | Problem]:
    _, file = recognise(source.questions, LAYOUTS)
    questions = read_questions(file.path.parent / split / "questions.jsonl")
    if not any({"question_id", "text"} <= record.keys() for record in entries(questions.content)):
        raise DataError(
            f"{questions.path}: not recognised · expected JSON lines with 'question_id', 'image'"
            " and 'text'"
        )
    metadata = dict(_metadata(file))
    records = list(questions.records())
    owners = _owners(records, metadata)
    # Records of the metadata that no line belongs to, and lines that belong to none, are the same
    # questions: each is counted once.
    left = [sample_id for sample_id in metadata if sample_id not in owners]
    unasked = iter(left)
    for index, (where, value) in enumerate(records):
        sample_id = _line_id(value)
        if sample_id is not None and owners.get(sample_id) == index:
            make = partial(
                _marked_sample, sample_id, value, metadata, where, split, source.image_roots
            )
            yield from attempt(sample_id, make)
        else:
            code, message = _stray(value, where, metadata)
            yield Problem(id=next(unasked, sample_id or where), code=code, message=message)
    for sample_id in unasked:
        message = f"{file.path.name} has {sample_id}, but {split}/questions.jsonl does not"
        yield Problem(id=sample_id, code="missing_question", message=message)


def _line_id(value: object) -> str | None:
    number = value.get("question_id") if isinstance(value, dict) else None
    return f"v1_{number}" if isinstance(number, int) and not isinstance(number, bool) else None


def _owners(records: list[tuple[str, object]], metadata: dict[str, object]) -> dict[str, int]:
    """Return for each id of the metadata which line asks it: of several, one with its image."""
    owners: dict[str, int] = {}
    for index, (_, value) in enumerate(records):
        sample_id = _line_id(value)
        if sample_id not in metadata:
            continue
        known, fits = owners.get(sample_id), _image(value) == _image(metadata[sample_id])
        if known is None or (fits and _image(records[known][1]) != _image(value)):
            owners[sample_id] = index
    return owners


def _image(value: object) -> object:
    return value.get("image") if isinstance(value, dict) else None


def _stray(value: object, where: str, metadata: dict[str, object]) -> tuple[str, str]:
    """Return code and message for a line that asks no record of the metadata."""
    sample_id = _line_id(value)
    try:
        parse(_Question, value, where)
    except BadRecord as error:
        return error.code, str(error)
    if sample_id in metadata:
        return "duplicate_id", f"{where}: {sample_id} is asked by another line"
    return "missing_metadata", f"{where}: the metadata has no {sample_id!r}"


def _marked_sample(
    sample_id: str,
    value: object,
    metadata: dict[str, object],
    where: str,
    split: str,
    images: ImageRoots,
) -> Sample:
    question = parse(_Question, value, where)
    meta = parse(_Meta, metadata[sample_id], f"metadata {sample_id}")
    if meta.image != question.image:
        raise BadRecord(
            f"{where}: image {question.image!r}, but {meta.image!r} in the metadata of {sample_id}",
            "image_mismatch",
        )
    shapes, colors = marks_in_text(question.text)
    return Sample(
        id=sample_id,
        image=find_image(images, question.image, (f"{split}/images", "images", "")),
        question=plain(question.text),
        target=meta.answer,
        group=PurePosixPath(meta.image_source).stem,
        tags={
            "capability": tuple(dict.fromkeys(meta.capability)),
            "shape": _shared(shapes),
            "color": _shared(colors),
        },
    )


def _drawn_sample(
    sample_id: str, value: object, where: str, images: ImageRoots
) -> tuple[Sample, list[Problem]]:
    meta = parse(_Meta, value, where)
    plain(meta.question)
    labels = list(dict.fromkeys(PLACEHOLDER.findall(meta.question)))
    image = find_image(images, meta.image_source, SOURCE_FOLDERS)
    regions, warnings = [], []
    size = None
    if labels:
        path, size, shapes = _labelme(images, image, meta.image)
        named = _named(meta.question)
        for label in labels:
            labelled = [n for n, shape in enumerate(shapes) if _label(shape) == label]
            if not labelled:
                readable = [known for known in map(_label, shapes) if known is not None]
                known = ", ".join(dict.fromkeys(readable)) or "none"
                if len(readable) < len(shapes):
                    known += f" ({len(shapes) - len(readable)} shapes have no readable label)"
                message = f"{path}: no shape has the label {label!r}; its labels: {known}"
                raise BadRecord(message, "missing_region")
            if len(labelled) > 1:
                message = (
                    f"{path}: {len(labelled)} shapes have the label {label!r}; the first counts"
                )
                warnings.append(
                    Problem(id=sample_id, code="ambiguous_region", message=message, warning=True)
                )
            name = "" if named[label] else "object"
            shape = parse(_Shape, shapes[labelled[0]], f"{path} shapes[{labelled[0]}]")
            regions.append(_region(shape, name, f"{path} {label}"))
    sample = Sample(
        id=sample_id,
        image=image,
        question=PLACEHOLDER.sub(lambda match: f"<r{labels.index(match[1])}>", meta.question),
        target=meta.answer,
        regions=tuple(regions),
        group=PurePosixPath(meta.image_source).stem,
        tags={"capability": tuple(dict.fromkeys(meta.capability))},
        annotated_size=size,
    )
    return sample, warnings


def _named(question: str) -> dict[str, bool]:
    """Return for each placeholder whether the question itself names what is there."""
    named: dict[str, bool] = {}
    end, last = 0, False
    for match in PLACEHOLDER.finditer(question):
        before = question[end : match.start()]
        if not (end and LISTED.fullmatch(before)):
            last = not NOUN_SLOT.search(before)
        named.setdefault(match[1], last)
        end = match.end()
    return named


def _label(shape: object) -> str | None:
    label = shape.get("label") if isinstance(shape, dict) else None
    return label if isinstance(label, str) else None


def _labelme(
    images: ImageRoots, image: str, marked: str
) -> tuple[str, tuple[int, int] | None, list[object]]:
    """Read size and regions beside a source image: those of one question, else those of the image.

    The release keeps one file an image, named like it (other projects that use these files read
    them so, and take the shape whose label is the placeholder's name).
    """
    if not (PurePosixPath(image).name and PurePosixPath(marked).name):
        raise BadRecord(f"images {image!r} and {marked!r}: expected the names of two files")
    folder = PurePosixPath(image).parent
    path = (folder / PurePosixPath(marked).with_suffix(".json").name).as_posix()
    try:
        if not find_below(images, path):
            path = PurePosixPath(image).with_suffix(".json").as_posix()
        file = read_questions(safe_path(images, path))
    except DataError as error:
        raise BadRecord(str(error), "bad_labelme") from error
    content = parse(_LabelMe, file.content, path)
    return path, content.size, content.shapes


def _region(shape: _Shape, label: str, where: str) -> Region:
    """Turn a LabelMe shape into a region: two corners in any order, or a polygon's vertices."""
    needed = {"rectangle": 2, "polygon": 3}.get(shape.shape_type)
    if needed is None:
        raise BadRecord(
            f"{where}: shape_type {shape.shape_type!r} · expected rectangle or polygon",
            "bad_region",
        )
    if len(shape.points) < needed or any(len(point) != 2 for point in shape.points):
        raise BadRecord(
            f"{where}: points {shape.points!r:.60} · expected {needed} or more [x, y]", "bad_region"
        )
    vertices: Polygon = tuple((x, y) for x, y in shape.points)
    return Region(
        box=bounds((vertices,)),
        polygons=(vertices,) if shape.shape_type == "polygon" else (),
        label=label,
    )
