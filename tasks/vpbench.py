"""VPBench, relative depth: which of two points is closer to the camera?

The folder of the release (the hub's longlian/VPBench), or `Dataset/` in it:
`BLINK_depth_data/depth/` and `DA-2K_data/depth/`, each with `perceptioneval_depth_dev.json` (the
split called val), `perceptioneval_depth_test.json`, and `images/`; a folder or a file may be
missing. A file is a list of records with `original_image` (below `images/`), `point_A` and
`point_B` (x, y in px of the stored image) and `human_answer_2` (A or B). `prompt` is what the
authors ask where no style is given, and is not looked at.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Literal

from vipbench.errors import DataError
from vipbench.reading import BadRecord, DataRecord, attempt, find_image, parse, read_questions
from vipbench.schema import DataSource, ImageRoots, Problem, Region, Sample

FOLDERS = {"blink": "BLINK_depth_data/depth", "da2k": "DA-2K_data/depth"}
"""Source, as ids and tags name it -> where it lies."""
FILES = {"val": "perceptioneval_depth_dev.json", "test": "perceptioneval_depth_test.json"}


IMAGES = tuple(f"{root}{folder}/images" for root in ("", "Dataset/") for folder in FOLDERS.values())


class _Record(DataRecord):
    original_image: str
    # As the file spells them.
    point_A: list[float]  # noqa: N815
    point_B: list[float]  # noqa: N815
    human_answer_2: Literal["A", "B"]


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions; their ids are source, split and place in the file: `da2k-val-0`.

    Raises:
        DataError: No file is here, or one is broken.
    """
    found = False
    above = "Dataset/" if (source.questions / "Dataset").is_dir() else ""
    for name, below in FOLDERS.items():
        folder = f"{above}{below}"
        for split, file in FILES.items():
            path = source.questions / folder / file
            if not path.is_file():
                continue
            found = True
            for index, (where, value) in enumerate(read_questions(path).records()):
                id_ = f"{name}-{split}-{index}"
                make = partial(_sample, value, where, id_, folder, source.image_roots)
                yield from attempt(id_, make)
    if not found:
        raise DataError(
            f"{source.questions}: no question file is here · expected"
            f" {next(iter(FOLDERS.values()))}/{FILES['val']} or one of the three beside it"
        )


def _sample(value: object, where: str, id_: str, folder: str, images: ImageRoots) -> Sample:
    record = parse(_Record, value, where)
    name, split, _ = id_.split("-")
    return Sample(
        id=id_,
        image=find_image(images, f"{folder}/images/{record.original_image}", IMAGES),
        question="Which point is closer to the camera?",
        choices=("<r0> is closer", "<r1> is closer"),
        target=record.human_answer_2,
        regions=tuple(
            _point(xy, letter, where)
            for letter, xy in (("A", record.point_A), ("B", record.point_B))
        ),
        are_points=True,
        group=f"{name}/{record.original_image}",
        tags={"source": (name,), "split": (split,)},
    )


def _point(xy: list[float], letter: str, where: str) -> Region:
    if len(xy) != 2 or not all(map(math.isfinite, xy)):
        raise BadRecord(f"{where}: point_{letter} = {xy!r:.60} · expected two numbers", "bad_point")
    x, y = xy
    return Region(box=(x, y, x, y), label="point", id=letter)
