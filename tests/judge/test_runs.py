import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.judge_server import Answer, Asked, JudgeServer, in_turn
from tests.runs import make_task
from tests.runs import settings as run_settings
from vipbench.console import Console
from vipbench.endpoints.chat import Endpoint, Limits
from vipbench.errors import JudgeError, RunError
from vipbench.files import read_lines
from vipbench.judge.grading import Graded, Item, JudgeSettings, SampleGrade, Spent
from vipbench.judge.rubric import PUBLISHED_PROMPT, Prompt
from vipbench.judge.runs import METRIC, JudgeReport, new_report, notes, read_report
from vipbench.run import loop, score
from vipbench.runfolder import summary
from vipbench.runfolder.folder import JUDGE, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine, TrialId


def item(number: int, *capabilities: str, style: str = "given") -> Item:
    return Item(
        task="vip_bench_bbox",
        style=style,
        id=f"v1_{number}",
        question="?",
        answer="a",
        prediction=str(number),
        capabilities=capabilities,
    )


def sample(*scores: float | None, ungraded: str | None = None) -> SampleGrade:
    return SampleGrade(scores=scores, ungraded=ungraded)


def judged(
    pairs: list[tuple[Item, SampleGrade]],
    models: dict[str, int] | None = None,
    prompt: Prompt | None = None,
    **graded: Any,
) -> JudgeReport:
    given: dict[str, Any] = {
        "samples": {item.name: grade for item, grade in pairs},
        "models": {"gpt-4-0613": 1} if models is None else models,
        "spent": Spent(n_calls=9),
        "spent_now": Spent(n_calls=2),
        "unused": {},
        "stopped": None,
    }
    endpoint = Endpoint(url="https://api.openai.com/v1", model="gpt-4-0613")
    chosen = JudgeSettings(endpoint=endpoint, n_runs=2)
    if prompt is not None:
        chosen = chosen.model_copy(update={"prompt": prompt})
    return new_report([item for item, _ in pairs], Graded(**(given | graded)), chosen)


PAIRS = [
    (item(0, "ocr", "rec"), sample(1.0, 0.8)),
    (item(1, "rec"), sample(0.5, 0.5)),
    (item(2, "rec", "ocr"), sample(0.0, 0.2)),
    (item(3, "math"), sample(0.3, 0.3)),
    (item(4, "rec"), sample(1.0, None, ungraded="no score: 5 replies, the last 'a' (1 of 2)")),
]


def test_points_are_sums_over_graded_samples() -> None:
    (result,) = judged(PAIRS).results
    assert (result.n, result.n_graded, result.n_ungraded) == (5, 4, 1)
    assert result.ungraded == {"no score": 1}
    first, second = 100 * (1.0 + 0.5 + 0.0 + 0.3) / 4, 100 * (0.8 + 0.5 + 0.2 + 0.3) / 4
    assert result.totals == pytest.approx((first, second))
    assert result.mean == pytest.approx((first + second) / 2)
    assert result.std == pytest.approx(abs(first - second) / 2)  # of the population


def test_capabilities_and_their_combinations() -> None:
    (result,) = judged(PAIRS).results
    assert {
        name: (part.n, round(part.points, 6)) for name, part in result.capabilities.items()
    } == {
        "rec": (3, 50.0),
        "ocr": (2, 50.0),
        "math": (1, 30.0),
    }
    assert list(result.capabilities) == ["rec", "ocr", "math"]
    assert {
        name: (part.n, round(part.points, 6)) for name, part in result.combinations.items()
    } == {
        "ocr_rec": (2, 50.0),
        "math": (1, 30.0),
        "rec": (1, 50.0),
    }


def test_agreement_between_judge_runs() -> None:
    (result,) = judged(PAIRS).results
    assert result.agreement.equal == 0.5
    assert result.agreement.mean_difference == pytest.approx((0.2 + 0 + 0.2 + 0) / 4)
    three = [(item(0), sample(0.0, 0.5, 1.0)), (item(1), sample(0.1, 0.1, 0.1))]
    (result,) = judged(three).results
    assert result.agreement.mean_difference == pytest.approx((0.5 + 1.0 + 0.5) / 3 / 2)
    (result,) = judged([(item(0), sample(0.4))]).results
    assert (result.agreement.equal, result.std) == (None, 0.0)


