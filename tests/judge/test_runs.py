import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.judge_server import Answer, Asked, JudgeServer, in_turn
from tests.runs import bind_again, make_task
from tests.runs import settings as run_settings
from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.ledger import Spent
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError, RunError
from vipbench.files import read_lines
from vipbench.judge.report import read_report
from vipbench.judge.runs import METRIC
from vipbench.judge.settings import JUDGE as PURPOSE
from vipbench.judge.settings import JudgeSettings
from vipbench.run import loop, score
from vipbench.runfolder import summary
from vipbench.runfolder.folder import FILES, JUDGE, MANIFEST, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.opened import open_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a finished run of a graded task and another one."""
    make_task(tmp_path / "own", "own", 8, kind="graded", styles="[demo]")
    make_task(tmp_path / "own", "other", 4, kind="choice", styles="[demo]")
    loop.run(run_settings(tmp_path / "own", tasks=("own", "other")))
    return tmp_path / "own" / "run"


def chosen(url: str, **fields: Any) -> JudgeSettings:
    endpoint = Endpoint(purpose=PURPOSE, url=url, model="gpt-4-0613", first_wait=0.001, tries=2)
    return JudgeSettings(endpoint=endpoint, **({"n_runs": 2} | fields))


def lines(folder: Path, metric: str = METRIC) -> dict[str, ScoreLine]:
    found = read_lines(folder / SCORES, ScoreLine)
    return {line.id: line for line in found if line.metric == metric}


def rows(folder: Path) -> dict[tuple[str, str, str], summary.Row]:
    return {(row.task, row.metric, row.group): row for row in summary.read_summary(folder)}


def by_parity(asked: Asked) -> Answer:
    """Grade with 0.8, but a question of an odd length with prose."""
    line = next(line for line in asked.message.split("\n") if line.startswith("{"))
    question = json.loads(line)["question"]
    return Answer("0.8" if len(question) % 2 else "hm")


def test_a_run_is_judged(folder: Path) -> None:
    before = rows(folder)
    with JudgeServer(in_turn(Answer("0.8"))) as server:
        results = score.score(folder, judge=chosen(server.url))
    assert len(server.asked) <= 16
    found = lines(folder)
    assert list(found) == [f"q{number}" for number in range(8)]
    assert {line.value for line in found.values()} == {0.8}
    after = rows(folder)
    assert {key: after[key] for key in before} == before  # the other metrics are as they were
    whole = after["own", METRIC, "all"]
    assert (whole.n, whole.n_expected, whole.n_ungraded) == (8, 8, 0)
    assert whole.accuracy == pytest.approx(0.8)
    assert after["own", METRIC, "parity=odd"].n == 4
    assert ("other", METRIC, "all") not in after
    assert [row.metric for row in results.rows if row.group == "all"] == [
        "exact_proxy",
        METRIC,
        "stated",
    ]
    written = read_report(folder)
    assert written is not None
    assert written.results[0].mean == pytest.approx(80)
    assert written.url == server.url


def test_samples_without_a_grade_are_ungraded_and_not_zero(folder: Path) -> None:
    with JudgeServer(by_parity) as server:
        score.score(folder, judge=chosen(server.url))
    found = lines(folder)
    graded = [line for line in found.values() if line.value is not None]
    ungraded = [line for line in found.values() if line.value is None]
    assert 0 < len(graded) < 8
    assert {line.value for line in graded} == {0.8}
    assert all((line.ungraded or "").startswith("no score") for line in ungraded)
    assert all(line.error is None for line in found.values())
    whole = rows(folder)["own", METRIC, "all"]
    assert (whole.n, whole.n_ungraded, whole.n_errors) == (len(graded), len(ungraded), 0)
    assert whole.accuracy == pytest.approx(0.8)


def test_scoring_again_asks_nobody_and_changes_nothing(folder: Path) -> None:
    with JudgeServer(by_parity) as server:
        score.score(folder, judge=chosen(server.url))
    files = (SCORES, SUMMARY, "grades.jsonl")
    before = {name: (folder / name).read_bytes() for name in files}
    told = read_report(folder)
    score.score(folder)  # the server has gone
    assert {name: (folder / name).read_bytes() for name in files} == before
    now = read_report(folder)
    assert told is not None
    assert now == told.model_copy(update={"spent_now": Spent()})


def test_changed_answers_lose_their_grades(folder: Path) -> None:
    with JudgeServer(in_turn(Answer("0.8"))) as server:
        score.score(folder, judge=chosen(server.url))
    path = folder / RESPONSES
    path.write_text(path.read_text().replace('"text":"', '"text":"not '))
    bind_again(folder)
    said: list[str] = []
    score.score(folder, console=Console(said.append))
    found = lines(folder)
    assert {line.value for line in found.values()} == {None}
    assert {line.ungraded for line in found.values()} == {
        "no grade in grades.jsonl (2 of 2 judge runs)"
    }
    assert any("other questions, answers or predictions" in text for text in said)


def test_errors_are_not_graded(folder: Path) -> None:
    path = folder / RESPONSES
    lines_ = path.read_text().splitlines()
    place = next(i for i, line in enumerate(lines_) if '"task":"own"' in line)
    record = json.loads(lines_[place]) | {"text": None, "error": "out of memory", "finish": "error"}
    lines_[place] = json.dumps(record)
    path.write_text("\n".join(lines_) + "\n")
    bind_again(folder)
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
    line = lines(folder)[record["id"]]
    assert (line.value, line.error, line.ungraded) == (None, "out of memory", None)
    whole = rows(folder)["own", METRIC, "all"]
    assert (whole.n, whole.n_errors, whole.n_ungraded) == (7, 1, 0)


def test_a_stop_is_raised_when_all_is_written(folder: Path) -> None:
    with JudgeServer(lambda a: Answer("1.0") if a.number < 3 else Answer(status=401)) as server:
        with pytest.raises(JudgeError, match=r"HTTP 401.* what is graded is kept and scored"):
            score.score(folder, judge=chosen(server.url, n_runs=1, workers=1))
        assert len(server.asked) == 4
    values = [line.value for line in lines(folder).values()]
    n = values.count(1.0)
    assert n >= 3
    assert values.count(None) == 8 - n
    whole = rows(folder)["own", METRIC, "all"]
    assert (whole.n, whole.n_ungraded) == (n, 8 - n)
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
    assert {line.value for line in lines(folder).values()} == {1.0}


def test_a_run_is_judged_once_it_is_answered(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", kind="graded", n=6, styles="[demo]")
    with JudgeServer() as server:
        judge = chosen(server.url)
        first = loop.run(run_settings(own, judge=judge))
        n = len(server.asked)
        again = loop.run(run_settings(own, judge=judge))
        assert len(server.asked) == n
    assert n > 0
    assert [row.metric for row in first.rows if row.group == "all"] == ["exact_proxy", METRIC]
    assert again.rows == first.rows
    assert again.n_answered == 0
    assert first.manifest.finished is not None


def test_a_judge_that_fails_leaves_a_finished_run(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", kind="graded", n=6, styles="[demo]")
    with JudgeServer(in_turn(Answer(status=401))) as server:
        for limits in (Limits(max_calls=1), Limits()):
            with pytest.raises(JudgeError):
                loop.run(run_settings(own, judge=chosen(server.url, limits=limits)))
            assert rows(own / "run")["own", "exact_proxy", "all"].n == 6
        assert len(server.asked) == 1
    assert loop.run(run_settings(own)).n_answered == 0


def test_starting_over_keeps_the_grades_that_were_paid_for(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", kind="graded", n=6, styles="[demo]")
    with JudgeServer() as server:
        judge = chosen(server.url)
        loop.run(run_settings(own, judge=judge))
        n = len(server.asked)
        loop.run(run_settings(own, fresh=True))
        assert not (own / "run" / JUDGE).exists()
        loop.run(run_settings(own, judge=judge))
    assert len(server.asked) == n


def test_runs_may_share_a_ledger(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", kind="graded", n=6, styles="[demo]")
    shared = tmp_path / "shared" / "grades.jsonl"
    with JudgeServer() as server:
        judge = chosen(server.url, ledger=shared)
        loop.run(run_settings(own, judge=judge))
        n = len(server.asked)
        loop.run(run_settings(own, judge=judge, out=own / "second"))
    assert len(server.asked) == n
    assert not (own / "run" / "grades.jsonl").exists()
    moved = tmp_path / "moved.jsonl"
    shared.rename(moved)
    with pytest.raises(RunError, match=r"does not exist, but judge\.json .* --judge-ledger"):
        score.score(own / "run")
    score.score(own / "run", ledger=moved)
    assert {line.value for line in lines(own / "run").values()} == {1.0}


def test_a_run_without_graded_tasks_has_nothing_to_judge(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", n=4, styles="[demo]")
    loop.run(run_settings(own))
    with JudgeServer() as server:
        with pytest.raises(JudgeError, match="no task of this run is of kind graded"):
            score.score(own / "run", judge=chosen(server.url))
        assert server.asked == []


def test_a_ledger_alone_names_no_judge(folder: Path) -> None:
    with pytest.raises(RunError, match="name a judge with --judge-url"):
        score.score(folder, ledger=folder / "grades.jsonl")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"n_runs"', '"runs"'),
        lambda text: "[]",
    ],
)
def test_a_broken_report_is_named(folder: Path, spoil: Callable[[str], str]) -> None:
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
    path = folder / JUDGE
    path.write_text(spoil(path.read_text()))
    with pytest.raises(RunError, match=r"judge\.json"):
        score.score(folder)


def test_who_removes_the_report_scores_without_the_judge(folder: Path) -> None:
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
        (folder / JUDGE).write_text((folder / JUDGE).read_text().replace("0", "1", 1))
        with pytest.raises(RunError, match=r"judge\.json: is not what .* --judge-url"):
            score.score(folder)
        score.score(folder, judge=chosen(server.url, n_runs=1))
    assert open_run(folder).files.keys() == {*FILES, JUDGE} - {MANIFEST}
    (folder / JUDGE).unlink()
    with pytest.raises(RunError, match=r"judge\.json: does not exist any more"):
        open_run(folder)
    score.score(folder)
    assert open_run(folder).files.keys() == {*FILES} - {MANIFEST}
    assert METRIC not in {line.metric for line in read_lines(folder / SCORES, ScoreLine)}


def test_a_run_folder_may_be_copied(folder: Path, tmp_path: Path) -> None:
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    score.score(copy)
    assert {line.value for line in lines(copy).values()} == {1.0}
