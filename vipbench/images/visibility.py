"""What the model sees of each mark: how much survives crop, pad, squash and resize.

A mark is the pixels that it is drawn on, its `draw.Footprint`; each of them is a square that the
fit puts somewhere in the square that the model sees, or beyond it. The areas are exact. Left out
is what the resampling filter blends in from neighbouring pixels, and that a later mark may be drawn
over an earlier one.
"""

from typing import NamedTuple

import numpy as np

from vipbench.images.draw import Footprint
from vipbench.images.fit import Axis, FittedFrame, fitted_frame
from vipbench.schema import Fit, Visibility


class View(NamedTuple):
    """How a model sees images of one size."""

    frame: FittedFrame
    """Where the original image comes to lie."""
    size_wh: tuple[int, int]
    """px of the fitted image."""
    patch_size: int | None
    """Side in px of the patches that the model cuts the fitted image into, from the top left; what
    is left over at the right and the bottom reaches no patch. None: not known."""


def view(image_wh: tuple[int, int], mode: Fit, size: int | None, patch_size: int | None) -> View:
    """Return how a model sees images of `image_wh` px; `size` None: as they are, not fitted."""
    if size is None:
        return View(FittedFrame(Axis(1, 0, 1), Axis(1, 0, 1)), image_wh, None)
    return View(fitted_frame(image_wh, mode, size), (size, size), patch_size)


def measure(mark: Footprint | None, seen: View, n_whole: int | None = None) -> Visibility:
    """Measure what is left of one mark; None: it is drawn on no pixel of the image.

    `n_whole`: px of the whole mark, where a part of it was cut off before; None: this is all of it.
    """
    n_patches = None if seen.patch_size is None else 0
    if mark is None:
        return Visibility(n_px=0, share=0, fitted_px=0, n_patches=n_patches)
    left, top, right, bottom = mark.box
    x, y = seen.frame
    columns = _reach(x, left, right, seen.size_wh[0], seen.patch_size)
    rows = _reach(y, top, bottom, seen.size_wh[1], seen.patch_size)
    drawn = np.asarray(mark.mask, bool)
    inside = drawn[rows.start - top : rows.end - top, columns.start - left : columns.end - left]
    # Whole numbers below 2 ** 53: no order of summation changes them.
    areas = rows.overlaps @ inside @ columns.overlaps.T
    area = int(areas.sum())
    n_px = n_whole or int(np.count_nonzero(drawn))
    if n_patches is not None:
        n_patches = int(np.count_nonzero(areas[: rows.n_patches, : columns.n_patches]))
    return Visibility(
        n_px=n_px,
        share=area / (n_px * x.times * y.times),
        fitted_px=area / (x.over * y.over),
        n_patches=n_patches,
    )


class _Reach(NamedTuple):
    """How the pixels of a mark lie over the patches, along one axis."""

    start: int
    end: int
    """The pixels of the original image that the model sees, from `start` to before `end`."""
    overlaps: np.ndarray
    """float64 (patches, pixels): their common length, in px of the fitted image x `Axis.over`.

    The patches are those from the first to the last one reached."""
    n_patches: int
    """How many of them are patches; after these comes what is left over at the far side."""


def _reach(axis: Axis, start: int, end: int, size: int, patch_size: int | None) -> _Reach:
    """Lay the pixels from `start` to before `end` over the patches of a fitted image."""
    times, plus, over = axis
    start = max(start, -plus // times)
    end = max(min(end, -((plus - size * over) // times)), start)
    step = patch_size or size
    first = max(start * times + plus, 0) // (step * over)
    last = -(-min(end * times + plus, size * over) // (step * over))
    borders = np.array([min(patch * step, size) for patch in range(first, last + 1)]) * over
    edges = np.arange(end - start + 1) * times + (start * times + plus)
    overlaps = np.diff(edges.clip(borders[:-1, None], borders[1:, None]))
    return _Reach(start, end, overlaps.astype(float), max(size // step - first, 0))
