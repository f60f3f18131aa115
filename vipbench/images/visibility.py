"""What the model sees of each mark: how much survives crop, pad, squash and resize.

A mark is the pixels that it is drawn on, its `draw.Footprint`; each of them is a square that the
fit puts somewhere in the square that the model sees, or beyond it. The areas are exact. Left out
is what the resampling filter blends in from neighbouring pixels, and that a later mark may be drawn
over an earlier one.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vipbench.images.draw import Footprint
from vipbench.images.fit import Axis, FittedFrame, fitted_frame
from vipbench.schema import Fit, Visibility

_BLOCK = 1024
"""Pixels of an axis that are laid over the patches at once."""


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
    n_patches = max(size // step - first, 0)
    block = start // _BLOCK
    if end <= (block + 1) * _BLOCK:
        whole = _block_overlaps(axis, block, size, step)
        offset = block * _BLOCK
        overlaps = whole[first : max(first, last), start - offset : end - offset]
        return _Reach(start, end, overlaps, n_patches)
    return _Reach(start, end, _overlaps(axis, (start, end), (first, last), size, step), n_patches)


@lru_cache(maxsize=16)
def _block_overlaps(axis: Axis, block: int, size: int, step: int) -> np.ndarray:
    """Return the overlaps of `_BLOCK` pixels and all patches, which marks have in common."""
    begin = block * _BLOCK
    return _overlaps(axis, (begin, begin + _BLOCK), (0, -(-size // step)), size, step)


def _overlaps(
    axis: Axis, pixels: tuple[int, int], patches: tuple[int, int], size: int, step: int
) -> np.ndarray:
    """Return `_Reach.overlaps` of pixels and patches, each from one to before another."""
    times, plus, over = axis
    borders = np.array([min(i * step, size) for i in range(patches[0], patches[1] + 1)]) * over
    # The sum first: of a long strip, the product alone may exceed 64 bits.
    edges = np.arange(pixels[1] - pixels[0] + 1) * times + (pixels[0] * times + plus)
    return np.diff(edges.clip(borders[:-1, None], borders[1:, None])).astype(float)
