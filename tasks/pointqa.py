"""PointQA: LookTwice (how many of these?) and Local (what colour is it?), on Visual Genome images.

Raw LookTwice: `looktwiceqa_dataset.json`, an object image id -> questions, each with three wordings
and the box (x, y, w, h in px) of one of the counted things, and `looktwiceqa_test_imgs.json`, the
list of test image ids. Preprocessed: ViP-LLaVA's `pointQA_twice_test.json`, a list of records with
one box (x0, y0, x1, y1). Raw Local: `localqa_dataset.json` with `localqa_testfinal_imgs.json`; one
question is asked of several points with different answers, and becomes one sample a point. The
questions of an image are numbered in file order. Where a folder holds raw and preprocessed files,
the raw ones are read. The split file lies beside the dataset.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from pydantic import Field

from vipbench.errors import DataError, nearest
from vipbench.files import AmbiguousFile, find_below
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
    read_questions,
    recognise,
    stated_id,
    uncounted,
)
from vipbench.schema import Box, DataSource, ImageRoots, Problem, Region, Sample, Tags

IMAGE_FOLDERS = (
    "VG_100K",
    "VG_100K_2",
    "vg/VG_100K",
    "vg/VG_100K_2",
    "images/VG_100K",
    "images2/VG_100K_2",
    "images",
    "",
)
"""Where Visual Genome images lie: in ViP-LLaVA's tree, as unpacked from the two archives, flat."""
ATTRIBUTES = ("color", "shape", "action")
"""What LocalQA asks for. Source: pointingqa, create_localqa_dataset.py, `property_att_map`."""
LOOKTWICE_TEST = "looktwiceqa_test_imgs.json"
LOCAL_TEST = "localqa_testfinal_imgs.json"
CENTER_TOLERANCE = 1.0
"""px: points are rounded centres of their boxes."""


class _Xywh(DataRecord):
    x: Number
    y: Number
    w: Number
    h: Number


class _Point(DataRecord):
    x: Number
    y: Number
    ans: str


class _LookTwice(DataRecord):
    ans: str
    bbox: _Xywh
    obj_type: str = ""
    supercategory: str = ""


class _Local(DataRecord):
    question: str
    points: list[object]
    all_objs: tuple[object, ...] = Field(default=(), strict=False)


class _Record(DataRecord):
    id: str
    image: str
    answer: str
    bboxes: list[Xyxy]


def _questions(content: object) -> Iterator[dict[str, object]]:
    """Yield the questions of a raw dataset file."""
    if isinstance(content, dict):
        for values in content.values():
            yield from entries(values) if isinstance(values, list) else ()


def _is_looktwice(content: object) -> bool:
    return any({"ans", "bbox"} <= question.keys() for question in _questions(content))


def _is_local(content: object) -> bool:
    return any({"question", "points"} <= question.keys() for question in _questions(content))


def _is_preprocessed(content: object) -> bool:
    return any({"general_question", "bboxes"} <= record.keys() for record in entries(content))


def _names(folder: str, name: str) -> tuple[str, ...]:
    return name, f"{folder}/{name}", f"Datasets/{folder}/{name}"


LOOKTWICE = {
    "raw": Layout(
        _names("LookTwiceQA", "looktwiceqa_dataset.json"),
        _is_looktwice,
        "the raw release: an object image id -> questions with 'ans' and 'bbox'",
    ),
    "preprocessed": Layout(
        ("pointQA_twice_test.json",),
        _is_preprocessed,
        "ViP-LLaVA's file: a list of records with 'general_question' and 'bboxes'",
    ),
}
LOCAL = {
    "raw": Layout(
        _names("LocalQA", "localqa_dataset.json"),
        _is_local,
        "the raw release: an object image id -> questions with 'question' and 'points'",
    )
}


