import numpy as np
import pytest

from vipbench.errors import DataError
from vipbench.images.shapes.anchors import anchor_pixel, deepest_pixel, follows_outline
from vipbench.schema import Polygon, Region, Setting, Shape, VisualPrompt

SIZE = (240, 180)


def area(x0: float, y0: float, x1: float, y1: float) -> Polygon:
    """The polygon that Pillow fills from (x0, y0) to (x1, y1), both included."""
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


def test_of_several_deepest_pixels_the_middle_one_is_taken() -> None:
    # 20 rows of 40 px: those 10 px from the edge are two rows of 22
    assert deepest_pixel((area(30, 40, 69, 59),), SIZE) == (39, 50)


def test_the_border_of_the_image_is_an_edge() -> None:
    assert deepest_pixel((area(-50, -50, 28, 28),), SIZE) == (14, 14)
    assert deepest_pixel((area(-50, -50, -3, -3),), SIZE) is None


def test_the_deepest_pixel_lies_inside_what_the_middle_of_the_box_misses() -> None:
    ell = ((20.0, 20.0), (40.0, 20.0), (40.0, 100.0), (120.0, 100.0), (120.0, 120.0), (20.0, 120.0))
    region = Region(box=(20, 20, 120, 120), polygons=(ell,))
    assert anchor_pixel(region, "center", SIZE) == (70, 70)
    x, y = anchor_pixel(region, "mask", SIZE)
    assert 20 < x < 40
    assert 100 < y < 120


def test_distances_are_euclidean() -> None:
    """Against every distance of a small mask, taken one by one."""
    polygon = ((3.0, 2.0), (20.0, 5.0), (16.0, 17.0), (6.0, 14.0))
    from PIL import Image, ImageDraw

    image = Image.new("L", (24, 20))
    ImageDraw.Draw(image).polygon(polygon, fill=255)
    padded = np.pad(np.asarray(image, bool), 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    nearest = ((inside[:, None] - outside[None]) ** 2).sum(2).min(1)
    best = inside[nearest == nearest.max()] - 1
    row, column = best[len(best) // 2]
    assert deepest_pixel((polygon,), (24, 20)) == (column, row)


def test_without_an_outline_the_box_is_taken_and_fractions_are_cut() -> None:
    assert anchor_pixel(Region(box=(10, 10, 31, 21)), "mask", SIZE) == (20, 15)
    assert anchor_pixel(Region(box=(-0.7, 9.9, -0.7, 9.9)), "point", SIZE) == (0, 9)


def test_a_point_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"its extent is 10 x 0 px · the style's anchor is 'point'"):
        anchor_pixel(Region(box=(10, 10, 20, 10)), "point", SIZE)


def test_a_mask_at_the_bottom_of_a_tall_image_is_whole() -> None:
    assert deepest_pixel((area(20, 200, 59, 219),), (100, 240)) == (29, 210)


@pytest.mark.parametrize(
    ("shape", "settings", "expected"),
    [
        ("rectangle", {}, False),
        ("mask contour", {}, True),
        ("ellipse", {}, True),
        ("marker", {}, False),
        ("marker", {"anchor": "mask"}, True),
        ("tag", {"anchor": "center"}, False),
        ("tag", {"anchor": "mask"}, True),
    ],
)
def test_which_marks_look_at_the_outline(
    shape: Shape, settings: dict[str, Setting], expected: bool
) -> None:
    region = Region(box=(0, 0, 9, 9))
    mark = VisualPrompt(
        region=region, shape=shape, color=(255, 0, 0), alpha=255, width=2, settings=settings, seed=0
    )
    assert follows_outline(mark) is expected
