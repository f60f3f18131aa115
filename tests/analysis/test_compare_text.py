from pathlib import Path

from tests.analysis.test_pairs import V7W, run
from tests.results import lines
from vipbench.analysis.compare import compare
from vipbench.analysis.compare_text import markdown, spare, table


def test_the_page_has_a_table_of_tasks_and_one_of_groups(runs: tuple[str, str]) -> None:
    text = markdown(compare(runs))
    assert f"## {runs[0]} → {runs[1]}" in text
    assert f"| {V7W} | 87.5 | 75.0 | -12.5 [" in text
    assert f"| {V7W}: shape=arrow | 100.0 | 70.0 | -30.0 [" in text
    assert "Overlap" not in text


def test_a_row_with_nothing_to_compare_has_dashes(tmp_path: Path) -> None:
    folders = [run(tmp_path / name, lines(V7W, [None, None])) for name in "ab"]
    assert "| - | - | - |" in markdown(compare(folders))


def test_overlap_in_part_is_said(tmp_path: Path) -> None:
    base = run(tmp_path / "a", lines(V7W, [1] * 6))
    new = run(tmp_path / "b", lines(V7W, [1] * 4))
    found = compare([base, new], partial=True)
    assert (found.rows[0].n_base_only, found.rows[0].n_new_only) == (2, 0)
    assert f"only base, and only new has: {V7W} 2 and 0." in markdown(found)


def test_no_trouble_is_spared_for_want_of_room(tmp_path: Path) -> None:
    base = run(tmp_path / "a", lines(V7W, [1] * 6))
    new = run(tmp_path / "b", lines(V7W, [1, 1, 1, 1, 1, None]))
    spared = sum(spare(table("t", compare([base, new]).rows)), ())
    assert "unparsed" in spared
    assert "errors" not in spared
