"""Visual Commonsense Reasoning: Q->A and QA->R on the validation split, with labels.

Raw: `val.jsonl` with the metadata JSONs below `vcr1images/`. Preprocessed: ViP-LLaVA's
`vcr-val.json`, the same token lists with the metadata's path under `meta_dir`, whose `./dataset`
stands for the image root. Where a folder holds both, the raw file is read. Boxes and polygons come
from the metadata in either case.

Only objects that a text mentions become regions. QA->R hands the model the right answer, and draws
what question, right answer and rationales mention.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError

from vipbench.data import safe_path
from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Layout,
    Number,
    QuestionFile,
    annotated_size,
    entries,
    find_image,
    parse,
    plain,
    read_questions,
    recognise,
    stated_id,
)
from vipbench.schema import DataSource, ImageRoots, Polygon, Problem, Region, Sample

IMAGE_FOLDERS = ("vcr1images", "")
DATASET_PREFIX = "./dataset"
"""What `meta_dir` of the preprocessed file starts with; the official code puts the image folder in
its place. Source: ViP-LLaVA, visual_prompt_organizer.py, line 656."""
MIN_VERTICES = 4
"""Polygons with fewer are left out. Source: visual_prompt_organizer.py, line 669."""
CLOSE_UP = frozenset(".,?!:;")
"""Tokens that no space is put before. Source: visual_prompt_organizer.py, `get_all_qa`."""
N_OPTIONS = 4

_POLYGON: TypeAdapter[Polygon] = TypeAdapter(tuple[tuple[Number, Number], ...])
"""A list of [x, y]; checked in compiled code, since the data hold millions of vertices."""

_BOX: TypeAdapter[tuple[float, ...]] = TypeAdapter(tuple[Number, Number, Number, Number, Number])
"""x0, y0, x1, y1, score."""

Token = str | list[int]
"""A word, or the list of 0-based object indices that stands for a mention."""


class _Record(DataRecord):
    question: list[Token]
    answer_choices: list[list[Token]]
    answer_label: Literal[0, 1, 2, 3]


class _RationaleRecord(_Record):
    rationale_choices: list[list[Token]]
    rationale_label: Literal[0, 1, 2, 3]


class _Raw(DataRecord):
    annot_id: str
    img_fn: str
    metadata_fn: str
    objects: list[object]


class _Preprocessed(DataRecord):
    id: str
    image: str
    meta_dir: str
    class_names: list[object]


class _Metadata(DataRecord):
    """Boxes and outlines of an image; one that is broken is so for those who mention it."""

    boxes: list[object]
    segms: list[object]
    width: object = None
    height: object = None


class _Scene(NamedTuple):
    """What a question is about, the same for both layouts."""

    id: str
    image: str
    metadata: str
    """Path of the metadata JSON below the image root."""
    names: list[object]
    """Checked, like boxes and outlines, when a text mentions the object."""


def _is_raw(content: object) -> bool:
    return any({"img_fn", "answer_choices"} <= record.keys() for record in entries(content))


def _is_preprocessed(content: object) -> bool:
    return any({"meta_dir", "answer_choices"} <= record.keys() for record in entries(content))


LAYOUTS = {
    "raw": Layout(
        ("val.jsonl", "vcr1annots/val.jsonl"),
        _is_raw,
        "the raw release: JSON lines with 'img_fn', 'question' and 'answer_choices'",
    ),
    "preprocessed": Layout(
        ("vcr-val.json",),
        _is_preprocessed,
        "ViP-LLaVA's file: a list of records with 'meta_dir', 'question' and 'answer_choices'",
    ),
}


def read_qa(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield Q->A: the question with its four answers.

    Raises:
        DataError: A file is broken, not recognised, or without labels.
    """
    yield from _read(source, "answer_label", _qa)


