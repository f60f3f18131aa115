"""What a run says of its tasks, before any registry's format."""

from pathlib import Path

import pytest

from tests.analysis.test_pairs import V7W, VCR, run
from tests.results import line, lines
from vipbench.errors import RunError
from vipbench.exchange.results import by_task, read_results
from vipbench.runfolder.lines import ScoreLine
from vipbench.schema import PromptStyle

FINISHED = "2026-01-02T03:04:05+00:00"
BLINK = "blink_relative_depth"


def finished(folder: Path, *args: object, **fields: object) -> Path:
    """Write a finished run, as `tests.analysis.test_pairs.run` does."""
    given = {"finished": FINISHED, "versions": {"vipbench": "0.1.0"}}
    return Path(run(folder, *args, **given | fields))  # type: ignore[arg-type]


def whole(task: str, n: int = 40, right: int = 30, style: str | None = None) -> list[ScoreLine]:
    """Scores of a task that was asked as a whole."""
    values = [1.0] * right + [0.0] * (n - right)
    return lines(task, values) if style is None else lines(task, values, style=style)


def test_each_task_has_the_row_of_its_first_metric(tmp_path: Path) -> None:
    scores = whole(V7W) + lines(V7W, [0.0] * 40, metric="stated") + whole(VCR, right=20)
    tasks = {"n_samples": 40}
    found = read_results(finished(tmp_path / "a", scores, (V7W, VCR), task=tasks))
    assert [result.row.accuracy for result in found.results] == [0.75, 0.5]
    assert [result.row.metric for result in found.results] == ["text_match", "text_match"]
    assert [result.caveats() for result in found.results] == [[], []]
    assert found.notes == ()
    assert found.conditions(found.results[0]) == [
        "style official_rectangles",
        "metric text_match",
        "95 % interval 50.1-91.6",
        "n 40 on 20 images",
        "llava_v1, greedy, float16, seed 0",
        "fit pad",
        f"vipbench 0.1.0, {V7W} version 1",
    ]


def test_a_task_and_a_style_are_chosen(tmp_path: Path) -> None:
    styles = {V7W: (PromptStyle(name="official_rectangles"), PromptStyle(name="none", kind="none"))}
    scores = whole(V7W) + whole(V7W, right=10, style="none")
    folder = finished(tmp_path / "a", scores, identity={"styles": styles}, task={"n_samples": 40})
    assert read_results(folder, V7W, "none").results[0].row.accuracy == 0.25
    with pytest.raises(RunError, match="--task 'visual7w_pionting' is not in this run · did you"):
        read_results(folder, "visual7w_pionting")
    with pytest.raises(RunError, match="--style 'noen': nothing was asked under it · did you mean"):
        read_results(folder, None, "noen")


def test_what_is_not_the_whole_benchmark_is_said(tmp_path: Path) -> None:
    scores = [*whole(V7W, 20, 10), line(V7W, "q99", None)]
    fields = {"n_samples": 100, "synthetic": True}
    found = read_results(finished(tmp_path / "a", scores, task=fields))
    [result] = found.results
    said = ["synthetic data", "21 of 100 samples asked", "1 failed and not scored"]
    assert result.caveats() == said
    assert found.notes[0].startswith(f"{V7W}: {'; '.join(said)}: not a result of the whole")
    assert found.conditions(result)[-3:] == said
    assert result.hub == {}


def test_nothing_scored_is_no_result(tmp_path: Path) -> None:
    failed = [line(V7W, "q0", None)]
    folder = finished(tmp_path / "a", failed + whole(VCR), (V7W, VCR), task={"n_samples": 40})
    found = read_results(folder)
    assert [result.row.task for result in found.results] == [VCR]
    assert found.notes[0] == f"{V7W}: nothing was scored; left out"
    with pytest.raises(RunError, match="nothing was scored"):
        read_results(folder, V7W)


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has not ended"):
        read_results(finished(tmp_path / "a", whole(V7W), finished=None))


def test_the_file_of_another_version_of_a_task_says_nothing_of_it(tmp_path: Path) -> None:
    one = read_results(finished(tmp_path / "a", whole(BLINK), (BLINK,)))
    assert one.results[0].hub == {"dataset_id": "BLINK-Benchmark/BLINK"}
    two = read_results(finished(tmp_path / "b", whole(BLINK), (BLINK,), task={"version": 7}))
    assert two.results[0].hub == {}
    assert two.results[0].title == BLINK


def test_values_are_for_all_tasks_or_for_one() -> None:
    assert by_task("--x", ["a"], ["t", "u"]) == {"t": "a", "u": "a"}
    assert by_task("--x", ["t=a", "u=b"], ["t", "u", "v"]) == {"t": "a", "u": "b"}
    for texts, words in (
        (["w=a"], "--x w=a: 'w' is not exported"),
        (["t="], "--x 't=': is empty"),
        (["a", "t=b"], "--x t=b: t has 'a' already"),
    ):
        with pytest.raises(RunError, match=words):
            by_task("--x", texts, ["t", "u"])
