"""Contact sheets: pictures in a grid, each with the exact text under it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from vipbench.errors import VipbenchError

CELL = 360
"""Width of a cell in px; a picture fills a square of this side, less the margin."""
MARGIN = 10
"""px around a picture."""
TEXT_SIZE = 13
"""Height of the font in px."""
HANG = 14
"""Indent in px of what continues a line that was too long: the text itself has no such break."""
COLUMNS = 4
"""Pictures beside each other; further ones of one question are below."""
MAX_SIDE = 32_000
"""Longest side in px of a sheet that common viewers and the PNG writer can handle."""


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Cell(NamedTuple):
    """One question of a sheet."""

    image: Image.Image
    title: str
    """A line above the text, in grey."""
    text: str
    """Shown as it is; line breaks are kept."""
    others: tuple[Image.Image, ...] = ()
    """Of a question about several images, those after the first."""


def contact_sheet(cells: Sequence[Cell], columns: int | None = None) -> Image.Image:
    """Lay pictures out in a grid, row by row, each row as high as its longest text needs.

    Small pictures are enlarged by whole factors without smoothing, so that pixels can be counted;
    large ones are reduced. A cell is as wide as the images of a question side by side.

    Args:
        cells: at least one.
        columns: cells in a row; None: as many as COLUMNS pictures go beside each other.

    Raises:
        VipbenchError: The sheet would be larger than MAX_SIDE.
    """
    across = min(max(1 + len(cell.others) for cell in cells), COLUMNS)
    width = across * CELL
    columns = max(1, min(columns or COLUMNS // across, len(cells)))
    font = ImageFont.load_default(TEXT_SIZE)
    line_height = _line_height(font)
    titles = [wrapped(cell.title, width - 2 * MARGIN, font) for cell in cells]
    texts = [wrapped(cell.text, width - 2 * MARGIN, font) for cell in cells]
    pictures = [
        side_by_side(
            [scaled(each, CELL - 2 * MARGIN) for each in (cell.image, *cell.others)], step=CELL
        )
        for cell in cells
    ]
    rows = [range(i, min(i + columns, len(cells))) for i in range(0, len(cells), columns)]
    heights = [
        max(
            pictures[i].height + (len(titles[i]) + len(texts[i])) * line_height + 3 * MARGIN
            for i in row
        )
        for row in rows
    ]
    if max(sum(heights), columns * width) > MAX_SIDE:
        raise VipbenchError(
            f"contact sheet: {len(cells)} pictures need {columns * width} x {sum(heights)} px · "
            f"expected at most {MAX_SIDE} a side · ask for fewer with --n"
        )
    sheet = Image.new("RGB", (columns * width, sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            left, y = column * width + MARGIN, top + MARGIN
            sheet.paste(pictures[i], (left, y))
            y += pictures[i].height + MARGIN
            for fill, lines in (("gray", titles[i]), ("black", texts[i])):
                for indent, line in lines:
                    draw.text((left + indent, y), line, fill=fill, font=font)
                    y += line_height
        top += height
    return sheet


def side_by_side(pictures: Sequence[Image.Image], step: int | None = None) -> Image.Image:
    """Lay the images of one question side by side, each under its label, such as `image 1`.

    One alone stays as it is, without a label. After COLUMNS a new row begins.

    Args:
        pictures: in order; what is too large for a sheet of MAX_SIDE is reduced.
        step: px from one to the next; None: as wide as the widest needs.
    """
    if len(pictures) == 1:
        return pictures[0]
    columns, n_rows = min(len(pictures), COLUMNS), math.ceil(len(pictures) / COLUMNS)
    longest = max(max(picture.size) for picture in pictures)
    font = ImageFont.load_default(TEXT_SIZE if step else max(TEXT_SIZE, longest // 40))
    label_height = _line_height(font) + 2
    most = MAX_SIDE // max(columns, n_rows) - label_height - MARGIN
    pictures = [each if max(each.size) <= most else scaled(each, most) for each in pictures]
    labels = [f"image {number}" for number in range(1, len(pictures) + 1)]
    widest = max(*(each.width for each in pictures), *map(math.ceil, map(font.getlength, labels)))
    step = step or widest + MARGIN
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [label_height + max(picture.height for picture in row) + MARGIN for row in rows]
    size = (step * (columns - 1) + widest, sum(heights) - MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        left, top = index % columns * step, sum(heights[: index // columns])
        draw.text((left, top), label, fill="gray", font=font)
        sheet.paste(picture, (left, top + label_height))
    return sheet


def _line_height(font: Font) -> int:
    return sum(font.getmetrics()) + 2 if isinstance(font, ImageFont.FreeTypeFont) else 16


def scaled(image: Image.Image, side: int) -> Image.Image:
    """Scale a picture to a long side of about `side` px: enlarged without smoothing, or reduced."""
    long_side = max(image.size)
    if long_side <= side:
        factor = side // long_side
        size = (image.width * factor, image.height * factor)
        return image.resize(size, Image.Resampling.NEAREST)
    width, height = (max(1, round(length * side / long_side)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def wrapped(text: str, width: float, font: Font) -> list[tuple[int, str]]:
    """Break a text into lines of at most `width` px, with their indents: HANG where continued."""
    lines: list[tuple[int, str]] = []
    for paragraph in text.split("\n"):
        rest, indent = paragraph, 0
        while font.getlength(rest) > width - indent and len(rest) > 1:
            cut = _fitting(rest, width - indent, font)
            lines.append((indent, rest[:cut]))
            rest, indent = rest[cut:], HANG
        lines.append((indent, rest))
    return lines


def _fitting(text: str, width: float, font: Font) -> int:
    """Return how many characters of a text to put on one line, broken after a space if possible."""
    cut = 1
    while cut < len(text) and font.getlength(text[: cut + 1]) <= width:
        cut += 1
    space = text.rfind(" ", 0, cut)
    return space + 1 if space > 0 else cut


def half_blocks(image: Image.Image, columns: int) -> str:
    """Render a picture for a colour terminal: two pixels a character, one above the other."""
    width = min(columns, image.width)
    height = max(2, round(image.height * width / image.width) // 2 * 2)
    small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    pixels = [small.crop((0, y, width, y + 1)).tobytes() for y in range(height)]
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            "\x1b[38;2;{};{};{};48;2;{};{};{}m▀".format(*upper[x : x + 3], *lower[x : x + 3])
            for x in range(0, 3 * width, 3)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
