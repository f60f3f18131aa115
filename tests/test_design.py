"""`docs/design.md` against the code: its rooms, its arrows, its layers, and every name it gives."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_layers import LAYERS, PACKAGE, RANK, imported, modules, part

REPO = PACKAGE.parent
TEXT = (REPO / "docs" / "design.md").read_text(encoding="utf-8")
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
ARROWS = [
    (left, right)
    for line in re.findall(r"^    (\w+ --> [\w& ]+)$", TEXT, re.MULTILINE)
    for left, _, rights in [line.partition(" --> ")]
    for right in rights.split(" & ")
]
FILES = sorted(set(re.findall(r"`([\w/]+\.py)(?:: \w+)?`", TEXT)))
NAMES = sorted(set(re.findall(r"`([\w/]+\.py): (\w+)`", TEXT)))


def table(header: str) -> list[list[str]]:
    """Return the cells of the table below a header, each row's."""
    lines = TEXT.split(header)[1].splitlines()[2:]
    rows = [line for line in lines[: lines.index("")] if line]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_room_is_described_and_drawn() -> None:
    described = {row[0].strip("`") for row in table("| room | what it is for |")}
    assert described == ROOMS
    drawn = {room for arrow in ARROWS for room in arrow}
    assert drawn == ROOMS


@pytest.mark.parametrize(("left", "right"), ARROWS)
def test_an_arrow_is_an_import_that_goes_down(left: str, right: str) -> None:
    names = {name for path in modules() if part(path) == left for name in imported(path)}
    assert any(f"{name}.".startswith(f"vipbench.{right}.") for name in names)
    assert RANK[right] <= RANK[left]


def test_every_import_between_rooms_follows_the_arrows() -> None:
    reached = {room: {right for left, right in ARROWS if left == room} for room in ROOMS}
    for _ in ROOMS:
        for rooms in reached.values():
            rooms.update(*(reached[room] for room in set(rooms)))
    undrawn = {
        (part(path), name.split(".")[1])
        for path in modules()
        if part(path) in ROOMS
        for name in imported(path)
        if name.startswith("vipbench.") and name.split(".")[1] in ROOMS - {part(path)}
    }
    assert {pair for pair in undrawn if pair[1] not in reached[pair[0]]} == set()


def test_the_layers_are_those_that_are_held() -> None:
    rows = table("| layer | rooms and files |")
    assert [set(re.findall(r"`(\w+)`", row[1])) for row in rows] == [set(row) for row in LAYERS]


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_named_is_there(name: str) -> None:
    assert (PACKAGE / name).exists() or (REPO / name).exists() or name.startswith("vipbench/")
    assert not name.startswith("vipbench/") or (REPO / name).exists()


@pytest.mark.parametrize(("file", "name"), NAMES)
def test_a_name_is_where_the_page_says(file: str, name: str) -> None:
    text = (PACKAGE / file).read_text(encoding="utf-8")
    assert re.search(rf"^(def|class) {name}\b|^{name} [:=]|^{name}: ", text, re.MULTILINE)


def test_the_steps_are_the_calls_of_the_loop() -> None:
    loop = (PACKAGE / "run" / "loop.py").read_text(encoding="utf-8")
    steps = [row[1].strip("`") for row in table("| step | call |") if row[1]]
    calls = [re.search(r"(\w+)\([^()]*(\([^()]*\))?[^()]*\)( as session)?:?  # (\d)", line)
             for line in loop.splitlines()]  # fmt: skip
    assert [call[1] for call in calls if call] == steps
    assert [call[4] for call in calls if call] == list("123456")
    assert len(loop.splitlines()) <= 160


def test_steps_have_numbers_in_the_loop_alone() -> None:
    numbered = [path for path in modules() if re.search(r"\b[Ss]teps? \d", path.read_text("utf-8"))]
    assert set(numbered) <= {PACKAGE / "run" / "loop.py"}


SUFFIXES = ("csv", "html", "json", "jsonl", "md", "png", "py", "svg", "yaml")
"""What is behind the dot of a file's name, and no name in a module."""


def below(path: Path) -> tuple[str, ...]:
    """Return where a module is in the package: `("run", "loop")`; a package's own name for it."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def is_stale(name: str) -> bool:
    """Say whether the module before the last dot is one of ours, and does not have that name."""
    *home, last = name.removeprefix("vipbench.").split(".")
    homes = [path for path in modules() if below(path)[-len(home) :] == tuple(home)] if home else []
    text = "\n".join(path.read_text("utf-8") for path in homes)
    defined = re.search(rf'^ *(?:(?:def|class) {last}\b|"?{last}"? ?[:=])', text, re.MULTILINE)
    is_module = any(below(path)[-len(home) - 1 :] == (*home, last) for path in modules())
    return bool(homes) and last not in SUFFIXES and not defined and not is_module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_of_modules_in_texts_are_there(path: Path) -> None:
    texts = [node.value for node in ast.walk(ast.parse(path.read_text("utf-8")))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]  # fmt: skip
    names = {name for text in texts for name in re.findall(r"`([a-z_]\w*(?:\.\w+)+)`", text)}
    assert {name for name in names if is_stale(name)} == set()


def test_a_stale_name_is_noticed() -> None:
    assert is_stale("tasks.inspect_image")
    assert is_stale("vipbench.prompts.CHOICE_TEMPLATE")
    assert not is_stale("vipbench.data.samples.inspect_image")
    assert not is_stale("scores.jsonl")


def test_the_page_gives_names() -> None:
    assert len(FILES) > 25
    assert len(NAMES) > 15
    assert len(ARROWS) > 20
