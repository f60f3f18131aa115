import math
from itertools import pairwise

import numpy as np
import pytest

from vipbench.images.draw import footprint
from vipbench.images.shapes.lines import dashes, halves, inset
from vipbench.schema import Region, Setting, VisualPrompt

POLYGON = ((20.0, 30.0), (110.0, 15.0), (135.0, 60.0), (100.0, 120.0), (40.0, 110.0))
REGION = Region(box=(20, 15, 135, 120), polygons=(POLYGON,))
OUTLINES = ("rectangle", "ellipse", "triangle", "mask contour")


def drawn(shape: str, width: float = 14, **settings: Setting) -> np.ndarray:
    """Where a mark is drawn: bool (150, 160)."""
    mark = VisualPrompt(
        region=REGION,
        shape=shape,
        color=(255, 0, 0),
        alpha=255,
        width=width,
        seed=13,
        settings=settings,
    )
    where = np.zeros((150, 160), bool)
    found = footprint((160, 150), mark)
    assert found is not None
    left, top, right, bottom = found.box
    where[top:bottom, left:right] = np.asarray(found.mask) > 0
    return where


def test_a_closed_path_has_a_whole_number_of_dashes() -> None:
    corners = [(0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (0.0, 50.0)]
    lines = list(dashes(corners, 4, closed=True))
    assert len(lines) == 15  # 300 px, of which each takes 3 + 2 widths
    assert lines[0].points[0] == (0.0, 0.0)
    assert lines[0].points[-1] == (12.0, 0.0)


def test_dashes_of_the_thinnest_line_are_as_long_as_those_of_two_pixels() -> None:
    corners = [(0.0, 0.0), (100.0, 0.0), (100.0, 50.0), (0.0, 50.0)]
    thin, wider = (list(dashes(corners, width, closed=True)) for width in (1, 2))
    assert len(thin) == len(wider) == 30
    assert [line.points for line in thin] == [line.points for line in wider]


def test_an_open_path_ends_in_a_dash() -> None:
    *_, last = dashes([(0.0, 0.0), (100.0, 0.0)], 4)
    x, y = last.points[-1]  # type: ignore[misc]
    assert math.isclose(x, 100)
    assert y == 0


def test_a_path_without_length_has_no_dash() -> None:
    assert list(dashes([(5.0, 5.0), (5.0, 5.0)], 4)) == []


@pytest.mark.parametrize(
    ("width", "line", "inner"), [(1, 1, 2), (2, 1, 2), (3, 1, 2), (4, 1, 3), (7, 2, 5), (12, 4, 8)]
)
def test_a_double_line_has_two_thirds_of_its_width_in_lines(
    width: int, line: int, inner: int
) -> None:
    assert halves(width) == (line, inner)


def test_lines_of_a_double_one_never_touch() -> None:
    for width in range(1, 30):
        thin, inner = halves(width)
        assert inner > thin
    assert inset((0, 0, 10, 20), 4) == (4, 4, 6, 16)
    assert inset((0, 0, 10, 20), 5) is None


@pytest.mark.parametrize("shape", [*OUTLINES, "arrow"])
def test_solid_is_as_without_settings(shape: str) -> None:
    assert np.array_equal(drawn(shape, line="solid"), drawn(shape))


@pytest.mark.parametrize("shape", [*OUTLINES, "arrow"])
@pytest.mark.parametrize("line", ["dashed", "double"])
def test_other_lines_are_fewer_pixels_in_the_same_place(shape: str, line: str) -> None:
    solid, other = drawn(shape), drawn(shape, line=line)
    assert 0.2 * solid.sum() < other.sum() < 0.9 * solid.sum()
    rows, columns = (np.nonzero(solid.any(axis))[0] for axis in (1, 0))
    near = np.zeros_like(solid)
    near[rows[0] - 4 : rows[-1] + 5, columns[0] - 4 : columns[-1] + 5] = True
    assert not (other & ~near).any()


@pytest.mark.parametrize("shape", OUTLINES)
def test_nested_outlines_are_added_inside(shape: str) -> None:
    one, three = drawn(shape, 4), drawn(shape, 4, nested=3)
    assert (three & one).sum() == one.sum()
    assert three.sum() > 1.3 * one.sum()


def test_where_none_fits_there_are_fewer() -> None:
    assert np.array_equal(drawn("rectangle", 40, nested=9), drawn("rectangle", 40, nested=3))


def test_nested_outlines_are_equally_far_apart() -> None:
    row = drawn("rectangle", 4, nested=6)[65]
    starts = [x for x in range(1, 80) if row[x] and not row[x - 1]]
    assert len(starts) == 6
    assert len({after - before for before, after in pairwise(starts)}) == 1
