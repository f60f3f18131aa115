"""Prompt styles as files define them, and the names of shapes and colours that they use.

Knows regions, not tasks; draws nothing and writes no text.
"""

import copy
import re
from collections.abc import Sequence
from pathlib import Path

from vipbench.errors import TaskError, nearest
from vipbench.images.shapes.registry import shape_names
from vipbench.schema import RGB, PromptStyle, Shape
from vipbench.validation import YamlMapping, checked, read_yaml, shown

COLORS: dict[str, RGB] = {
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "fuchsia": (255, 0, 255),
    "aqua": (0, 255, 255),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "gold": (255, 215, 0),
}
"""The nine colours with a name. Source: ViP-LLaVA, visual_prompt_generator.py, lines 10-20."""

SHAPES: tuple[Shape, ...] = (
    *("rectangle", "ellipse", "triangle", "point", "scribble", "mask contour", "mask", "arrow"),
)
"""The eight of ViP-LLaVA: what is swept as `shapes`, and what a width without a shape is said for.
"""

WIDEST = 10_000
"""px at a 336-px long side; it covers any image many times; wider strokes take minutes."""

_COLOR_NAMES = {rgb: name for name, rgb in COLORS.items()}


def load_styles(folders: Sequence[Path]) -> dict[str, PromptStyle]:
    """Read `styles.yaml` of each folder that has one.

    Raises:
        TaskError: A file is broken, or a style is defined twice; names every mistake in a file.
    """
    styles: dict[str, PromptStyle] = {}
    for folder in folders:
        path = folder / "styles.yaml"
        if not path.exists():
            continue
        mistakes = []
        for name, entry in read_yaml(path).items():
            if name in styles:
                mistakes.append(f"style {name!r} is defined twice · choose another name")
                continue
            try:
                styles[name] = _named_style(name, entry)
            except TaskError as error:
                mistakes.append(str(error))
        if mistakes:
            raise TaskError(f"{path}: {'; and '.join(mistakes)}")
    return styles


def _named_style(name: str, entry: object) -> PromptStyle:
    where = f"style {name!r}"
    if not isinstance(entry, YamlMapping):
        raise TaskError(f"{where}: expected a mapping, not {shown(entry)}")
    fields = copy.copy(entry)  # an alias may name it twice
    mistakes = []
    if not re.fullmatch(r"[\w.-]+", name):
        mistakes.append("the name may hold letters, digits and the characters _ . - only")
    mistakes += [f"unknown key {key!r}" for key in ("name", "inline") if key in fields]
    kind = fields.get("kind", "marks")
    if kind == "marks" and not (fields.get("shapes") and fields.get("colors")):
        mistakes.append("expected 'shapes' and 'colors'")
    elif kind != "marks" and fields.keys() & {"shapes", "colors", "alpha", "width", "official"}:
        mistakes.append(f"kind {kind!r} draws no marks of its own: it takes only a 'title'")
    if (kind == "surround") != ("surround" in fields):
        mistakes.append("expected kind 'surround' and the key 'surround' together")
    mistakes += _shape_mistakes(fields.get("shapes"))
    mistakes += _color_mistakes(fields.get("colors"))
    if "width" in fields:
        fields["width"], wrong = _widths(fields["width"])
        mistakes += wrong
    fields["name"] = name
    style = checked(PromptStyle, fields, where, mistakes)
    return style.model_copy(update={"colors": tuple(color.lower() for color in style.colors)})


def _shape_mistakes(shapes: object) -> list[str]:
    known = shape_names()
    return [
        f"shape {shape!r} is unknown{nearest(shape, known)}"
        for shape in (shapes if isinstance(shapes, list) else ())
        if isinstance(shape, str) and shape not in known
    ]


def _color_mistakes(colors: object) -> list[str]:
    mistakes = []
    seen: set[RGB] = set()
    for color in colors if isinstance(colors, list) else ():
        try:
            rgb = color_rgb(str(color))
        except TaskError as error:
            mistakes.append(str(error))
            continue
        if rgb in seen:
            mistakes.append(f"color {color!r} is listed twice; marks could not be told apart")
        seen.add(rgb)
    return mistakes


def _widths(value: object) -> tuple[dict[Shape, object], list[str]]:
    """Expand `width: 3` or `{default: 3, point: 8}` to one width a shape; also return mistakes."""
    widths = dict(value) if isinstance(value, dict) else {"default": value}
    known = (*shape_names(), "default")
    mistakes = [f"width of {key!r}{nearest(str(key), known)}" for key in widths if key not in known]
    for key in known:
        width = widths.get(key)
        if width is not None and not (isinstance(width, int | float) and 0 < width <= WIDEST):
            expected = f"px above 0, up to {WIDEST:,}, or null"
            mistakes.append(f"width of {key!r} is {shown(width)} · expected {expected}")
            return {}, mistakes
    named = [shape for shape in widths if shape not in (*SHAPES, "default")]
    return {
        shape: widths.get(shape, widths.get("default")) for shape in (*SHAPES, *named)
    }, mistakes


def color_rgb(text: str) -> RGB:
    """Turn a pool name or `#rrggbb` into RGB.

    Raises:
        TaskError: The text is neither; suggests the nearest name.
    """
    if text in COLORS:
        return COLORS[text]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    raise TaskError(f"color {text!r} is unknown{nearest(text, COLORS)} (or #rrggbb)")


def color_group(rgb: RGB) -> str:
    """Return the breakdown group of a colour: its pool name, else `#rrggbb`."""
    return _COLOR_NAMES.get(rgb, "#{:02x}{:02x}{:02x}".format(*rgb))
