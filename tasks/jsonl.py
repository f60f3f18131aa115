"""One's own data, without Python: JSON lines, one question a line.

    {"image": "cats/1.jpg", "question": "What is <r0> doing?", "box": [10, 20, 110, 220],
     "choices": ["sleeping", "eating"], "answer": "eating"}

Keys:
    image: path below the image root.
    images: in place of `image`, the paths of several images, in the order in which they are shown.
    region_images: of each region, the index in `images` of the image that it lies in, from 0; with
        one region, a number will do. Needed where there are several images.
    question: may mention regions as `<r0>`, `<r1>`, ...; so may the choices.
    box, boxes, polygons, points: the regions. One box is [x0, y0, x1, y1]; `boxes`, `polygons` and
        `points` are lists with one entry a region. A polygon is a list of [x, y], or a list of such
        lists for a region in several parts; a point is [x, y]. With boxes and polygons together,
        entry k of both is region k. All in px of the image as stored, origin top left, unless
        `box_format`, or `boxes` or `exif` of the task, says otherwise.
    box_format: what the numbers of this line are: xyxy (px), xywh (px), fractions or thousandths.
    mask, masks, mask_rles: the regions by their pixels; `mask` is one, the others have one entry a
        region. An entry is an object of COCO's run lengths, {"size": [height, width], "counts": …}
        with a list or compressed text, or the path of a PNG below the image root, whose pixels
        other than 0 are the region.
    label_map: path of a PNG in which each value but 0 is a region, in the order of the values.
    choices: the options A, B, C, ...; left out for an open question.
    answer: the text; for choices the letter, or the text of one option.
    id: default `<file>-<line>`.
    group: questions of one group are one cluster in the statistics; default the (first) image.
    label, labels: what the text calls the region(s); default "object".
    tags: {"axis": "value"} or {"axis": ["value", ...]}, for the breakdown.
    run: what `vipbench export` says about an earlier answer; ignored.

The task's YAML says `reader: jsonl` and the kind: choice for questions with choices, else
short_answer or graded. `--data KEY=FILE`, or a folder that holds exactly one `.jsonl` file; KEY is
the task's `data`.
"""

import re
import string
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Strict

from vipbench.data import decode_rle, mask_region, read_labels, read_mask, safe_path
from vipbench.errors import DataError
from vipbench.geometry import bounds
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Number,
    QuestionFile,
    Xyxy,
    attempt,
    entries,
    parse,
    read_questions,
    stated_id,
)
from vipbench.schema import Box, BoxUnits, DataSource, Polygon, Problem, Region, Sample

LETTERS = string.ascii_uppercase
BOX_FORMATS: dict[str, BoxUnits] = {
    "xyxy": "pixels",
    "xywh": "xywh",
    "fractions": "fractions",
    "thousandths": "thousandths",
}
SHAPES = ("box", "boxes", "points")
MASKS = ("mask", "masks", "mask_rles", "label_map")

Mask = str | dict[str, object]

Xy = Annotated[tuple[Number, Number], Strict(False)]


