"""Regenerate the golden files: `python tests/make_goldens.py`.

Tests compare them exactly. What changes them changes scores, so the script refuses to replace one
before the version of the task is raised: of every task whose marks are drawn, for pixels.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from vipbench.data.locate import locate
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.task_data import locate_task
from vipbench.data.tasks import all_styles, find_tasks, load_task
from vipbench.images.draw import render
from vipbench.images.shapes.settings import MarkerSettings
from vipbench.prompts.colors import color_group
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import (
    DataSource,
    Region,
    Request,
    Sample,
    Setting,
    Shape,
    TaskSpec,
    VisualPrompt,
)

DATA = Path(__file__).resolve().parent / "data"
OWN = DATA / "own"
GOLDEN = Path(__file__).resolve().parent / "golden"
SEED = 0
EXTRA_STYLES = ("demo", "none", "coordinates")
PREPROCESSED = {
    "visual7w_pointing": "v7w-test.json",
    "pointqa_looktwice": "pointQA_twice_test.json",
    "vcr_qa": "vcr-val.json",
    "vcr_qar": "vcr-val.json",
    "vcr_qar_turns": "vcr-val.json",
}
"""Task -> the preprocessed file; the raw one is found first in the same folder."""
"""Tasks of several pictures, which cannot be asked about yet; their answers are imported."""
VPBENCH_TAG: dict[str, Any] = {
    "place": "below",
    "offset": (0, -25),
    "ink": "white",
    "box_color": "black",
    "padding": (2, 2, 0, 2),
    "clamp": "top",
    "anchor": "point",
    "unit": "px",
}
SHAPES: tuple[Shape, ...] = (
    "rectangle",
    "ellipse",
    "triangle",
    "point",
    "scribble",
    "mask contour",
    "mask",
    "arrow",
)


def pixels() -> dict[str, Image.Image]:
    """Return one picture a shape, by its file's name.

    Each has a mark on a region of two polygons in a width that is given, and one over it, from a
    box that reaches beyond the image, in a width that is drawn.
    """
    polygons = (
        ((30.0, 40.5), (110.25, 30.0), (120.0, 100.0), (75.0, 60.0), (35.5, 110.0)),
        ((130.0, 90.0), (165.0, 85.0), (150.0, 130.0)),
    )
    both = Region(box=(30.0, 30.0, 165.0, 130.0), polygons=polygons)
    beyond = Region(box=(100.4, 70.6, 259.5, 171.0))
    pictures = {}
    for i, shape in enumerate(SHAPES):
        marks = [
            VisualPrompt(region=both, shape=shape, color=(255, 0, 0), alpha=128, width=6, seed=i),
            VisualPrompt(
                region=beyond, shape=shape, color=(0, 255, 255), alpha=200, width=None, seed=i + 8
            ),
        ]
        pictures[f"{shape.replace(' ', '_')}.png"] = render(background(), marks)
    return pictures | signs(both)


def signs(both: Region) -> dict[str, Image.Image]:
    """Return one picture for each kind of marker, one for each font of tags, and one of lines.

    A marker lies inside, at the border and, filled, on the deepest pixel of an outline. Those of
    the tags have the marker and the tag of A, then those of B over them.
    """
    points = [(60.0, 150.0, 60.0, 150.0), (66.5, 160.9, 66.5, 160.9)]
    border = Region(box=(236.0, 3.0, 236.0, 3.0))
    pictures = {}
    for kind in get_args(MarkerSettings.model_fields["kind"].annotation):
        filled: dict[str, Any] = {"thickness": 0} if kind != "cross" else {"thickness": 7}
        marks = [
            sign("marker", Region(box=points[0]), kind=kind, radius=5, unit="px"),
            sign("marker", border, kind=kind, radius=16),
            sign("marker", both, kind=kind, radius=20, anchor="mask", **filled),
        ]
        pictures[f"marker_{kind}.png"] = render(background(), marks)
    for font in ("hershey", "sans"):
        marks = []
        for letter, box in zip("AB", points, strict=True):
            region = Region(box=box)
            marks.append(sign("marker", region, kind="circle", radius=5, unit="px", anchor="point"))
            marks.append(sign("tag", region, letter, font=font, radius=5, **VPBENCH_TAG))
        marks.append(sign("tag", both, "12", font=font, box="round", place="inside"))
        marks.append(sign("tag", border, "REF", font=font, box="none"))
        pictures[f"tag_{font}.png"] = render(background(), marks)
    for line in ("dashed", "double"):
        marks = [
            sign("rectangle", Region(box=(10.0, 5.5, 110.0, 80.0)), line=line, nested=2),
            sign("ellipse", Region(box=(140.0, 15.0, 220.0, 75.0)), line=line, nested=2),
            sign("triangle", Region(box=(10.0, 95.0, 230.0, 170.0)), line=line, nested=2),
            sign("mask contour", both, line=line, nested=2),
        ]
        marks.append(sign("arrow", Region(box=(150.0, 90.0, 230.0, 170.0)), line=line))
        pictures[f"line_{line}.png"] = render(background(), marks)
    return pictures


def sign(shape: Shape, region: Region, text: str = "", **settings: Setting) -> VisualPrompt:
    return VisualPrompt(
        region=region,
        shape=shape,
        color=(255, 0, 0),
        alpha=230,
        width=None if shape in ("marker", "tag") else 8,
        seed=1,
        text=text,
        settings=settings,
    )


def background() -> Image.Image:
    """Return an RGB image of 240 x 180 px with a smooth change of colour."""
    y, x = np.mgrid[0:180, 0:240]
    return Image.fromarray(np.stack([x, y, 255 - (x + y) // 2], axis=2).astype(np.uint8))


def prompts() -> dict[str, str]:
    """Return the prompts of all samples in tests/data, by the golden file's name.

    One file a task and style: the styles that the task file lists, and `demo`, `none` and
    `coordinates`, but none of the others for a task whose marks are in the images already, and no
    `coordinates` for one with several images.
    """
    known = all_styles((OWN,))
    files = {}
    for task in find_tasks((OWN,)):
        spec = load_task(task, (OWN,))
        if spec.kind == "joint":
            continue
        headline = parse_styles(spec.styles[0], known)[0]
        extra = () if headline.kind == "given" else EXTRA_STYLES
        blocks = {
            name: [f"# task {task}, version {spec.version}\n"] for name in (*spec.styles, *extra)
        }
        for where, source in sources(spec):
            for sample in usable(spec, source):
                for name, lines in blocks.items():
                    if sample.images and name == "coordinates":
                        continue
                    style = parse_styles(name, known, headline)[0]
                    lines.append(block(where, build_request(sample, style, SEED)))
        for name, lines in blocks.items():
            if lines[1:]:
                files[f"{task}.{name}.txt"] = "".join(lines)
    return files


def sources(spec: TaskSpec) -> list[tuple[str, DataSource]]:
    """Return the data of a task in each of its layouts, with a word for the layout."""
    if spec.path is not None and spec.path.parent == OWN:
        return [("own", locate(str(spec.data), {}, OWN))]
    folder = DATA / str(spec.data)
    found = [("raw", locate_task(spec, {str(spec.data): DataSource(folder, folder)}))]
    if spec.name in PREPROCESSED:
        found.append(("preprocessed", DataSource(folder / PREPROCESSED[spec.name], folder)))
    return found


def usable(spec: TaskSpec, source: DataSource) -> Iterator[Sample]:
    """Yield the samples that can be asked."""
    for record in load_samples(spec, source):
        if isinstance(record, Sample):
            sample, _ = inspect_image(record, source)
            if sample is not None:
                yield sample


def block(where: str, request: Request) -> str:
    """Return one sample of a golden file: a line on its marks, then the exact text of each turn."""
    marks = ", ".join(
        f"{color_group(prompt.color)} {prompt.shape}" for prompt in request.visual_prompts
    )
    turns = "\n--- then ---\n".join(request.turns)
    return f"\n=== {where} {request.id} | {marks or 'no marks'} ===\n{turns}\n"


def versions() -> dict[str, int]:
    """Return the version of every task that has golden prompts."""
    tasks = dict.fromkeys(name.partition(".")[0] for name in prompts())
    return {task: load_task(task, (OWN,)).version for task in tasks}


def refusals(golden: Path, text: dict[str, str], pictures: dict[str, Image.Image]) -> list[str]:
    """Name each change of a golden that needs a raised task version, and lacks it.

    Prompts of samples that are new, or gone, need none.
    """
    path = golden / "versions.json"
    recorded: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    same = [task for task, version in versions().items() if recorded.get(task) == version]
    found = []
    for name, new in text.items():
        task = name.partition(".")[0]
        path = golden / "prompts" / name
        if task in same and path.exists():
            old = by_sample(path.read_text(encoding="utf-8"))
            changed = [key for key, value in by_sample(new).items() if old.get(key, value) != value]
            if changed:
                found.append(f"{name}: {len(changed)} prompts changed: raise the version of {task}")
    for name, picture in pictures.items():
        path = golden / "pixels" / name
        drawn = [task for task in same if f"{task}.demo.txt" in text]
        if drawn and path.exists() and Image.open(path).tobytes() != picture.tobytes():
            found.append(f"{name} changed: raise the version of {', '.join(drawn)}")
    return found


def by_sample(text: str) -> dict[str, str]:
    """Split a golden file into its samples: layout and id -> marks and text."""
    parts = re.split(r"\n=== (.+?) \| ", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def main() -> None:
    """Regenerate all golden files, unless a change lacks its raised task version."""
    text, pictures = prompts(), pixels()
    if refused := refusals(GOLDEN, text, pictures):
        sys.exit("\n".join([*refused, "nothing is written"]))
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for folder in ("pixels", "prompts"):
        (GOLDEN / folder).mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(GOLDEN / "pixels" / name, optimize=True)
    for name, content in text.items():
        (GOLDEN / "prompts" / name).write_text(content, encoding="utf-8", newline="\n")
    recorded = json.dumps(versions(), indent=1) + "\n"
    (GOLDEN / "versions.json").write_text(recorded, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
