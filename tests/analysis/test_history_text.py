from pathlib import Path

from tests.analysis.conftest import ARROW
from tests.analysis.test_history import runs as runs  # a fixture
from tests.analysis.test_pairs import HEADLINE, V7W, run
from tests.results import line
from vipbench.analysis.history import history
from vipbench.analysis.history_text import markdown, overview, sentences, tables
from vipbench.runfolder.name_file import write_name


def test_the_first_drops_are_said(runs: list[str]) -> None:
    found = history(runs)
    assert sentences(found) == [
        "visual7w_pointing: drops from the start (step 0) at step 300 (-18.8 points, p < 0.001) "
        "and from the best so far (step 100) at step 300 (-37.5 points, p < 0.001); kinds of mark "
        "with a drop: shape=ellipse (step 300)"
    ]
    assert sentences(history(runs[1:])) == [
        "no drop beyond doubt, at level 0.05 for all steps together"
    ]


def test_tables_hold_every_step_and_every_kind_of_mark(runs: list[str]) -> None:
    whole, marks = tables(history(runs))
    assert [row[0] for row in whole.rows] == ["0", "100", "200", "300"]
    assert whole.rows[3][3] == "-18.8*"
    assert whole.rows[0][3:] == ("-", "-", "-", "-")
    assert marks.rows[1] == ("shape=ellipse", "25.0", "62.5 (100)", "0.0 (300)", "0.0", "300")
    text = markdown(history(runs))
    assert "0.05 / (k (k + 1))" in text
    assert "| 300 | 43.8 [" in text
    short = overview(history(runs))
    assert short.rows == [(V7W, "62.5", "81.2 (100)", "43.8 (300)", "43.8", "300")]
    assert short.title == (f"accuracy, %, at 4 steps from 0 to 300 ({HEADLINE}, text_match)")
    assert f"| {V7W} | 62.5 |" in text


def test_a_drop_from_a_start_that_is_the_best_and_kinds_that_are_all_are_said_once(
    tmp_path: Path,
) -> None:
    folders = []
    for number, n_right in ((0, 40), (100, 5)):
        scores = [
            line(V7W, f"q{i}", float(i < n_right), group=f"{i}", tags=ARROW) for i in range(40)
        ]
        settings = {"weights": f"{number + 1:x}".zfill(64)}
        folders.append(run(tmp_path / f"{number}", scores, model="vip", settings=settings))
        write_name(tmp_path / f"{number}", step=number)
    found = history(folders)
    assert len(found.series()) == 2
    assert sentences(found) == [
        f"{V7W}: drops at step 100 from the start, the best so far (-87.5 points, p < 0.001)"
    ]
