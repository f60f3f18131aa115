"""The colours that have a name, and how colours are written."""

import math
import re
from collections.abc import Collection

from vipbench.errors import TaskError, nearest
from vipbench.schema import RGB, PromptStyle

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

CONTRAST = "contrast"
"""Stands for a colour where a style has each mark stand out from what is around its region."""

_COLOR_NAMES = {rgb: name for name, rgb in COLORS.items()}


def color_word(text: str) -> str | None:
    """Return what a text calls a colour: its own word (`green=#00ff00`), its name, or nothing."""
    word, equals, _ = text.partition("=")
    return word if equals or word in COLORS else None


def color_rgb(text: str) -> RGB:
    """Turn a pool name, `#rrggbb`, or a word for it, `green=#00ff00`, into RGB.

    Raises:
        TaskError: The text is neither; suggests the nearest name.
    """
    if text in COLORS:
        return COLORS[text]
    word, equals, text = text.rpartition("=")
    if equals and not re.fullmatch(r"[a-z]+( [a-z]+)*", word):
        raise TaskError(f"color word {word!r} · expected small letters, as in green=#00ff00")
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    raise TaskError(f"color {text!r} is unknown{nearest(text, COLORS)} (or #rrggbb)")


def color_group(rgb: RGB) -> str:
    """Return the breakdown group of a colour: its pool name, else `#rrggbb`."""
    return _COLOR_NAMES.get(rgb, "#{:02x}{:02x}{:02x}".format(*rgb))


def stands_out(style: PromptStyle) -> bool:
    """Say whether the colours of a style's marks depend on the pixels around their regions."""
    return CONTRAST in style.colors


def farthest(rgb: RGB, taken: Collection[str] = ()) -> str:
    """Return the name that is farthest from a colour, as people see it, of those not taken.

    By the distance in CIELAB (CIE 1976; sRGB under D65), as VP-Bench does it with colours of its
    own (arXiv 2511.11438); of two that are equally far the first in COLORS. All taken: of all.
    """
    left = [name for name in COLORS if name not in taken] or list(COLORS)
    here = _lab(rgb)
    return max(left, key=lambda name: math.dist(here, _lab(COLORS[name])))


def _lab(rgb: RGB) -> tuple[float, float, float]:
    """Return L*, a*, b* of an sRGB colour (IEC 61966-2-1; white of D65)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in rgb)
    ]
    x, y, z = (
        _lightness(sum(part * value for part, value in zip(row, linear, strict=True)) / white)
        for row, white in zip(_XYZ, _WHITE, strict=True)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)


def _lightness(value: float) -> float:
    """Return the cube root, or near 0 the line that CIE puts in its place."""
    return value ** (1 / 3) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29
