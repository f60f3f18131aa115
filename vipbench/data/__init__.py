"""data: what this package is for."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.images.decode import safe_path as safe_path

_HOMES = {
    "safe_path": "vipbench.images.decode",
}

__all__ = [
    "safe_path",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
