"""The colours that have a name, and how colours are written."""

import re

from vipbench.errors import TaskError, nearest
from vipbench.schema import RGB

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
