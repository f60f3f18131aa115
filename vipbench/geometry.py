"""Boxes and polygons as plain numbers, for readers of data: what `vipbench.images.geometry` has."""

from vipbench.images.geometry import (
    bounds,
    box_center,
    box_corners,
    contains,
    inside_image,
    intersects_image,
    is_inverted,
)

__all__ = [
    "bounds",
    "box_center",
    "box_corners",
    "contains",
    "inside_image",
    "intersects_image",
    "is_inverted",
]
