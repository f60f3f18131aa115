"""OpenCV's rules; that they are OpenCV's is checked by tests/compare_with_opencv.py."""

import numpy as np
import pytest

from tests.compare_with_opencv import DIGEST, by_our_rules, digest
from vipbench.images.shapes import raster
from vipbench.images.shapes.raster import Pixel, Run


def n_pixels(runs: list[Run]) -> int:
    return len({(row, x) for row, first, last in runs for x in range(first, last + 1)})


def test_random_drawings_are_those_of_opencv() -> None:
    assert digest(by_our_rules) == DIGEST


@pytest.mark.parametrize(("radius", "n"), [(1, 21), (3, 59), (5, 90), (10, 194), (15, 280)])
def test_circles_of_two_px_have_as_many_pixels_as_published(radius: int, n: int) -> None:
    """Counted with VPBench's own drawing code (TonyLianLong/VPBench @ 3610467)."""
    runs = list(raster.circle((50, 50), radius, 2, (100, 100)))
    assert n_pixels(runs) == n
    [bitmap] = raster.bitmap(runs, (100, 100))
    assert bitmap.size_wh == (2 * (radius + 1) + 1,) * 2


@pytest.mark.parametrize("size_wh", [(1, 1), (7, 3), (3, 7)])
def test_nothing_is_drawn_beyond_the_image(size_wh: Pixel) -> None:
    runs = [run for radius in (1, 4, 30) for run in raster.circle((2, 2), radius, 0, size_wh)]
    for bitmap in raster.bitmap(runs, size_wh):
        (left, top), (width, height) = bitmap.corner, bitmap.size_wh
        assert left >= 0
        assert top >= 0
        assert left + width <= size_wh[0]
        assert top + height <= size_wh[1]
        assert np.frombuffer(bitmap.pixels, np.uint8).size == width * height
    assert list(raster.bitmap(raster.circle((500, 2), 4, 2, size_wh), size_wh)) == []
