import numpy as np
import pytest

from vipbench.images.draw import Footprint, footprint
from vipbench.images.shapes import markers, raster
from vipbench.schema import Region, Setting, VisualPrompt

KINDS = ("circle", "dot", "square", "diamond", "triangle", "cross", "star")


def drawn(
    x: float, y: float, *, width: float | None = None, size: int = 100, **settings: Setting
) -> Footprint | None:
    mark = VisualPrompt(
        region=Region(box=(x, y, x, y)),
        shape="marker",
        color=(255, 0, 0),
        alpha=255,
        width=width,
        seed=0,
        settings=settings,
    )
    return footprint((size, size), mark)


def n_pixels(mark: Footprint | None) -> int:
    return 0 if mark is None else int(np.count_nonzero(np.asarray(mark.mask)))


@pytest.mark.parametrize(
    ("kind", "radius", "n"),
    [
        ("circle", 5, 90),
        ("square", 5, 116),
        ("triangle", 5, 77),
        ("diamond", 5, 96),
        ("dot", 5, 81),
        ("dot", 15, 709),
    ],
)
def test_pixels_are_as_many_as_vpbench_draws(kind: str, radius: int, n: int) -> None:
    """Counted with VPBench's own drawing code (TonyLianLong/VPBench @ 3610467)."""
    mark = drawn(50.9, 50.2, kind=kind, radius=radius, unit="px", anchor="point")
    assert n_pixels(mark) == n
    assert mark is not None
    reach = radius + (kind != "dot")
    assert mark.box == (50 - reach, 50 - reach, 51 + reach, 51 + reach)


@pytest.mark.parametrize("kind", KINDS)
def test_near_a_border_less_is_drawn_and_no_other_pixels(kind: str) -> None:
    whole = drawn(50, 50, kind=kind, radius=9, unit="px")
    corner = drawn(0, 99, kind=kind, radius=9, unit="px")
    assert 0 < n_pixels(corner) < n_pixels(whole)
    assert drawn(-40, 50, kind=kind, radius=9, unit="px") is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 2, 5])
def test_what_is_kept_for_the_next_image_is_what_is_drawn_there(kind: str, width: int) -> None:
    for at in ((41, 57), (3, 57), (96, 57), (41, 3), (41, 96)):
        mark = drawn(*at, kind=kind, radius=7, thickness=width, unit="px")
        runs = markers._runs(kind, at, 7, width, (100, 100))
        [bitmap] = raster.bitmap(runs, (100, 100))
        assert mark is not None
        assert mark.box[:2] == bitmap.corner
        assert mark.mask.tobytes() == bitmap.pixels


def test_nothing_is_kept_where_a_border_is_in_reach() -> None:
    assert raster.keeps_clear((50, 50), 49, (101, 101))
    for size_wh in ((100, 101), (101, 100)):
        assert not raster.keeps_clear((50, 50), 49, size_wh)
    for center in ((49, 50), (50, 49)):
        assert not raster.keeps_clear(center, 49, (101, 101))


@pytest.mark.parametrize("kind", ["circle", "square", "diamond", "triangle", "star"])
def test_thickness_0_fills(kind: str) -> None:
    outline = drawn(50, 50, kind=kind, radius=20, thickness=1, unit="px")
    filled = drawn(50, 50, kind=kind, radius=20, thickness=0, unit="px")
    assert n_pixels(filled) > 3 * n_pixels(outline)
    assert filled is not None
    assert np.asarray(filled.mask)[20, 20] == 255


def test_sizes_grow_with_the_image_unless_they_are_px() -> None:
    small, large = (drawn(50, 50, size=size, kind="square") for size in (336, 672))
    assert small is not None
    assert large is not None
    assert small.mask.size == (19, 19)  # radius 8 and a line of 2
    assert large.mask.size == (37, 37)  # radius 16 and a line of 4
    in_px = drawn(50, 50, size=672, kind="square", unit="px")
    assert in_px is not None
    assert in_px.mask.size == (19, 19)


def test_the_width_of_the_mark_is_its_thickness() -> None:
    by_width = drawn(50, 50, width=4, kind="square", unit="px")
    by_setting = drawn(50, 50, width=9, kind="square", thickness=4, unit="px")
    assert by_width is not None
    assert by_setting is not None
    assert by_width.mask.tobytes() == by_setting.mask.tobytes()
