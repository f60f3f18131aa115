"""A photograph under all families of marks: the picture on top of the README.

The photograph is `skimage.data.coffee` of scikit-image (`pip install scikit-image`); its docstring
says: "No copyright restrictions. CC0 by the photographer (Rachel Michetti)."
"""

import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from vipbench.data.tasks import all_styles
from vipbench.images.load import draw_request
from vipbench.images.shapes.lettering import font_of
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import Region, Sample

OUT = Path(__file__).parent / "images" / "photo.png"
CREDIT = "Photograph: Rachel Michetti, CC0 · skimage.data.coffee"
SHA256 = "0ce2b51640b9c95f19617f03eabf40c3f0368589cc1ee1190b70966165ac184f"
"""Of the photograph's pixels, RGB: another one would need other outlines."""
SIZE = (600, 400)
CUP = (
    (173, 109), (177, 88), (188, 65), (209, 44), (236, 27), (267, 18), (298, 18), (328, 25),
    (359, 40), (384, 61), (401, 86), (408, 111), (407, 134), (399, 161), (390, 188), (380, 211),
    (367, 230), (352, 252), (336, 268), (313, 281), (282, 286), (255, 284), (236, 301), (225, 307),
    (209, 305), (198, 295), (196, 278), (202, 261), (213, 238), (208, 230), (194, 215), (185, 192),
    (177, 161), (174, 133),
)  # fmt: skip
BOWL = (
    (385, 234), (393, 247), (401, 259), (406, 274), (405, 289), (397, 307), (384, 320), (365, 326),
    (347, 321), (334, 309), (327, 292), (327, 274), (334, 261), (346, 251), (361, 245), (372, 236),
)  # fmt: skip
SPOON = (
    (397, 72), (407, 67), (418, 69), (424, 77), (420, 96), (413, 117), (403, 161), (394, 188),
    (388, 209), (385, 220), *BOWL, (374, 222), (379, 213), (388, 192), (399, 161), (407, 130),
    (408, 107), (402, 82),
)  # fmt: skip
HANDLE = (
    (213, 238), (231, 224), (256, 247), (244, 263), (236, 282), (226, 305), (211, 306), (198, 295),
    (196, 278), (203, 259),
)  # fmt: skip
COFFEE = (
    (203, 145), (213, 126), (229, 107), (252, 99), (282, 95), (313, 99), (340, 111), (359, 130),
    (370, 157), (363, 169), (344, 183), (324, 190), (298, 194), (267, 190), (240, 178), (217, 163),
)  # fmt: skip
"""Outlines in px of the photograph."""
Outline = tuple[tuple[int, int], ...]


class Tile(NamedTuple):
    """One picture."""

    style: str
    """As after `--styles`."""
    regions: tuple[Outline, ...] = (CUP,)
    seed: int = 0
    """Of the run: chooses a random shape that is easily seen."""


THREE = (COFFEE, HANDLE, BOWL)
TILES = (
    Tile("rectangle:aqua"),
    Tile("ellipse:lime", (COFFEE,)),
    Tile("triangle:yellow", seed=1),
    Tile("arrow:yellow", seed=3),
    Tile("point:aqua:width=9", (BOWL,)),
    Tile("scribble:lime", seed=1),
    Tile("mask_contour:aqua:width=2"),
    Tile("mask:lime:alpha=128", (SPOON,)),
    Tile("marker:star:yellow:radius=20", (BOWL,)),
    Tile("tag:letter:size=28", THREE),
    Tile("marker:dot:aqua+tag:letter:size=24", THREE),
    Tile("rectangle:yellow+tag:number", THREE),
    Tile("set_of_mark", THREE),
    Tile("vpbench", (COFFEE, BOWL)),
    Tile("rectangle:aqua:line=dashed"),
    Tile("ellipse:lime:line=double", (COFFEE,)),
    Tile("rectangle:yellow:nested=3"),
    Tile("spotlight"),
    Tile("blur"),
    Tile("crop", (BOWL,)),
)
LEFT_OUT = "rectangle:aqua:alpha=255:width=5"
"""The headline style: inline styles take from it what they leave out, and controls are drawn so."""
COLUMNS = 4
TILE = (288, 192)
GAP = 14
TEXT = 27
"""Height of the font in px: 9 px where the picture is shown 390 px wide."""
LINE = TEXT + 6


def make() -> None:
    """Write the picture, in 256 colours."""
    try:
        from skimage.data import coffee
    except ModuleNotFoundError:
        sys.exit("images/photo.png: left as it is, since scikit-image is not installed")
    photograph = Image.fromarray(coffee())
    found = hashlib.sha256(photograph.tobytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"skimage.data.coffee has sha256 {found} · expected {SHA256}, for the outlines")
    sheet = draw(photograph)
    # Maximum coverage keeps the few pixels of the marks in their own colours.
    palette = sheet.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3)
    sheet = sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    sheet.save(OUT, optimize=True)


def draw(photograph: Image.Image) -> Image.Image:
    """Lay out all tiles, each with its style below, and the credit."""
    font = font_of(TEXT)
    small = photograph.resize(TILE, Image.Resampling.LANCZOS)
    rows = [TILES[start : start + COLUMNS] for start in range(0, len(TILES), COLUMNS)]
    heights = [TILE[1] + LINE * max(len(_lines(t.style, font)) for t in row) + GAP for row in rows]
    size = COLUMNS * (TILE[0] + GAP) + GAP, GAP + sum(heights) + LINE + GAP
    sheet = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(sheet)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = GAP + column * (TILE[0] + GAP)
            sheet.paste(_marked(small, tile), (left, top))
            for n, line in enumerate(_lines(tile.style, font)):
                place = left, top + TILE[1] + 3 + n * LINE
                canvas.text(place, line, fill="#1f2328", font=font)
        top += height
    canvas.text((GAP, top + 4), CREDIT, fill="#59636e", font=font)
    return sheet


def _marked(photograph: Image.Image, tile: Tile) -> Image.Image:
    """Draw the marks of one style as a run does; a crop is enlarged to the tile."""
    known = all_styles()
    [left_out] = parse_styles(LEFT_OUT, known)
    [style] = parse_styles(tile.style, known, left_out)
    scale = photograph.width / SIZE[0]
    regions = []
    for name, outline in zip("ABC", tile.regions, strict=False):
        points = tuple((x * scale, y * scale) for x, y in outline)
        xs, ys = zip(*points, strict=True)
        box = min(xs), min(ys), max(xs), max(ys)
        regions.append(Region(box=box, polygons=(points,), id=name))
    sample = Sample(
        id="coffee",
        image="coffee.png",
        question="",
        target="",
        regions=tuple(regions),
        group="coffee",
        image_size=photograph.size,
    )
    drawn, *_ = draw_request(photograph.copy(), build_request(sample, style, tile.seed))
    return drawn.resize(TILE, Image.Resampling.LANCZOS)


def _lines(style: str, font: ImageFont.FreeTypeFont) -> list[str]:
    """Break an expression that is wider than a tile before its plus, or its last colon."""
    if font.getlength(style) <= TILE[0]:
        return [style]
    at = style.find("+") if "+" in style else style.rfind(":")
    return [style[:at], style[at:]]
