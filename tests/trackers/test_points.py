from tests.analysis.test_history import runs as runs  # a fixture
from tests.results import row
from vipbench.analysis.history import history
from vipbench.trackers.points import history_metrics, run_metrics


def test_a_run_is_numbers_with_names() -> None:
    rows = [
        row("vcr_qa", 0.5, 10),
        row("vcr_qa", 0.25, 4, group="shape=a/b"),
        row("vcr_qar", None, 0),
    ]
    found = run_metrics(rows)
    whole = f"vipbench/vcr_qa/{rows[0].style}/text_match"
    assert found[f"{whole}/accuracy"] == 0.5
    assert found[f"{whole}/ci_low"] < 0.5 < found[f"{whole}/ci_high"]
    assert (found[f"{whole}/n"], found[f"{whole}/n_errors"]) == (10, 0)
    assert found[f"{whole}/shape=a_b/accuracy"] == 0.25
    assert f"{whole}/shape=a_b/n" not in found
    assert not [name for name in found if "vcr_qar" in name and name.endswith("accuracy")]


def test_a_step_of_a_history_has_the_names_of_a_run(runs: list[str]) -> None:
    found = history_metrics(history(runs).rows, 300)
    name = "vipbench/visual7w_pointing/official_rectangles/text_match"
    assert found[f"{name}/accuracy"] == 70 / 160
    assert found[f"{name}/dropped_from_start"] == 1
    assert found[f"{name}/shape=ellipse/from_best"] < 0
    assert f"{name}/from_start" not in history_metrics(history(runs).rows, 0)
