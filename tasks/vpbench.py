"""VPBench: which of two points is closer to the camera, and which of four is a point's counterpart?

The folder of the release (the hub's longlian/VPBench), or `Dataset/` in it. Folders and files of it
may be missing.

Relative depth (`read`): `BLINK_depth_data/depth/` and `DA-2K_data/depth/`, each with
`perceptioneval_depth_dev.json` (the split called val), `perceptioneval_depth_test.json`, and
`images/`. A file is a list of records with `original_image` (below `images/`), `point_A` and
`point_B` (x, y in px of the stored image) and `human_answer_2` (A or B).

Semantic correspondence (`read_semantic`): `BLINK_semantic_data/semantic_correspondence/` and
`SPair-71k_data/semantic_correspondence/`, each with `semantic_corr_raw_fixed.json` and
`images/<category>/<id>.jpg`. The file is an object with the lists `val` and `test` of records:
`images` (two names, `x-<id1>-<id2>:<category>_1` and `…_2`), `src_kps` and `trg_kps` (points x, y
in px of the stored images), `gold_point` (index of the reference in `src_kps`),
`real_consider_points` (indices of A to D in `trg_kps`), `real_answer` (`(A)`), `blink_image1_size`
and `blink_image2_size` (width and height in BLINK: the images are drawn on at half of that).

`prompt` is what the authors ask where no style is given, and is not looked at.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    attempt,
    describe,
    find_image,
    parse,
    read_questions,
    uncounted,
)
from vipbench.schema import DataSource, ImageRoots, Problem, Region, Sample

DEPTH = {"blink": "BLINK_depth_data/depth", "da2k": "DA-2K_data/depth"}
"""Source, as ids and tags name it -> where it lies."""
DEPTH_FILES = {"val": "perceptioneval_depth_dev.json", "test": "perceptioneval_depth_test.json"}

SEMANTIC = {
    "blink": "BLINK_semantic_data/semantic_correspondence",
    "spair": "SPair-71k_data/semantic_correspondence",
}
SEMANTIC_FILE = "semantic_corr_raw_fixed.json"
SPLITS = ("val", "test")
REDUCTION = 2
"""By how much sides are divided, without a rest, before anything is drawn: `annotate_ratio` in
benchmark_executor.py."""

_PICTURE = re.compile(r"[^-]*-(?P<first>[^-:]+)-(?P<second>[^-:]+):(?P<category>[^_]+)_.*")


class _Depth(DataRecord):
    original_image: str
    # As the file spells them.
    point_A: list[float]  # noqa: N815
    point_B: list[float]  # noqa: N815
    human_answer_2: Literal["A", "B"]


class _Semantic(DataRecord):
    images: list[str]
    src_kps: list[object]
    trg_kps: list[object]
    gold_point: int
    real_consider_points: list[int]
    real_answer: Literal["(A)", "(B)", "(C)", "(D)"]
    blink_image1_size: list[int]
    blink_image2_size: list[int]


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions about depth; ids are source, split and place in the file: `da2k-val-0`.

    Raises:
        DataError: No file is here, or one is broken.
    """
    for name, folder, file in _files(source.questions, DEPTH, tuple(DEPTH_FILES.values())):
        split = next(split for split, each in DEPTH_FILES.items() if each == file.name)
        for index, (where, value) in enumerate(read_questions(file).records()):
            id_ = f"{name}-{split}-{index}"
            make = partial(_depth, value, where, id_, folder, source.image_roots)
            yield from attempt(id_, make)


