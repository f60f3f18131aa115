"""Texts in DejaVu Sans as bitmaps, the same wherever they are drawn."""

import hashlib
import importlib.util
import math
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vipbench.errors import TaskError

if TYPE_CHECKING:
    from PIL import ImageFont

FONT = Path("mpl-data/fonts/ttf/DejaVuSans.ttf")
"""The font, below matplotlib's folder."""
FONT_SHA256 = "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22"
"""DejaVu Sans 2.37, as it comes with matplotlib 3.11: another one would give other pixels."""


class Lettering(NamedTuple):
    """A text as pixels."""

    size_wh: tuple[int, int]
    """Of the text, which is placed by it; its pixels may reach a little beyond."""
    corner: tuple[int, int]
    """From the text's top left to that of its bitmap."""
    bitmap_wh: tuple[int, int]
    pixels: bytes
    """One a pixel, rows first, 0-255."""


@lru_cache(maxsize=256)
def sans(text: str, height: int) -> Lettering:
    """Set a line in DejaVu Sans of this height in px.

    As wide as its letters advance; from the top of capitals to the base line, or as far as it
    reaches beyond these: so "1" and "2", or "A" and "B", are equally high.

    Raises:
        TaskError: The font is not there or is another one, or it has no such letters.
    """
    from PIL import Image, ImageDraw

    font = font_of(height)
    for letter in text:
        if not letter.isprintable() or not _has(letter):
            raise TaskError(
                f"tag {text!r}: font sans has no {letter!r} · expected letters of DejaVu Sans"
            )
    left, top, right, bottom = (int(value) for value in font.getbbox(text, anchor="ls"))
    _, cap_top, _, _ = font.getbbox("H", anchor="ls")
    width = max(math.ceil(font.getlength(text)), 1)
    line_top, line_bottom = min(top, int(cap_top)), max(bottom, 0)
    bitmap_wh = (max(right - left, 1), max(bottom - top, 1))
    image = Image.new("L", bitmap_wh)
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return Lettering(
        (width, line_bottom - line_top), (left, top - line_top), bitmap_wh, image.tobytes()
    )


@lru_cache(maxsize=32)
def font_of(height: int) -> "ImageFont.FreeTypeFont":
    """Return DejaVu Sans of a height in px; TaskError where the font is not there or another."""
    from PIL import ImageFont

    # Pillow's own layout: another one depends on a library that may be there or not.
    return ImageFont.truetype(BytesIO(_font_file()), height, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1)
def _font_file() -> bytes:
    """Read the font without importing matplotlib, which takes long."""
    found = importlib.util.find_spec("matplotlib")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0] if folders else "matplotlib") / FONT
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TaskError(
            f"{path}: the font of tags cannot be read ({error}) · install matplotlib again"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != FONT_SHA256:
        raise TaskError(
            f"{path}: the font of tags has sha256 {digest[:12]}… · expected {FONT_SHA256[:12]}…, as"
            " other letters would be other pixels · install matplotlib 3.11"
        )
    return data


@lru_cache(maxsize=1024)
def _has(letter: str) -> bool:
    """Tell whether the font has a letter: what it has not is drawn as the same empty box."""
    font = font_of(32)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))
