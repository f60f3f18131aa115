"""Which shapes there are: a line for each that is built in; all others are plugins.

Naming them loads none of them.
"""

import importlib
import re
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from vipbench.errors import TaskError, nearest
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.schema import Shape

GROUP = "vipbench.shapes"
"""Entry points of other packages: the shape's name, and where its `ShapeSpec` is."""

_HERE = "vipbench.images.shapes"
BUILT_IN: dict[Shape, str] = {
    "rectangle": f"{_HERE}.outlines:RECTANGLE",
    "ellipse": f"{_HERE}.outlines:ELLIPSE",
    "triangle": f"{_HERE}.outlines:TRIANGLE",
    "point": f"{_HERE}.freehand:POINT",
    "scribble": f"{_HERE}.freehand:SCRIBBLE",
    "mask contour": f"{_HERE}.masks:MASK_CONTOUR",
    "mask": f"{_HERE}.masks:MASK",
    "arrow": f"{_HERE}.freehand:ARROW",
    "marker": f"{_HERE}.markers:MARKER",
    "tag": f"{_HERE}.tags:TAG",
}
"""Name -> where its `ShapeSpec` is."""


@lru_cache(maxsize=256)
def find_shape(name: Shape) -> ShapeSpec:
    """Return what a shape says of itself.

    Raises:
        TaskError: There is no such shape, or that of another package is broken.
    """
    path = BUILT_IN.get(name)
    if path is None:
        if name not in (plugins := list_plugins()):
            raise TaskError(f"shape {name!r} is unknown{nearest(name, shape_names())}")
        path = plugins[name].value
    return _import(name, path)


def shape_names() -> tuple[Shape, ...]:
    """Return the names of all shapes, built-in ones first; those keep their names."""
    return (*BUILT_IN, *(name for name in list_plugins() if name not in BUILT_IN))


@lru_cache(maxsize=1)
def list_plugins() -> dict[Shape, EntryPoint]:
    """Return the installed shapes of other packages by name.

    Raises:
        TaskError: A name cannot be written in a style.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    for name, point in points.items():
        if not re.fullmatch(r"[a-z][a-z0-9]*( [a-z0-9]+)*", name):
            raise TaskError(
                f"shape {name!r} of {point.value}: its name cannot be written in a style · expected"
                " small letters and digits, words with one space between them"
            )
    return points


def _import(name: Shape, path: str) -> ShapeSpec:
    module_name, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise TaskError(
            f"shape {name!r}: {path} cannot be imported ({error}) · expected package.module:NAME"
            f" of a ShapeSpec, as in the entry-point group {GROUP}"
        ) from error
    if not isinstance(found, ShapeSpec):
        raise TaskError(
            f"shape {name!r}: {path} is a {type(found).__name__} · expected a"
            " vipbench.images.shapes.spec.ShapeSpec"
        )
    return found
