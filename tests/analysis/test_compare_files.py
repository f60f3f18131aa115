import csv
import json
from pathlib import Path

from tests.analysis.test_pairs import V7W, run
from tests.results import line, lines
from vipbench.analysis.compare import CompareRow, Flip, compare
from vipbench.analysis.compare_files import forest, write


def test_all_files_are_written_and_hold_the_rows(runs: tuple[str, str], tmp_path: Path) -> None:
    found = compare(runs)
    out = tmp_path / "out"
    paths = write(found, out)
    assert [path.name for path in paths] == [
        *("compare.csv", "compare.json", "compare.md", "flips.csv", "forest.png", "forest.svg"),
    ]
    assert all(path.stat().st_size for path in paths)
    listed = json.loads((out / "compare.json").read_text())
    assert tuple(CompareRow.model_validate(each) for each in listed) == found.rows
    with (out / "compare.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == list(CompareRow.model_fields)
    assert (table[0]["n_lost"], table[0]["reliable"], table[0]["synthetic"]) == (
        *("12", "true", "false"),
    )
    with (out / "flips.csv").open() as file:
        flips = list(csv.DictReader(file))
    assert list(flips[0]) == list(Flip._fields)
    assert [flip["id"] for flip in flips if flip["flip"] == "lost"] == [f"q{i}" for i in range(12)]
    assert [flip["id"] for flip in flips if flip["flip"] == "gained"] == ["q70", "q71"]


def test_the_plot_keeps_to_what_can_be_read(runs: tuple[str, str], tmp_path: Path) -> None:
    assert [mark.label for mark in forest(compare(runs)).marks] == [
        *(V7W, "shape=arrow", "shape=ellipse"),
    ]
    scores = [line(V7W, f"q{i}", 1, tags={"n_marks": (str(i // 12),)}) for i in range(1200)]
    many = compare([run(tmp_path / "a", scores), run(tmp_path / "b", scores)])
    assert len(many.rows) == 101
    assert [mark.label for mark in forest(many).marks] == [V7W]


def test_a_row_with_nothing_to_compare_is_left_out_of_the_plot(tmp_path: Path) -> None:
    folders = [run(tmp_path / name, lines(V7W, [None, None])) for name in "ab"]
    assert forest(compare(folders)).marks == ()
