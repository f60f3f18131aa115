"""Prompt styles as files define them, and the names of shapes and colours that they use.

Knows regions, not tasks; draws nothing and writes no text.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from vipbench.errors import TaskError, nearest
from vipbench.files import check_regular
from vipbench.images.shapes.registry import shape_names
from vipbench.prompts.colors import CONTRAST, color_rgb
from vipbench.prompts.coordinates import units_mistakes
from vipbench.prompts.mentions import refer_mistakes
from vipbench.prompts.parts import read_settings
from vipbench.schema import RGB, PromptStyle, Shape
from vipbench.validation import YamlMapping, checked, read_yaml, shown

SHAPES: tuple[Shape, ...] = (
    *("rectangle", "ellipse", "triangle", "point", "scribble", "mask contour", "mask", "arrow"),
)
"""The eight of ViP-LLaVA: what is swept as `shapes`, and what a width without a shape is said for.
"""

WIDEST = 10_000
"""px at a 336-px long side; it covers any image many times; wider strokes take minutes."""

OF_MARKS = {
    *("shapes", "colors", "alpha", "width", "official", "settings", "text", "beside", "order"),
    *("words", "listed", "refer"),
}
"""Keys of styles that draw marks of their own."""


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
        for name, style in _styles_of(path, _content(path)).items():
            if name in styles:
                mistakes.append(f"style {name!r} is defined twice · choose another name")
            elif isinstance(style, PromptStyle):
                styles[name] = style
            else:
                mistakes.append(style)
        if mistakes:
            raise TaskError(f"{path}: {'; and '.join(mistakes)}")
    return styles


@lru_cache(maxsize=64)
def _styles_of(path: Path, content: bytes) -> Mapping[str, PromptStyle | str]:
    """Read the styles of a file, or what is wrong with each: again only once `content` changes."""
    found: dict[str, PromptStyle | str] = {}
    for name, entry in read_yaml(path).items():
        try:
            found[name] = _named_style(name, entry)
        except TaskError as error:
            found[name] = str(error)
    return found


def _content(path: Path) -> bytes:
    try:
        check_regular(path)
        return path.read_bytes()
    except OSError:
        return b""  # `read_yaml` says why


def _named_style(name: str, entry: object) -> PromptStyle:
    where = f"style {name!r}"
    if not isinstance(entry, YamlMapping):
        raise TaskError(f"{where}: expected a mapping, not {shown(entry)}")
    fields = copy.copy(entry)  # an alias may name it twice
    mistakes = []
    if not re.fullmatch(r"[\w.+-]+", name):
        mistakes.append("the name may hold letters, digits and the characters _ . + - only")
    mistakes += [f"unknown key {key!r}" for key in ("name", "inline") if key in fields]
    kind = fields.get("kind", "marks")
    if kind == "marks" and not (fields.get("shapes") and fields.get("colors")):
        mistakes.append("expected 'shapes' and 'colors'")
    elif kind != "marks" and fields.keys() & OF_MARKS:
        mistakes.append(f"kind {kind!r} draws no marks of its own: it takes only a 'title'")
    if (kind == "surround") != ("surround" in fields):
        mistakes.append("expected kind 'surround' and the key 'surround' together")
    mistakes += units_mistakes(fields, kind)
    mistakes += _shape_mistakes(fields.get("shapes"))
    mistakes += _color_mistakes(fields.get("colors"))
    mistakes += refer_mistakes(fields.get("refer"), "refer")
    if "width" in fields:
        fields["width"], wrong = _widths(fields["width"])
        mistakes += wrong
    mistakes += _part_mistakes(fields)
    fields["name"] = name
    style = checked(PromptStyle, fields, where, mistakes)
    return style.model_copy(update={"colors": tuple(color.lower() for color in style.colors)})


def _part_mistakes(fields: YamlMapping) -> list[str]:
    """Check the settings of shapes, in place; return what is wrong with them."""
    mistakes = []
    shapes, beside = fields.get("shapes"), fields.get("beside")
    parts = [part for part in beside if isinstance(part, dict)] if isinstance(beside, list) else []
    owners = [(part, part.get("shape")) for part in parts]
    owners.append((fields, shapes[0] if isinstance(shapes, list) and len(shapes) == 1 else None))
    for part, shape in owners:
        given = part.get("settings")
        if not isinstance(given, dict) or not given:
            continue
        if shape not in shape_names():
            mistakes.append(f"settings {shown(given)} belong to no one shape")
            continue
        try:
            part["settings"] = read_settings(shape, given, "settings")
        except TaskError as error:
            mistakes.append(str(error))
    return mistakes


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
    if colors == [CONTRAST]:
        return []
    for color in colors if isinstance(colors, list) else ():
        if color == CONTRAST:
            mistakes.append(f"color {CONTRAST!r} is one of several; it stands alone")
            continue
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
