"""The scores of a task under its styles."""

from pathlib import Path

from tests.analysis.sweep.made import TASK, Values, make
from vipbench.analysis.sweep.scores import Scores, read_scores


def read(tmp_path: Path) -> Scores:
    values: Values = {
        "official_rectangles": [1, 1, None, 0],
        "none": [1, 1, 1, 1],
        "rectangle:red": [0, None, 1, 0],
    }
    [scores] = read_scores(make(tmp_path, "m", values))
    return scores


def test_a_run_is_read_task_by_task_with_all_its_styles(tmp_path: Path) -> None:
    scores = read(tmp_path)
    assert (scores.run, scores.model, scores.task) == (str(tmp_path), "m", TASK)
    assert (scores.metric, scores.headline) == ("text_match", "official_rectangles")
    assert list(scores.lines) == list(scores.styles)


def test_controls_are_not_marked(tmp_path: Path) -> None:
    assert read(tmp_path).marked() == ["official_rectangles", "rectangle:red"]


def test_a_sample_counts_where_all_styles_have_a_score(tmp_path: Path) -> None:
    scores = read(tmp_path)
    assert scores.common(["official_rectangles", "rectangle:red"]) == ["q0", "q3"]
    assert scores.values("rectangle:red", ["q0", "q2"]) == [0, 1]
    assert scores.groups(["q1", "q2"]) == ["image0", "image1"]