def read_semantic(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield the questions about counterparts; ids are as in `read`: `spair-test-0`.

    Raises:
        DataError: No file is here, or one is broken.
    """
    for name, folder, file in _files(source.questions, SEMANTIC, (SEMANTIC_FILE,)):
        content = read_questions(file).content
        if not isinstance(content, dict) or not content.keys() & {*SPLITS}:
            raise DataError(
                f"{file}: holds {describe(content)} · expected an object with the lists val and"
                " test"
            )
        for split in SPLITS:
            records = content.get(split, [])
            if not isinstance(records, list):
                message = uncounted(f"{file.name}: {split}", records)
                yield Problem(id=f"{name}-{split}", code="bad_record", message=message)
                continue
            for index, value in enumerate(records):
                id_ = f"{name}-{split}-{index}"
                where = f"{file.name} {split} record {index}"
                make = partial(_semantic, value, where, id_, folder, source.image_roots)
                yield from attempt(id_, make)


def _files(
    root: Path, folders: Mapping[str, str], names: Sequence[str]
) -> list[tuple[str, str, Path]]:
    """List source, folder below the root, and path of each question file that is here.

    Raises DataError where none is.
    """
    above = "Dataset/" if (root / "Dataset").is_dir() else ""
    there = [
        (source, f"{above}{folder}", root / above / folder / name)
        for source, folder in folders.items()
        for name in names
    ]
    found = [file for file in there if file[-1].is_file()]
    if not found:
        others = "the one" if len(there) == 2 else "one of the three"
        raise DataError(
            f"{root}: no question file is here · expected {next(iter(folders.values()))}/{names[0]}"
            f" or {others} beside it"
        )
    return found


def _image(images: ImageRoots, folder: str, name: str) -> str:
    """Find an image of a source: those of another one may have the same names."""
    below = folder.removeprefix("Dataset/")
    folders = (f"{below}/images", f"Dataset/{below}/images")
    return find_image(images, f"{folder}/images/{name}", folders)


def _depth(value: object, where: str, id_: str, folder: str, images: ImageRoots) -> Sample:
    record = parse(_Depth, value, where)
    name, split, _ = id_.split("-")
    return Sample(
        id=id_,
        image=_image(images, folder, record.original_image),
        question="Which point is closer to the camera?",
        choices=("<r0> is closer", "<r1> is closer"),
        target=record.human_answer_2,
        regions=(
            _point(record.point_A, "A", f"{where}: point_A"),
            _point(record.point_B, "B", f"{where}: point_B"),
        ),
        are_points=True,
        group=f"{name}/{record.original_image}",
        tags={"source": (name,), "split": (split,)},
    )


def _semantic(value: object, where: str, id_: str, folder: str, images: ImageRoots) -> Sample:
    record = parse(_Semantic, value, where)
    name, split, _ = id_.split("-")
    for key, listed, n in (
        ("images", record.images, 2),
        ("real_consider_points", record.real_consider_points, 4),
        ("blink_image1_size", record.blink_image1_size, 2),
        ("blink_image2_size", record.blink_image2_size, 2),
    ):
        if len(listed) != n:
            raise BadRecord(f"{where}: {key} = {listed!r:.60} · expected {n} entries")
    pictures = [_picture(picture, where) for picture in record.images]
    reference = _chosen(record.src_kps, record.gold_point, "src_kps", where)
    options = [
        _chosen(record.trg_kps, index, "trg_kps", where) for index in record.real_consider_points
    ]
    category = pictures[0].partition("/")[0]
    paths = tuple(_image(images, folder, picture) for picture in pictures)
    return Sample(
        id=id_,
        image=paths[0],
        images=paths,
        draw_sizes=tuple(
            (size[0] // REDUCTION, size[1] // REDUCTION)
            for size in (record.blink_image1_size, record.blink_image2_size)
        ),
        question="Which point on the second image corresponds to <r0> on the first image?",
        choices=("<r1>", "<r2>", "<r3>", "<r4>"),
        target=record.real_answer[1],
        regions=(
            _point(reference, "REF", f"{where}: the reference"),
            *(
                _point(xy, letter, f"{where}: point {letter}", image=1)
                for letter, xy in zip("ABCD", options, strict=True)
            ),
        ),
        are_points=True,
        group=f"{name}/{pictures[0]}",
        tags={"source": (name,), "split": (split,), "category": (category,)},
    )


def _picture(name: str, where: str) -> str:
    """Return the file below `images/` that an entry of `images` means; its last digit says which.

    What ends otherwise means the first one, as in the published code.
    """
    match = _PICTURE.fullmatch(name)
    if match is None:
        raise BadRecord(
            f"{where}: images holds {name!r:.60} · expected x-<id1>-<id2>:<category>_1 or _2"
        )
    id_ = match["second"] if name.endswith("2") else match["first"]
    return f"{match['category']}/{id_}.jpg"


def _chosen(points: list[object], index: int, key: str, where: str) -> object:
    if not 0 <= index < len(points):
        raise BadRecord(f"{where}: {key} has no point {index}, but {len(points)} points")
    return points[index]


def _point(xy: object, id_: str, where: str, image: int = 0) -> Region:
    numbers = xy if isinstance(xy, list) else []
    usable = [float(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(numbers) != 2 or len(usable) != 2 or not all(map(math.isfinite, usable)):
        raise BadRecord(f"{where} = {xy!r:.60} · expected two numbers", "bad_point")
    x, y = usable
    return Region(box=(x, y, x, y), label="point", id=id_, image=image)
