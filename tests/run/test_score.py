"""Scores and rows, from requests and responses alone."""

import json
from pathlib import Path

import pytest

from tests.run.asking import SCORED, files, rows, said, spoil
from tests.runs import make_joint, make_task, settings
from vipbench.console import Console
from vipbench.errors import RunError, TooManyErrors
from vipbench.files import read_lines
from vipbench.run import score as run_score
from vipbench.run.loop import run
from vipbench.run.score import score
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import REQUESTS, SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import ALL


def test_a_joint_task_is_right_where_both_parts_are(tmp_path: Path) -> None:
    make_joint(tmp_path)
    results = run(settings(tmp_path, tasks=("both",), styles="demo,none"))
    frame = results.scores
    names = zip(frame["task"], frame["style"], frame["id"], strict=True)
    scores = dict(zip(names, frame["value"], strict=True))
    for style in ("demo", "none"):
        expected = [
            min(scores["first", style, f"q{i}"], scores["second", style, f"q{i}"])
            for i in range(12)
        ]
        assert [scores["both", style, f"q{i}"] for i in range(12)] == expected
        row = rows(results)["both", style]
        assert row.accuracy == sum(expected) / 12
        assert (row.n, row.n_expected) == (12, 12)
    assert {row.task for row in results.rows} == {"first", "second", "both"}
    line = next(
        line for line in read_lines(results.path / SCORES, ScoreLine) if line.task == "both"
    )
    assert len(line.target.split(", ")) == 2
    # The parts have boxes of their own, so that only what they share is told apart.
    assert line.tags["parity"] == ("even",)
    assert line.tags["n_marks"] == ("1",)


def test_an_error_in_one_part_is_an_error_of_the_joint_task(tmp_path: Path) -> None:
    make_joint(tmp_path)
    path = tmp_path / "second.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"image": "gone.png"})
    path.write_text("\n".join(lines) + "\n")
    results = run(settings(tmp_path, tasks=("both",), max_errors=0.5))
    found = {row.task: (row.n, row.n_errors) for row in results.rows if row.group == ALL}
    assert found == {"first": (12, 0), "second": (11, 1), "both": (11, 1)}


def test_requests_that_are_not_those_of_the_run_are_not_scored(tmp_path: Path) -> None:
    make_task(tmp_path)
    folder = run(settings(tmp_path)).path
    expected = files(folder)
    for lines in (b"", b"".join(expected[REQUESTS].splitlines(keepends=True)[1:])):
        (folder / REQUESTS).write_bytes(lines)
        with pytest.raises(RunError, match="does not hold the 20 requests"):
            score(folder)
    (folder / REQUESTS).unlink()
    assert run(settings(tmp_path)).n_answered == 0
    assert files(folder) == expected


def test_too_many_broken_images_end_it_when_all_is_written(tmp_path: Path) -> None:
    make_task(tmp_path)
    spoil(tmp_path, 0)
    with pytest.raises(TooManyErrors, match=r"own under demo: 4 of 20 .*0.png"):
        run(settings(tmp_path))
    lines = list(read_lines(tmp_path / "run" / SCORES, ScoreLine))
    assert sum(line.error is not None for line in lines) == 4
    assert sum(line.value is not None for line in lines) == 16
    # The finished run is told again, and fails again, unless more errors are allowed.
    with pytest.raises(TooManyErrors):
        run(settings(tmp_path))
    results = run(settings(tmp_path, max_errors=0.2))
    assert results.n_answered == 0
    assert rows(results)["own", "demo"].n_errors == 4


def test_a_run_of_nothing_but_errors_ends(tmp_path: Path) -> None:
    make_task(tmp_path)
    for image in tmp_path.glob("*.png"):
        image.unlink()
    for _ in range(2):
        results = run(settings(tmp_path, max_errors=1))
        row = rows(results)["own", "demo"]
        assert (row.n, row.n_errors, row.accuracy) == (0, 20, None)
    assert results.manifest.n_starts == 1