class _Record(DataRecord):
    model_config = ConfigDict(extra="forbid")

    image: str | None = None
    images: list[str] | None = None
    region_images: int | list[int] | None = None
    question: str
    answer: str
    choices: list[str] | None = None
    box: Xyxy | None = None
    boxes: list[Xyxy] | None = None
    polygons: list[list[Xy] | list[list[Xy]]] | None = None
    points: list[Xy] | None = None
    box_format: Literal["xyxy", "xywh", "fractions", "thousandths"] | None = None
    mask: Mask | None = None
    masks: list[Mask] | None = None
    mask_rles: list[Mask] | None = None
    label_map: str | None = None
    id: str | int | None = None
    group: str | int | None = None
    label: str | None = None
    labels: list[str] | None = None
    tags: dict[str, str | list[str]] | None = None
    run: dict[str, object] | None = None


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield one sample a line.

    Raises:
        DataError: The JSON is broken (the message has file, line and column), or there is no
            record.
    """
    file = _file(source.questions)
    for n, (where, value) in enumerate(file.records(), start=1):
        line = file.lines[n - 1] if file.lines else n
        default_id = f"{file.path.stem}-{line}"
        sample_id = stated_id(value, "id", default_id)
        yield from attempt(sample_id, partial(_sample, sample_id, value, where, source))


def _file(questions: Path) -> QuestionFile:
    path = questions
    if questions.is_dir():
        files = sorted(questions.glob("*.jsonl"))
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            raise DataError(
                f"{questions}: expected exactly one .jsonl file in the folder, found {names} ·"
                " name the file itself"
            )
        path = files[0]
    file = read_questions(path, written_by_hand=True)
    if not entries(file.content):
        raise DataError(f"{path}: holds no record · expected one JSON object a line")
    return file


def _sample(sample_id: str, value: object, where: str, source: DataSource) -> Sample:
    record = parse(_Record, value, where)
    units = _box_units(record, where, source)
    images = _images(record, where)
    regions, size = _regions(record, where, source)
    regions = _placed(record, regions, len(images), where)
    choices = tuple(record.choices or ())
    target = record.answer
    target_region = 0 if len(regions) == 1 else None
    if choices:
        right = _right_choice(record.answer, choices, where)
        target = LETTERS[right]
        if mention := re.fullmatch(r"<r(\d+)>", choices[right]):
            target_region = int(mention[1])
    return Sample(
        id=sample_id,
        image=images[0],
        images=images if len(images) > 1 else (),
        question=record.question,
        choices=choices,
        target=target,
        regions=regions,
        target_region=target_region,
        are_points=record.points is not None,
        box_units="pixels" if size else units,
        annotated_size=size,
        group=images[0] if record.group is None else str(record.group),
        tags={
            axis: (values,) if isinstance(values, str) else tuple(values)
            for axis, values in (record.tags or {}).items()
        },
    )


def _images(record: _Record, where: str) -> tuple[str, ...]:
    """Return the path of the image, or of all images."""
    if (record.image is None) == (record.images is None):
        has = "neither 'image' nor 'images'" if record.image is None else "'image' and 'images'"
        code = "bad_record" if record.image is None else "images"
        raise BadRecord(f"{where}: has {has} · expected one of them", code)
    images = tuple(record.images or ()) if record.image is None else (record.image,)
    if not images:
        raise BadRecord(f"{where}: 'images' is empty · expected the path of one or more", "images")
    masks = [key for key in MASKS if getattr(record, key) is not None]
    if len(images) > 1 and masks:
        raise BadRecord(
            f"{where}: has {masks[0]!r} and {len(images)} images · expected boxes, polygons or "
            "points, which can lie in any of them",
            "images",
        )
    return images


def _placed(
    record: _Record, regions: tuple[Region, ...], n_images: int, where: str
) -> tuple[Region, ...]:
    """Say of each region which image it lies in."""
    given = record.region_images
    if given is None:
        if n_images > 1 and regions:
            raise BadRecord(
                f"{where}: has {n_images} images and {len(regions)} regions, but no "
                "'region_images' · expected the index of the image, from 0, for each region",
                "images",
            )
        return regions
    indices = [given] if isinstance(given, int) else given
    if len(indices) != len(regions):
        raise BadRecord(
            f"{where}: {len(indices)} region_images, but {len(regions)} regions · expected one "
            "each",
            "images",
        )
    for index in indices:
        if not 0 <= index < n_images:
            raise BadRecord(
                f"{where}: region_images has {index}, but there are {n_images} images · expected "
                f"an index from 0 to {n_images - 1}",
                "no_such_image",
            )
    return tuple(
        region.model_copy(update={"image": index})
        for region, index in zip(regions, indices, strict=True)
    )


def _right_choice(answer: str, choices: tuple[str, ...], where: str) -> int:
    """Return the index of the right option, which `answer` names by its letter or its text."""
    if len(choices) > len(LETTERS):
        raise BadRecord(f"{where}: {len(choices)} choices · expected at most 26", "choices")
    indices = {k for k, choice in enumerate(choices) if choice == answer}
    if answer in tuple(LETTERS[: len(choices)]):
        indices.add(LETTERS.index(answer))
    if len(indices) != 1:
        what = "means more than one of" if indices else "is neither a letter nor the text of"
        raise BadRecord(
            f"{where}: answer {answer!r} {what} the choices {list(choices)!r:.80}",
            "answer_not_in_options",
        )
    return indices.pop()


def _box_units(record: _Record, where: str, source: DataSource) -> BoxUnits | None:
    """Return what the line says of its boxes; BadRecord where the file is said to be otherwise."""
    if record.box_format is None:
        return None
    units = BOX_FORMATS[record.box_format]
    if source.boxes not in (None, units):
        raise BadRecord(
            f"{where}: box_format {record.box_format!r}, but `boxes: {source.boxes}` is stated of"
            " the file · expected one of them, or both alike",
            "box_format",
        )
    return units


def _regions(
    record: _Record, where: str, source: DataSource
) -> tuple[tuple[Region, ...], tuple[int, int] | None]:
    """Return the regions, and width and height of the image where their masks say them."""
    masks = [key for key in MASKS if getattr(record, key) is not None]
    keys = [key for key in SHAPES if getattr(record, key) is not None]
    if len(masks) > 1 or (masks and (keys or record.polygons is not None)):
        named = ", ".join(map(repr, [*masks, *keys, *(["polygons"] if record.polygons else [])]))
        raise BadRecord(f"{where}: has {named} · expected masks alone, under one key")
    if masks:
        return _masked(record, where, source)
    if len(keys) > 1 or (record.points and record.polygons):
        raise BadRecord(f"{where}: expected only one of 'box', 'boxes' and 'points'")
    return _drawn(record, where), None


def _masked(
    record: _Record, where: str, source: DataSource
) -> tuple[tuple[Region, ...], tuple[int, int] | None]:
    """Return the regions of masks, and the size that all of them have."""
    regions: list[Region] = []
    sizes: dict[tuple[int, int], str] = {}
    for name, mask in _named_masks(record, where, source):  # one at a time: each may be large
        sizes.setdefault((mask.shape[1], mask.shape[0]), name)
        regions.append(mask_region(mask, name))
    if len(sizes) > 1:
        (one, first), (two, second) = list(sizes.items())[:2]
        raise BadRecord(
            f"{first} has {one[0]} x {one[1]} px, but {second} {two[0]} x {two[1]} px · expected"
            " all masks to have the size of the image",
            "bad_mask",
        )
    labels = _labels(record, len(regions), where)
    labelled = (
        region.model_copy(update={"label": label})
        for region, label in zip(regions, labels, strict=True)
    )
    return tuple(labelled), next(iter(sizes), None)


def _named_masks(
    record: _Record, where: str, source: DataSource
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield where each mask stands, and its pixels, bool (height, width)."""
    if record.label_map is not None:
        path = _mask_path(record.label_map, f"{where}: label_map", source)
        for label, mask in read_labels(path, f"{where}: label_map"):
            yield f"{where}: label_map, label {label}", mask
        return
    one = [] if record.mask is None else [record.mask]
    for index, value in enumerate(one or record.masks or record.mask_rles or ()):
        name = f"{where}: mask {index}"
        if isinstance(value, str):
            yield name, read_mask(_mask_path(value, name, source), name)
        else:
            yield name, decode_rle(value, name)


