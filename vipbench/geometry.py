"""The public path of what vipbench.images.geometry has."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.images.geometry import bounds as bounds
    from vipbench.images.geometry import box_center as box_center
    from vipbench.images.geometry import box_corners as box_corners
    from vipbench.images.geometry import contains as contains
    from vipbench.images.geometry import inside_image as inside_image
    from vipbench.images.geometry import intersects_image as intersects_image
    from vipbench.images.geometry import is_inverted as is_inverted

_HOMES = {
    "bounds": "vipbench.images.geometry",
    "box_center": "vipbench.images.geometry",
    "box_corners": "vipbench.images.geometry",
    "contains": "vipbench.images.geometry",
    "inside_image": "vipbench.images.geometry",
    "intersects_image": "vipbench.images.geometry",
    "is_inverted": "vipbench.images.geometry",
}

__all__ = [
    "bounds",
    "box_center",
    "box_corners",
    "contains",
    "inside_image",
    "intersects_image",
    "is_inverted",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