def read_qar(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield QA->R: the question, its right answer and the four rationales.

    Raises:
        DataError: A file is broken, not recognised, or without labels.
    """
    yield from _read(source, "rationale_label", _qar)


def read_turns(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the rationale as a second turn, after the question with its answers and the right one.

    Raises:
        DataError: A file is broken, not recognised, or without labels.
    """
    yield from _read(source, "rationale_label", _turns)


class _Texts(NamedTuple):
    """The token lists of one sample, and the index of the right choice."""

    question: list[Token]
    given_answer: list[Token]
    choices: list[list[Token]]
    right: int
    given_choices: Sequence[list[Token]] = ()
    given_right: int | None = None


def _qa(value: object, where: str) -> _Texts:
    record = parse(_Record, value, where)
    return _Texts(record.question, [], record.answer_choices, record.answer_label)


def _qar(value: object, where: str) -> _Texts:
    record = parse(_RationaleRecord, value, where)
    if len(record.answer_choices) != N_OPTIONS:
        raise BadRecord(f"{where}: {len(record.answer_choices)} answers · expected 4", "choices")
    answer = record.answer_choices[record.answer_label]
    return _Texts(record.question, answer, record.rationale_choices, record.rationale_label)


def _turns(value: object, where: str) -> _Texts:
    record = parse(_RationaleRecord, value, where)
    if len(record.answer_choices) != N_OPTIONS:
        raise BadRecord(f"{where}: {len(record.answer_choices)} answers · expected 4", "choices")
    return _Texts(
        record.question,
        [],
        record.rationale_choices,
        record.rationale_label,
        record.answer_choices,
        record.answer_label,
    )


def _read(
    source: DataSource, label: str, texts: Callable[[object, str], _Texts]
) -> Iterator[Sample | Problem]:
    layout, file = recognise(source.questions, LAYOUTS)
    _require_labels(file, label)
    metadata = _MetadataFiles(source.image_roots)
    key, scene_of = ("annot_id", _raw) if layout == "raw" else ("id", _preprocessed)
    for where, value in file.records():
        sample_id = stated_id(value, key, where)
        try:
            scene = scene_of(value, where, source.image_roots)
            sample, warnings = _sample(scene, texts(value, where), metadata, where)
        except BadRecord as error:
            yield Problem(id=sample_id, code=error.code, message=str(error))
            continue
        yield from warnings
        yield sample


def _require_labels(file: QuestionFile, label: str) -> None:
    if not any(label in record for record in entries(file.content)):
        raise DataError(
            f"{file.path}: no record has {label!r}; scoring needs the labels, which the test split"
            " lacks: give the validation split"
        )


def _raw(value: object, where: str, images: ImageRoots) -> _Scene:
    record = parse(_Raw, value, where)
    return _Scene(
        record.annot_id,
        find_image(images, record.img_fn, IMAGE_FOLDERS),
        find_image(images, record.metadata_fn, IMAGE_FOLDERS),
        record.objects,
    )


def _preprocessed(value: object, where: str, images: ImageRoots) -> _Scene:
    record = parse(_Preprocessed, value, where)
    metadata = record.meta_dir.removeprefix(DATASET_PREFIX).removeprefix("/")
    return _Scene(
        record.id,
        find_image(images, record.image, IMAGE_FOLDERS),
        find_image(images, metadata, IMAGE_FOLDERS),
        record.class_names,
    )


class _MetadataFiles:
    """Reads metadata JSONs; the last one is kept, since an image's questions follow each other."""

    def __init__(self, images: ImageRoots) -> None:
        self.images = images
        self._last: tuple[str, _Metadata] | None = None

    def read(self, path: str) -> _Metadata:
        if self._last is None or self._last[0] != path:
            try:
                file = read_questions(safe_path(self.images, path))
            except DataError as error:
                raise BadRecord(str(error), "bad_metadata") from error
            self._last = path, parse(_Metadata, file.content, path)
        return self._last[1]


def _sample(
    scene: _Scene, texts: _Texts, metadata: _MetadataFiles, where: str
) -> tuple[Sample, list[Problem]]:
    if len(texts.choices) != N_OPTIONS:
        raise BadRecord(f"{where}: {len(texts.choices)} choices · expected 4", "choices")
    objects = _mentioned((texts.question, *texts.given_choices, texts.given_answer, *texts.choices))
    regions_of = {index: region for region, index in enumerate(objects)}
    # Without a mention nothing is drawn, and the metadata is not needed.
    boxes = metadata.read(scene.metadata) if objects else _Metadata(boxes=[], segms=[])
    regions = []
    warnings = []
    for index in objects:
        region, fault = _region(index, scene, boxes, where)
        regions.append(region)
        if fault:
            code, what = fault
            message = f"{scene.metadata}: object {index} ({region.label}) {what}"
            warnings.append(Problem(id=scene.id, code=code, message=message, warning=True))
    complete = all(region.polygons for region in regions)
    sample = Sample(
        id=scene.id,
        image=scene.image,
        question=_text(texts.question, regions_of),
        choices=tuple(_text(choice, regions_of) for choice in texts.choices),
        given_choices=tuple(_text(choice, regions_of) for choice in texts.given_choices),
        given_target="" if texts.given_right is None else "ABCD"[texts.given_right],
        target="ABCD"[texts.right],
        regions=tuple(regions),
        given_answer=_text(texts.given_answer, regions_of),
        group=scene.image.removeprefix("vcr1images/"),
        # The official code cannot draw an object without polygon, and asks another question.
        tags={"polygons": ("complete" if complete else "missing",)},
        annotated_size=annotated_size(boxes.width, boxes.height),
    )
    return sample, warnings


def _mentioned(corpus: Sequence[list[Token]]) -> list[int]:
    """List the objects that the texts mention, each once, in the official drawing order.

    The official code takes the order of a Python set (visual_prompt_organizer.py,
    `get_all_instances`); marks that overlap look different in another one.
    """
    mentions = [
        index for tokens in corpus for token in tokens if isinstance(token, list) for index in token
    ]
    return list(set(mentions))


def _region(
    index: int, scene: _Scene, metadata: _Metadata, where: str
) -> tuple[Region, tuple[str, str] | None]:
    """Build the region of an object; also return code and words for a fault in its polygons."""
    n = min(len(scene.names), len(metadata.boxes), len(metadata.segms))
    if not 0 <= index < n:
        raise BadRecord(
            f"{where}: object {index} is mentioned · expected 0 to {n - 1}, since there are"
            f" {len(scene.names)} names, {len(metadata.boxes)} boxes, {len(metadata.segms)} segms",
            "mention",
        )
    name, value = scene.names[index], metadata.boxes[index]
    if not isinstance(name, str):
        raise BadRecord(f"{where}: name {index} = {name!r:.60} · expected a text")
    try:
        x0, y0, x1, y1, _ = _BOX.validate_python(value)
    except ValidationError as error:
        raise BadRecord(
            f"{scene.metadata}: box {index} = {value!r:.60} · expected x0, y0, x1, y1, score"
        ) from error
    polygons, broken = _polygons(metadata.segms[index])
    fault = None
    if broken:
        fault = "bad_polygon", "has a polygon that is not a list of [x, y]; it is left out"
    elif not polygons:
        what = f"has no polygon of {MIN_VERTICES} or more vertices; marks are drawn from its box"
        fault = "no_polygon", what
    region = Region(box=(x0, y0, x1, y1), polygons=polygons, label=plain(name))
    return region, fault


def _polygons(value: object) -> tuple[tuple[Polygon, ...], bool]:
    """Return the usable polygons in official (reverse) order, and whether any is malformed.

    Source: visual_prompt_organizer.py, lines 666-670.
    """
    if not isinstance(value, list):
        return (), True
    polygons = []
    broken = False
    for points in reversed(value):
        vertices = _vertices(points)
        broken = broken or vertices is None
        if vertices and len(vertices) >= MIN_VERTICES:
            polygons.append(vertices)
    return tuple(polygons), broken


def _vertices(points: object) -> Polygon | None:
    try:
        return _POLYGON.validate_python(points)
    except ValidationError:
        return None


def _text(tokens: list[Token], regions_of: dict[int, int]) -> str:
    """Join tokens as the official code does; a mention of an object becomes `<rK>`, its region.

    Each mention brings a space before it unless it opens the text, several in one token are joined
    with "and", and a space goes before every following word that is not one of `CLOSE_UP` (so `'`
    and `s` stand apart). Source: visual_prompt_organizer.py, `get_all_qa`.
    """
    text = ""
    for at, token in enumerate(tokens):
        if isinstance(token, str):
            text += plain(token)
        else:
            for n, index in enumerate(token):
                text += "" if at == 0 and n == 0 else " "
                text += f"<r{regions_of[index]}>"
                text += "" if n == len(token) - 1 else " and"
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if isinstance(following, str) and following not in CLOSE_UP:
            text += " "
    return text