def _mask_path(relative: str, where: str, source: DataSource) -> Path:
    try:
        return safe_path(source.image_roots, relative)
    except DataError as error:
        raise BadRecord(f"{where}: {error}", "bad_mask") from error


def _drawn(record: _Record, where: str) -> tuple[Region, ...]:
    """Return the regions of boxes, polygons and points."""
    polygons = [_parts(polygon) for polygon in record.polygons or []]
    if any(len(part) < 3 for parts in polygons for part in parts):
        raise BadRecord(f"{where}: a polygon has fewer than 3 vertices", "bad_polygon")
    boxes: list[Box] = [record.box] if record.box else list(record.boxes or [])
    boxes = boxes or [(x, y, x, y) for x, y in record.points or []]
    boxes = boxes or [bounds(parts) for parts in polygons]
    if polygons and len(boxes) != len(polygons):
        raise BadRecord(f"{where}: {len(boxes)} boxes, but {len(polygons)} polygons")
    labels = _labels(record, len(boxes), where)
    return tuple(
        Region(box=box, polygons=parts, label=label)
        for box, parts, label in zip(boxes, polygons or [()] * len(boxes), labels, strict=True)
    )


def _labels(record: _Record, n: int, where: str) -> list[str]:
    labels = record.labels or [record.label or "object"] * n
    if len(labels) != n:
        raise BadRecord(f"{where}: {len(labels)} labels, but {n} regions")
    return labels


def _parts(polygon: list[Xy] | list[list[Xy]]) -> tuple[Polygon, ...]:
    """Return a region's polygons, written as one polygon or as a list of several."""
    single: list[Xy] = [entry for entry in polygon if isinstance(entry, tuple)]
    several = [tuple(entry) for entry in polygon if isinstance(entry, list)]
    return tuple(several) if several else (tuple(single),)
