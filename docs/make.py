"""Make what the documentation shows: pictures, and the tables of the README.

`python docs/make.py RUN...`, the folders of finished demo runs; the first gives the table of a run,
all of them the report. `python docs/make.py photo` makes the photograph under marks alone.
"""

import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

import vipbench
from vipbench.demo.scenes import COLORS, FIGURES, SIDE, draw_scene, make_scene
from vipbench.prompts.colors import COLORS as MARK_COLORS
from vipbench.prompts.styles import SHAPES
from vipbench.prompts.words import WORDS
from vipbench.report import read_summary, run_table

HERE = Path(__file__).parent
REPO = HERE.parent
README = REPO / "README.md"
BOARD = REPO / "results" / "demo" / "leaderboard.json"
SCALE = 2
"""Pixels of the picture for one of a demo scene."""
GAP, LINE = 12, 30
"""px between pictures, and of the words below one."""
WIDTHS = dict.fromkeys(SHAPES, 5.0) | {"point": 9.0, "mask contour": 2.0}
"""Line widths (radius for a point) of the pictured marks, in px at a 336-px long side."""


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
        preposition, noun, *_ = WORDS[shape]
        tiles.append((vipbench.render(scene, [mark]), f"{preposition} the {color} {noun}"))
    width = 4 * (SIDE * SCALE + GAP) + GAP
    height = 2 * (SIDE * SCALE + GAP + LINE) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    canvas = ImageDraw.Draw(sheet)
    for n, (tile, words) in enumerate(tiles):
        x = GAP + n % 4 * (SIDE * SCALE + GAP)
        y = GAP + n // 4 * (SIDE * SCALE + GAP + LINE)
        sheet.paste(tile, (x, y))
        canvas.text((x, y + SIDE * SCALE + 6), words, fill="black", font=ImageFont.load_default(17))
    sheet.save(HERE / "images" / "marks.png", optimize=True)


def report(run: Path) -> None:
    """Draw the table that a run prints at its end, without fonts from elsewhere."""
    console = Console(record=True, width=110, file=io.StringIO())
    console.print(run_table(read_summary(run)))
    code_format = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(
        str(HERE / "images" / "report.svg"), title="vipbench run", code_format=code_format
    )


def page(runs: list[Path]) -> None:
    """Take a picture of the sample browser of `vipbench report`."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sys.exit("images/report.png: left as it is, since playwright is not installed")
    from vipbench.html import write_report

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("images/report.png: left as it is, since there is no chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = write_report(runs, Path(folder), max_inline=0)
        sandbox = [] if os.geteuid() else ["--no-sandbox"]
        browser = driver.chromium.launch(executable_path=chromium, args=sandbox)
        tab = browser.new_page(viewport={"width": 1280, "height": 1010})
        tab.goto(path.resolve().as_uri() + "#/task=vcr_qa&style=demo")
        tab.locator("#list .row").nth(3).click()
        tab.wait_for_load_state("networkidle")
        tab.screenshot(path=HERE / "images" / "report.png")
        browser.close()


def tables(rows: list[dict[str, Any]]) -> str:
    """Write the README's tables from the rows of the committed leaderboard."""
    cells = {
        (row["model"], row["task"], row["style"]): f"{100 * row['accuracy']:.1f}" for row in rows
    }
    models = list(dict.fromkeys(row["model"] for row in rows))
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    styles = list(dict.fromkeys(row["style"] for row in rows))
    n = rows[0]["n_expected"]
    lines = [
        f"Accuracy in percent on the demo suite, **synthetic** data, {n} questions a task, style "
        "`demo`:",
        "",
        f"| model | {' | '.join(f'`{task}`' for task in tasks)} |",
        "|---|" + "---:|" * len(tasks),
        *(
            f"| {model} | {' | '.join(cells[model, task, 'demo'] for task in tasks)} |"
            for model in models
        ),
        "",
        "The same checkpoint under seen marks, unseen marks, no marks and a grey image:",
        "",
        f"| `vipllava-demo`, style | {' | '.join(f'`{task}`' for task in tasks)} |",
        "|---|" + "---:|" * len(tasks),
        *(
            f"| `{style}` | {' | '.join(cells['vipllava-demo', task, style] for task in tasks)} |"
            for style in styles
        ),
        "",
        "Intervals, and the breakdown by shape, colour, size and number of marks, are in "
        "[results/demo](results/demo/leaderboard.md).",
    ]
    return "\n".join(lines)


def with_tables(readme: str, rows: list[dict[str, Any]]) -> str:
    """Put the tables between their markers."""
    start, end = "<!-- leaderboard -->\n", "<!-- /leaderboard -->"
    before, _, rest = readme.partition(start)
    return f"{before}{start}{tables(rows)}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["photo"]:
        import photo  # beside this file

        sys.exit(photo.make())
    marks()
    report(Path(sys.argv[1]))
    rows = json.loads(BOARD.read_text(encoding="utf-8"))
    README.write_text(with_tables(README.read_text(encoding="utf-8"), rows), encoding="utf-8")
    page([Path(argument) for argument in sys.argv[1:]])
