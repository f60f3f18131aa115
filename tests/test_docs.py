"""What the documentation shows: commands that exist, tables that are the committed results."""

import itertools
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from PIL import Image

from vipbench.analysis.reproduce.published import read_registry
from vipbench.cli import app
from vipbench.data.tasks import all_styles, find_suites, find_tasks

REPO = Path(__file__).parent.parent
PAGES = [
    REPO / "README.md",
    *sorted((REPO / "docs").glob("*.md")),
    REPO / "results" / "community" / "README.md",
]
OWN = {"shop_signs"}
"""Tasks that a page tells the reader to write."""


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `vipbench` command in a page's code blocks, and in its text."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("vipbench "):
                yield shlex.split(line.replace("…", ""), comments=True)[1:]
    yield from (shlex.split(found)[1:] for found in re.findall(r"`(vipbench [^`|…]*)`", text))


ALL = [(page.name, words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), ALL, ids=lambda value: str(value)[:60])
def test_a_command_in_the_documentation_exists(page: str, words: list[str]) -> None:
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, page
        context = command.commands[words[0]].make_context(words[0], [], resilient_parsing=True)
        command, words = context.command, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options, page
    for word, following in itertools.pairwise(words):
        if word == "--tasks":
            assert set(following.split(",")) <= {*find_tasks(), *OWN}, page


def test_the_pages_show_commands() -> None:
    assert len(ALL) > 15


def test_every_task_and_suite_is_in_the_readme_or_the_pages() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shortened = text.replace("`pointqa_looktwice`, `_super`, `_object`", " ".join(find_tasks()))
    assert [name for name in (*find_tasks(), *find_suites()) if f"{name}" not in shortened] == []
    assert [
        name for name in ("demo", "demo_unseen", "none", "blind") if name not in all_styles()
    ] == []


def test_the_tables_of_the_readme_are_the_committed_results() -> None:
    make = runpy.run_path(str(REPO / "docs" / "make.py"))
    rows = json.loads((REPO / "results" / "demo" / "leaderboard.json").read_text(encoding="utf-8"))
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert make["with_tables"](readme, rows) == readme


def test_the_photograph_shows_the_styles_that_are_listed_below_it() -> None:
    photo = runpy.run_path(str(REPO / "docs" / "photo.py"))
    plain = Image.new("RGB", photo["TILE"], "grey")
    listed = (REPO / "docs" / "marks.md").read_text(encoding="utf-8").partition("## The eight")[0]
    assert re.findall(r"`([^`]+)`", listed.partition("takes them: ")[2]) == [
        *(tile.style for tile in photo["TILES"]),
        photo["LEFT_OUT"],
        "skimage.data.coffee",
    ]
    for tile in photo["TILES"]:
        assert photo["_marked"](plain, tile).tobytes() != plain.tobytes(), tile.style
        lines = photo["_lines"](tile.style, photo["font_of"](photo["TEXT"]))
        assert max(map(photo["font_of"](photo["TEXT"]).getlength, lines)) <= photo["TILE"][0]
    assert photo["OUT"].stat().st_size < 600_000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_counts_the_published_numbers() -> None:
    n = sum(len(file.numbers) for file in read_registry())
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert f"against {n} published numbers" in " ".join(readme.split())