def read_general(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield LookTwice questions that give no hint: "How many of these are there?"."""
    yield from _looktwice(source, "general_question")


def read_super(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield LookTwice questions that name the supercategory: "… of these beings …"."""
    yield from _looktwice(source, "super_question")


def read_object(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield LookTwice questions that name the object: "How many cats are there?"."""
    yield from _looktwice(source, "obj_question")


def read_local(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield LocalQA questions, one a point; the region is the point's box, else the point itself.

    Raises:
        DataError: A file is broken or not recognised, or the split file is missing.
    """
    _, file = recognise(source.questions, LOCAL)
    for image_id, questions in _test_images(file, LOCAL_TEST):
        if isinstance(questions, Problem):
            yield questions
            continue
        image = _image_path(source.image_roots, image_id)
        position = 0
        for n, value in enumerate(questions):
            where = f"{file.path.name} {image_id}[{n}]"
            for k in range(_n_points(value)):
                sample_id = f"{image_id}-{position}"
                make = partial(_local_sample, sample_id, value, k, where, image)
                yield from attempt(sample_id, make)
                position += 1


def _n_points(question: object) -> int:
    """Count what a question becomes: a sample a point; one error where no point is listed."""
    points = question.get("points") if isinstance(question, dict) else None
    return len(points) if isinstance(points, list) and points else 1


def _looktwice(source: DataSource, key: str) -> Iterator[Sample | Problem]:
    layout, file = recognise(source.questions, LOOKTWICE)
    if layout == "raw":
        _require(key, list(_questions(file.content)), file.path)
        for image_id, questions in _test_images(file, LOOKTWICE_TEST):
            if isinstance(questions, Problem):
                yield questions
                continue
            image = _image_path(source.image_roots, image_id)
            for n, value in enumerate(questions):
                where = f"{file.path.name} {image_id}[{n}]"
                make = partial(_looktwice_sample, f"{image_id}-{n}", value, key, where, image)
                yield from attempt(f"{image_id}-{n}", make)
        return
    _require(key, entries(file.content), file.path)
    for where, value in file.records():
        make = partial(_preprocessed_sample, value, key, where, source.image_roots)
        yield from attempt(stated_id(value, "id", where), make)


def _require(key: str, records: list[dict[str, object]], path: Path) -> None:
    if not any(key in record for record in records):
        known = nearest(key, records[0])
        raise DataError(f"{path}: no record has the key {key!r} that this task asks{known}")


def _test_images(file: QuestionFile, name: str) -> Iterator[tuple[str, list[object] | Problem]]:
    """Yield image id and questions of each test image, in the order of the split file.

    An entry that names no image, or one that was named before, is a problem of its own.
    """
    content = file.content if isinstance(file.content, dict) else {}
    split = _split_file(file.path, name)
    image_ids = _image_ids(read_questions(split).content, split)
    if not any(image_id in content for image_id in image_ids):
        raise DataError(f"{split}: none of its image ids is in {file.path}; are they one release?")
    named: set[str] = set()
    for n, image_id in enumerate(image_ids):
        where = f"{split.name}[{n}]"
        if image_id is None:
            message = f"{where}: not an image id · how many questions its image has is unknown"
            yield where, Problem(id=where, code="bad_image_id", message=message)
        elif image_id in named:
            message = f"{where}: image {image_id} stands more than once in the list"
            yield where, Problem(id=where, code="duplicate_image", message=message)
        elif isinstance(questions := content.get(image_id), list):
            yield image_id, questions
        else:
            what = f"{file.path.name}: image {image_id} of {where}"
            message = uncounted(what, questions)
            yield image_id, Problem(id=image_id, code="no_questions", message=message)
        named.update(() if image_id is None else (image_id,))


def _split_file(dataset: Path, name: str) -> Path:
    """Find the list of test images: by its official name, else the only one that says `test`."""
    path = dataset.with_name(name)
    if path.is_file():
        return path
    others = [
        other
        for other in sorted(dataset.parent.glob("*test*.json"))
        if other != dataset and "dev" not in other.name and _is_split(other)
    ]
    if len(others) != 1:
        names = ", ".join(other.name for other in others) or "none"
        raise DataError(
            f"{path}: does not exist · expected the list of test image ids beside"
            f" {dataset.name} (files that could be it: {names})"
        )
    return others[0]


def _is_split(path: Path) -> bool:
    content = read_questions(path).content
    return isinstance(content, list) and any(map(_is_id, content)) and not entries(content)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _image_ids(content: object, path: Path) -> list[str | None]:
    """Read a split file, a list of ids or an object keyed by them; None for what is not an id."""
    ids = list(content) if isinstance(content, list | dict) else []
    if not any(map(_is_id, ids)):
        raise DataError(f"{path}: expected a list of image ids, or an object keyed by them")
    return [str(i) if _is_id(i) else None for i in ids]


def _image_path(images: ImageRoots, image_id: str) -> str | BadRecord:
    """Find an image by its id: Visual Genome's are JPEG, made-up data may hold PNG.

    Where it cannot be told which image is meant, that is returned, as the fault of each question.
    """
    try:
        for suffix in (".jpg", ".png"):
            path = find_image(images, image_id + suffix, IMAGE_FOLDERS)
            if find_below(images, path):
                return path
    except BadRecord as error:
        return error
    except AmbiguousFile as error:
        return BadRecord(str(error), "ambiguous_image")
    return image_id + ".jpg"


def _usable(image: str | BadRecord, where: str) -> str:
    if isinstance(image, BadRecord):
        raise BadRecord(f"{where}: its image cannot be used: {image}", image.code)
    return image


def _looktwice_sample(
    sample_id: str, value: object, key: str, where: str, image: str | BadRecord
) -> Sample:
    record = parse(_LookTwice, value, where)
    tags: Tags = {"answer": (record.ans,)}
    if record.obj_type:
        tags["obj_type"] = (record.obj_type,)
    if record.supercategory:
        tags["supercategory"] = (record.supercategory,)
    region = Region(box=_xyxy(record.bbox))
    asked = _question(value, key, where)
    return _sample(sample_id, _usable(image, where), asked, record.ans, region, tags)


def _preprocessed_sample(value: object, key: str, where: str, images: ImageRoots) -> Sample:
    record = parse(_Record, value, where)
    if len(record.bboxes) != 1:
        raise BadRecord(f"{where}: {len(record.bboxes)} bboxes · expected exactly 1", "n_boxes")
    return _sample(
        record.id,
        find_image(images, record.image, IMAGE_FOLDERS),
        _question(value, key, where),
        record.answer,
        Region(box=record.bboxes[0]),
        {"answer": (record.answer,)},
    )


def _local_sample(
    sample_id: str, value: object, k: int, where: str, image: str | BadRecord
) -> Sample:
    question = parse(_Local, value, where)
    if not question.points:
        raise BadRecord(f"{where}: has no points · expected one or more")
    point = parse(_Point, question.points[k], f"{where}.points[{k}]")
    words = question.question.split()
    asked = words[1].lower() if len(words) > 1 else ""
    box = _box_at(point, k, question.all_objs, where)
    sample = _sample(
        sample_id,
        _usable(image, where),
        question.question,
        point.ans,
        Region(box=box),
        {"attribute": (asked if asked in ATTRIBUTES else "other",)},
    )
    return sample.model_copy(update={"are_points": box == (point.x, point.y, point.x, point.y)})


def _box_at(point: _Point, k: int, objects: tuple[object, ...], where: str) -> Box:
    """Return the box of the object that a point was set on, else a box without area at the point.

    `all_objs` runs parallel to the points as the creation script writes it, so the object with the
    same index is tried first; a box counts only where the point is its centre. BadRecord where
    none does and one cannot be read, since that one may be the point's.
    """
    unreadable = None
    for index in (*range(len(objects))[k : k + 1], *range(len(objects))):
        try:
            box = parse(_Xywh, objects[index], f"{where}.all_objs[{index}]")
        except BadRecord as error:
            unreadable = unreadable or error
            continue
        x0, y0, x1, y1 = _xyxy(box)
        off = max(abs((x0 + x1) / 2 - point.x), abs((y0 + y1) / 2 - point.y))
        if off <= CENTER_TOLERANCE:
            return x0, y0, x1, y1
    if unreadable is not None:
        raise unreadable
    return point.x, point.y, point.x, point.y


def _question(value: object, key: str, where: str) -> str:
    question = value.get(key) if isinstance(value, dict) else None
    if not isinstance(question, str):
        raise BadRecord(f"{where}: {key} = {question!r}: expected the question as text")
    return question


def _xyxy(box: _Xywh) -> Box:
    return box.x, box.y, box.x + box.w, box.y + box.h


def _sample(
    sample_id: str, image: str, question: str, answer: str, region: Region, tags: Tags
) -> Sample:
    return Sample(
        id=sample_id,
        image=image,
        question=plain(question),
        target=answer,
        regions=(region,),
        target_region=0,
        group=PurePosixPath(image).stem,
        tags=tags,
    )