def test_score_needs_no_model(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    expected = files(first.path)
    for name in SCORED:
        (first.path / name).unlink()
    again = score(first.path)
    assert again.rows == first.rows
    assert files(first.path) == expected


def test_score_of_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        score(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_metric_can_be_added_to_a_finished_run(tmp_path: Path) -> None:
    done = run(settings(make_task(tmp_path, n=4)))
    before = {row.metric for row in done.rows}
    assert before == {"stated"}
    scored = run_score.score(done.path, ["text_match"])
    assert {row.metric for row in scored.rows} == {"text_match", "stated"}
    assert [row for row in scored.rows if row.metric == "stated"] == done.rows
    # From now on it is one of the run's.
    assert run_score.score(done.path).rows == scored.rows
    with pytest.raises(RunError, match="did you mean 'stated'"):
        run_score.score(done.path, ["statd"])
    with pytest.raises(RunError, match="no longer a metric 'lenient' · use stated"):
        run_score.score(done.path, ["lenient"])


@pytest.mark.parametrize(
    ("task", "suite", "metric"),
    [
        ("", "", "stated"),
        ("rule: exact\n", "", "text_match"),
        ("rule: vp_bench\n", "", "vp_bench"),
        ("rule: vp_bench\n", "rule: exact\n", "text_match"),
    ],
)
def test_the_headline_is_read_as_suite_task_or_runner_says(
    tmp_path: Path, task: str, suite: str, metric: str
) -> None:
    make_task(tmp_path, n=4)
    own = tmp_path / "own.yaml"
    own.write_text(own.read_text() + task)
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "mine.yaml").write_text(f"name: mine\ntasks: [own]\n{suite}")
    done = run(settings(tmp_path, suite="mine", tasks=()))
    assert {row.metric for row in done.rows} == {metric}
    assert done.manifest.tasks["own"].rule == ("exact" if metric == "text_match" else metric)


def test_a_run_that_reports_a_metric_that_is_no_more_is_scored_without_it(tmp_path: Path) -> None:
    done = run(settings(make_task(tmp_path, n=4)))
    manifest = done.manifest.model_copy(update={"metrics": ("lenient", "text_match")})
    manifests.write(done.path, manifest)
    messages: list[str] = []
    scored = run_score.score(done.path, console=Console(messages.append))
    assert {row.metric for row in scored.rows} == {"text_match", "stated"}
    assert any("no longer a metric 'lenient'" in each for each in messages)


def test_the_likeliest_options_are_a_metric_where_they_are_known(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), runner="tests.runs:Likely", styles="demo")
    assert {row.metric for row in done.rows} == {"stated"}
    [note] = [each for each in messages if each.startswith("options: ")]
    assert "of 18 choices" in note
    assert "median margin 1.00 nats" in note
    scored = run_score.score(done.path, ["option_argmax"], console=Console(messages.append))
    assert messages.count(note) == 2
    [row] = [r for r in scored.rows if (r.metric, r.group) == ("option_argmax", ALL)]
    assert (row.n, row.n_ungraded, row.n_errors, row.n_unparsed) == (18, 2, 0, 0)
    lines = {m: [x for x in read_lines(done.path / SCORES, ScoreLine)
                 if x.metric == m] for m in ("stated", "option_argmax")}  # fmt: skip
    assert {line.answer for line in lines["option_argmax"]} == {"A", None}
    known = [x for x in lines["stated"] if x.id[-1] != "0"]
    assert row.accuracy == pytest.approx(sum(x.target == "A" for x in known) / 18)
    agree = [x.answer == "A" for x in known]
    assert row.agreement == pytest.approx(sum(agree) / 18)
    assert 0 < sum(agree) < 18
    assert row.margin == 1
    # Its other rows do not know of it.
    assert {(r.agreement, r.margin) for r in scored.rows if r.metric == "stated"} == {(None, None)}


def test_a_run_without_probabilities_has_no_likeliest_options(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), metrics=("option_argmax",))
    assert {row.metric for row in done.rows} == {"stated"}
    assert f"{done.path}: metric option_argmax: the runner gave no probabilities" in messages[-1]
    assert not any(each.startswith("options: ") for each in messages)