def test_the_official_sums() -> None:
    """Sum as the official evaluator does: per run, sum / count x 100, then the mean."""
    pairs = [
        (item(n, *caps), sample(n % 11 / 10, (3 * n) % 11 / 10))
        for n, caps in enumerate([("rec",), ("ocr", "rec"), ("know", "rec", "lang")] * 40)
    ]
    (result,) = judged(pairs).results
    for capability, n in (("rec", 120), ("ocr", 40), ("know", 40), ("lang", 40)):
        runs = [0.0, 0.0]
        for each, grade in pairs:
            for number in range(2):
                runs[number] += (capability in each.capabilities) * (grade.scores[number] or 0)
        part = result.capabilities[capability]
        assert part.n == n
        assert part.points == pytest.approx(sum(total / n * 100 for total in runs) / 2)


def test_nothing_graded_has_no_points() -> None:
    none = [(item(0, "rec"), sample(None, None, ungraded="not asked: HTTP 401: x"))]
    (result,) = judged(none, models={}).results
    assert (result.totals, result.mean, result.std, result.capabilities) == ((), None, None, {})
    assert result.ungraded == {"not asked": 1}


def test_styles_are_kept_apart() -> None:
    both = [(item(0), sample(1.0, 1.0)), (item(0, style="blind"), sample(0.0, 0.0))]
    assert [(each.style, each.mean) for each in judged(both).results] == [
        ("given", 100.0),
        ("blind", 0.0),
    ]


def test_scores_that_are_no_tenths_are_counted() -> None:
    (result,) = judged([(item(0), sample(0.55, 0.3)), (item(1), sample(0.7, 1.0))]).results
    assert result.n_not_tenths == 1


def published(monkeypatch: pytest.MonkeyPatch) -> Prompt:
    """Return a prompt that passes for the published one."""
    prompt = Prompt(text="few shots", reminder="!", source="evaluator.py", table=True)
    monkeypatch.setattr("vipbench.judge.runs.PUBLISHED_PROMPT", prompt.digest)
    return prompt


def test_what_is_comparable(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = published(monkeypatch)
    assert judged(PAIRS, prompt=prompt).comparable
    for changed, reason in (
        (judged(PAIRS), "rubric"),
        (judged(PAIRS, prompt=prompt.model_copy(update={"text": "x"})), "not the published one"),
        (judged(PAIRS, {"gpt-4-0613": 7, "gpt-4o": 1}, prompt), "the judge is gpt-4o, published"),
        (judged(PAIRS, {}, prompt), "nothing is graded"),
    ):
        assert not changed.comparable
        assert reason in changed.not_comparable[-1]


def test_the_digest_is_one() -> None:
    assert len(PUBLISHED_PROMPT) == 64


def test_what_numbers_do_not_show_is_told() -> None:
    told = list(notes(judged(PAIRS, unused={"judge qwen": 3, "other parameters": 1})))
    assert told[0] == (
        "judge: vip_bench_bbox under given: 45.0 points, standard deviation 0.00 over 2 runs; "
        "rec 50.0, ocr 50.0, math 30.0"
    )
    assert told[1] == "judge: vip_bench_bbox under given: 1 of 5 samples are ungraded (1 no score)"
    assert "4 grades in the ledger are not used here: 3 of judge qwen, 1 of other" in told[2]
    assert "not comparable" in told[3]


# --- a run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a finished run of a graded task and another one."""
    make_task(tmp_path / "own", "own", 8, kind="graded", styles="[demo]")
    make_task(tmp_path / "own", "other", 4, kind="choice", styles="[demo]")
    loop.run(run_settings(tmp_path / "own", tasks=("own", "other")))
    return tmp_path / "own" / "run"


def chosen(url: str, **fields: Any) -> JudgeSettings:
    endpoint = Endpoint(url=url, model="gpt-4-0613", first_wait=0.001, tries=2)
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
        "text_match",
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


def test_a_run_folder_may_be_copied(folder: Path, tmp_path: Path) -> None:
    with JudgeServer() as server:
        score.score(folder, judge=chosen(server.url, n_runs=1))
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(folder)
    score.score(copy)
    assert {line.value for line in lines(copy).values()} == {1.0}


def test_each_sample_has_its_grade() -> None:
    report_ = judged(PAIRS)
    assert JudgeReport.model_validate_json(report_.model_dump_json()) == report_
    assert PAIRS[0][0].name == TrialId("vip_bench_bbox", "given", "v1_0")
