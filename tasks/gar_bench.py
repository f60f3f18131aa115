"""GAR-Bench, questions with options: 424 questions about regions that are given by masks.

The release folder (`evaluation/GAR-Bench/annotations` of the authors' repository):
`GAR-Bench-VQA.json`, a list of records with `image` (`images/vqa_<n>.png`), `mask_rles` (COCO's
compressed run lengths), `question`, `choices` (`A. …`), `answer` (a letter) and `type`; and
`images/`. `<Prompt0>`, `<Prompt1>`, … stand for the masks in their order, in questions and choices.
`image_path` names a file of the authors' machine and is not looked at.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from vipbench.data import decode_rle, mask_region
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
)
from vipbench.schema import DataSource, ImageRoots, Problem, Region, Sample

PLACEHOLDER = re.compile(r"<Prompt(\d{1,9})>")
LABEL = re.compile(r"([A-Z])\. ?")
IMAGE_FOLDERS = ("", "annotations", "GAR-Bench/annotations", "evaluation/GAR-Bench/annotations")


class _Record(DataRecord):
    image: str
    mask_rles: list[object]
    question: str
    choices: list[str]
    answer: str
    type: str


def _is_questions(content: object) -> bool:
    return any(
        {"image", "mask_rles", "question", "choices", "answer"} <= record.keys()
        for record in entries(content)
    )


LAYOUTS = {
    "release": Layout(
        tuple(f"{folder}/GAR-Bench-VQA.json".lstrip("/") for folder in IMAGE_FOLDERS),
        _is_questions,
        "a list of records with 'image', 'mask_rles', 'question', 'choices' and 'answer'",
    )
}


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions, with a region for each mask, in px of the image.

    Raises:
        DataError: The file is missing, broken or not recognised.
    """
    _, file = recognise(source.questions, LAYOUTS)
    for where, value in file.records():
        make = partial(_sample, value, where, source.image_roots)
        yield from attempt(_id(value, where), make)


def _id(value: object, where: str) -> str:
    """Return the name of the image, `vqa_<n>`: there is one question an image."""
    image = value.get("image") if isinstance(value, dict) else None
    return (PurePosixPath(image).stem if isinstance(image, str) else "") or where


def _sample(value: object, where: str, images: ImageRoots) -> Sample:
    record = parse(_Record, value, where)
    regions, size = _regions(record, where)
    if record.answer not in tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(record.choices)]):
        raise BadRecord(
            f"{where}: answer {record.answer!r:.60} is not a letter of its {len(record.choices)}"
            " choices",
            "answer_not_in_options",
        )
    return Sample(
        id=_id(value, where),
        image=find_image(images, record.image, IMAGE_FOLDERS),
        question=_text(record.question),
        choices=tuple(_choice(text, n, where) for n, text in enumerate(record.choices)),
        target=record.answer,
        regions=regions,
        target_region=0 if len(regions) == 1 else None,
        box_units="pixels",
        annotated_size=size,
        group=PurePosixPath(record.image).stem,
        tags={"type": (record.type,), "n_regions": (str(len(regions)),)},
    )


def _regions(record: _Record, where: str) -> tuple[tuple[Region, ...], tuple[int, int]]:
    """Return the regions, and width and height of the image that they were masked on."""
    regions, sizes = [], set()
    for n, rle in enumerate(record.mask_rles):  # one at a time: each may be large
        mask = decode_rle(rle, f"{where}: mask_rles[{n}]")
        sizes.add((mask.shape[1], mask.shape[0]))
        regions.append(mask_region(mask, f"{where}: mask_rles[{n}]"))
    if len(sizes) != 1:
        found = ", ".join(f"{width} x {height}" for width, height in sorted(sizes)) or "none"
        raise BadRecord(
            f"{where}: mask_rles have the sizes {found} · expected one or more masks, all of the"
            " image's size",
            "bad_mask",
        )
    return tuple(regions), sizes.pop()


def _text(text: str) -> str:
    return PLACEHOLDER.sub(lambda match: f"<r{int(match[1])}>", plain(text))


def _choice(text: str, index: int, where: str) -> str:
    """Return a choice without its label, which the prompt writes again."""
    match = LABEL.match(text)
    if match is None or match[1] != "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index : index + 1]:
        raise BadRecord(
            f"{where}: choices[{index}] = {text!r:.60} · expected {chr(ord('A') + index)!r} and a"
            " full stop before the text",
            "choice_labels",
        )
    return _text(text[match.end() :])
