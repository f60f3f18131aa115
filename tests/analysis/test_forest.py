import xml.etree.ElementTree as Xml
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipbench.analysis.forest import BETTER, NONE, WORSE, Forest, Mark, forest_files, numbered_clips


def mark(difference: float, *, is_finding: bool, label: str = "a task") -> Mark:
    return Mark(
        label, difference, difference - 2, difference + 2, is_finding=is_finding, heading=True
    )


PLOT = Forest(
    "base → <new> & $x$",
    "difference",
    (
        mark(-8, is_finding=True, label="lost $100 & <b>"),
        mark(1, is_finding=False),
        mark(9, is_finding=True, label="shape=ellipse"),
    ),
)


def colors(path: Path) -> set[str]:
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    found, counts = np.unique(pixels, axis=0, return_counts=True)
    return {"#" + bytes(color.tolist()).hex() for color in found[counts > 30]}


def test_a_plot_is_written_as_picture_and_as_drawing(tmp_path: Path) -> None:
    paths = forest_files(PLOT, tmp_path / "new")
    assert [path.name for path in paths] == ["forest.png", "forest.svg"]
    assert {WORSE, NONE, BETTER} <= colors(paths[0])
    text = "".join(Xml.parse(paths[1]).getroot().itertext())
    for label in ("lost $100 & <b>", "shape=ellipse", "base → <new> & $x$", "worse", "no finding"):
        assert label in text
    assert "shape=ellipse: +9.0 [+7.0, +11.0], better" in text


def test_only_findings_are_coloured(tmp_path: Path) -> None:
    assert [each.color for each in PLOT.marks] == [WORSE, NONE, BETTER]
    plot = PLOT._replace(marks=tuple(each._replace(is_finding=False) for each in PLOT.marks))
    forest_files(plot, tmp_path)
    words = "".join(Xml.parse(tmp_path / "forest.svg").getroot().itertext())
    assert ", worse" not in words
    assert ", better" not in words


def test_the_same_plot_gives_the_same_drawing(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        forest_files(PLOT, tmp_path / folder)
    a, b = ((tmp_path / folder / "forest.svg").read_bytes() for folder in ("a", "b"))
    assert a == b


@pytest.mark.parametrize("n", [0, 1, 80])
def test_any_number_of_rows_fits(tmp_path: Path, n: int) -> None:
    forest_files(Forest("t", "x", tuple(mark(i, is_finding=False) for i in range(n))), tmp_path)
    with Image.open(tmp_path / "forest.png") as picture:
        assert picture.height > 150 + 20 * n


def test_names_of_clip_paths_are_numbers() -> None:
    def drawing(first: str, second: str) -> bytes:
        uses = f'<g clip-path="url(#{first})"/><g clip-path="url(#{second})"/>'
        defined = f'<clipPath id="{first}"><rect/></clipPath><clipPath id="{second}"/>'
        return f"<svg>{uses}<defs>{defined}</defs></svg>".encode()

    expected = drawing("clip0", "clip1")
    assert numbered_clips(drawing("p8e1a2e1412", "p0123456789")) == expected
    assert numbered_clips(drawing("pe54b44b64d", "p0123456789")) == expected
    assert numbered_clips(b"\x89PNG") == b"\x89PNG"
