"""Draws the pictures of the documentation: `python docs/images/make.py RUN`, RUN a demo run."""

import io
import re
import sys
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

import vipbench
from vipbench.demo.scenes import COLORS, FIGURES, SIDE, draw_scene, make_scene
from vipbench.report import read_summary, run_table
from vipbench.styles import COLORS as MARK_COLORS
from vipbench.styles import SHAPES, WORDS

HERE = Path(__file__).parent
SCALE = 2
GAP, LINE = 12, 30


def marks() -> None:
    """Draw each shape on a scene, with its words below."""
    tiles = []
    for shape, color in zip(SHAPES, MARK_COLORS, strict=False):
        rng = Random(shape)
        kinds = list(zip(rng.sample(FIGURES, 4), rng.sample(list(COLORS), 4), strict=True))
        figures = make_scene(kinds, rng)
        scene = draw_scene(figures, rng).resize(
            (SIDE * SCALE, SIDE * SCALE), Image.Resampling.LANCZOS
        )
        figure = figures[0]
        region = vipbench.Region(
            box=tuple(SCALE * value for value in figure.box),  # type: ignore[arg-type]
            polygons=(tuple((SCALE * x, SCALE * y) for x, y in figure.polygon),),
        )
        mark = vipbench.VisualPrompt(
            region=region,
            shape=shape,
            color=MARK_COLORS[color],
            alpha=200,
            width=WIDTHS[shape],
            seed=4,
        )
        preposition, noun = WORDS[shape]
        tiles.append((vipbench.render(scene, [mark]), f"{preposition} the {color} {noun}"))
    width = 4 * (SIDE * SCALE + GAP) + GAP
    height = 2 * (SIDE * SCALE + GAP + LINE) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    canvas = ImageDraw.Draw(sheet)
    for place, (tile, words) in enumerate(tiles):
        x = GAP + place % 4 * (SIDE * SCALE + GAP)
        y = GAP + place // 4 * (SIDE * SCALE + GAP + LINE)
        sheet.paste(tile, (x, y))
        canvas.text((x, y + SIDE * SCALE + 6), words, fill="black", font=ImageFont.load_default(17))
    sheet.save(HERE / "marks.png", optimize=True)


WIDTHS = dict.fromkeys(SHAPES, 5.0) | {"point": 9.0, "mask contour": 2.0}


def report(run: Path) -> None:
    """Draw the table that a run prints at its end, without fonts from elsewhere."""
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(run_table(read_summary(run)))
    code_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(HERE / "report.svg"), title="vipbench run", code_format=code_format)


if __name__ == "__main__":
    marks()
    if len(sys.argv) > 1:
        report(Path(sys.argv[1]))
