from tests.analysis.test_history import runs as runs  # a fixture
from vipbench.analysis.history import history
from vipbench.analysis.history_text import markdown, sentences, tables


def test_the_first_drops_are_said(runs: list[str]) -> None:
    found = history(runs)
    first, second, *marks = sentences(found)
    assert first == (
        "visual7w_pointing: the first drop from the start (step 0) is at step 300: -18.8 points, "
        "p < 0.001"
    )
    assert "from the best so far (step 100) is at step 300: -37.5 points" in second
    assert all(" shape=" in sentence for sentence in marks)
    assert sentences(history(runs[1:])) == [
        "no drop beyond doubt, at level 0.05 for all steps together"
    ]


def test_tables_hold_every_step_and_every_kind_of_mark(runs: list[str]) -> None:
    whole, marks = tables(history(runs))
    assert [row[0] for row in whole.rows] == ["0", "100", "200", "300"]
    assert whole.rows[3][3] == "-18.8*"
    assert whole.rows[0][3:] == ("-", "-", "-", "-")
    assert marks.rows[1] == ("shape=ellipse", "25.0", "62.5 (100)", "0.0", "300", "300")
    text = markdown(history(runs))
    assert "0.05 / (k (k + 1))" in text
    assert "| 300 | 43.8 [" in text
