"""What tells styles of the same shapes apart: the kind of a marker, its radius, what tags say."""

from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from vipbench.images.shapes.registry import BUILT_IN, find_shape
from vipbench.images.shapes.settings import MarkerSettings, ShaftSettings, TagSettings
from vipbench.prompts.colors import COLORS
from vipbench.prompts.parts import TAG_TEXTS
from vipbench.schema import Naming, PromptStyle, Setting, Shape

TAGGED = (
    *("line", "nested", "marker", "marker_radius", "marker_thickness"),
    *("tag", "tag_place", "tag_offset", "tag_font", "tag_size"),
)
"""What samples are tagged with, and so a breakdown lists where it varies. What else markers and
tags may vary, colours of the box for example, is told apart by `vipbench sweep` alone."""
LENGTHS = frozenset({"radius", "thickness", "offset", "long_offset", "padding"})
"""Settings that are counted in the `unit` of their shape."""
FOLLOWING = frozenset({("tag", "radius"), ("tag", "unit"), ("marker", "unit")})
"""Settings that follow from others, or stand behind each length: `5 px`."""
USUAL = "usual"
"""Value of a setting that is left to the shape."""
PLAIN = (("line", "solid"), ("nested", "1"))
"""What is not said of an outline: samples are tagged with other lines only."""

ORDERS: dict[str, tuple[str, ...]] = {
    "shape": tuple(BUILT_IN),
    "color": tuple(COLORS),
    "size": ("small", "medium", "large"),
    "target_color": tuple(COLORS),
    "target_size": ("small", "medium", "large"),
    "marker": get_args(MarkerSettings.model_fields["kind"].annotation),
    "tag": TAG_TEXTS,
    "tag_place": get_args(TagSettings.model_fields["place"].annotation),
    "words": get_args(Naming),
}
"""Axis -> its values in the order in which tables list them; others follow by name."""


def variant(style: PromptStyle, shape: Shape) -> dict[str, str]:
    """Return what a style says of the marks on a region, by axis; `shape` is that of the first.

    An axis is the shape and its setting, `marker_radius`; the kind of a marker is `marker`, what a
    tag says is `tag`, and how an outline is drawn `line` and `nested`, whatever its shape. Defaults
    are filled in, and lengths in px of the image end with `px`. Of two marks of one shape both
    values stand there: `circle+dot`.

    Raises:
        TaskError: There is no such shape.
    """
    found: dict[str, str] = {}
    parts = [(part.shape, part.settings, part.text) for part in style.beside]
    for name, settings, text in [(shape, style.settings, style.text), *parts]:
        for axis, value in _values(name, settings, text):
            found[axis] = f"{found[axis]}+{value}" if axis in found else value
    return found


def tagged(style: PromptStyle, shape: Shape) -> dict[str, str]:
    """Return, of what a style says, that which samples are tagged with."""
    return {
        axis: value
        for axis, value in variant(style, shape).items()
        if (axis, value) not in PLAIN and _is_tagged(axis)
    }


def _is_tagged(axis: str) -> bool:
    return axis in TAGGED or not axis.startswith(("marker_", "tag_"))


def varied(styles: Iterable[PromptStyle]) -> tuple[str, ...]:
    """Return the axes on which styles that draw marks differ, and `words` where the words do."""
    values: dict[str, set[str]] = {}
    is_reworded = False
    for style in styles:
        is_reworded = is_reworded or style.words != "full"
        for shape in style.shapes:
            for axis, value in variant(style, shape).items():
                values.setdefault(axis, set()).add(value)
    axes = tuple(axis for axis, known in values.items() if len(known) > 1 and _is_tagged(axis))
    return (*axes, "words") if is_reworded else axes


def rank(axis: str | None, value: str) -> int:
    """Return the place of a value among those that ORDERS lists; the number of these for others.

    Several marks on a region, `marker+tag`, stand with the first of them.
    """
    known = ORDERS.get(axis or "", ())
    first = value.partition("+")[0]
    return known.index(first) if first in known else len(known)


def _values(shape: Shape, settings: Mapping[str, Setting], text: str) -> Iterator[tuple[str, str]]:
    """Yield axis and value of everything that is said of one mark."""
    prefix = shape.replace(" ", "_")
    if shape == "tag":
        yield "tag", text or TAG_TEXTS[0]
    spec = find_shape(shape)
    if spec.settings is None:
        return
    record = spec.settings.model_validate(dict(settings))
    is_px = getattr(record, "unit", "") == "px"
    for name in spec.settings.model_fields:
        if (shape, name) in FOLLOWING:
            continue
        value = getattr(record, name)
        axis = f"{prefix}_{name}"
        if isinstance(record, ShaftSettings):
            axis = name
        elif (shape, name) == ("marker", "kind"):
            axis = "marker"
        ending = " px" if is_px and name in LENGTHS and value not in (None, ()) else ""
        yield axis, _word(value) + ending


def _word(value: object) -> str:
    """Write a setting as in an inline style."""
    if value in (None, ()):
        return USUAL
    if isinstance(value, tuple):
        return "/".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
