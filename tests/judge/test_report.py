from typing import Any

import pytest

from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.ledger import Spent
from vipbench.judge.grading import Graded, Item, SampleGrade
from vipbench.judge.report import JudgeReport, new_report, notes
from vipbench.judge.rubric import PUBLISHED_PROMPT, Prompt
from vipbench.judge.settings import JUDGE, JudgeSettings
from vipbench.runfolder.lines import TrialId


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
    endpoint = Endpoint(purpose=JUDGE, url="https://api.openai.com/v1", model="gpt-4-0613")
    chosen = JudgeSettings(endpoint=endpoint, n_runs=2, max_tokens=3, reasoning_tokens=0)
    if prompt is not None:
        chosen = chosen.model_copy(update={"prompt": prompt})
    given["judge"] = chosen.judge
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
    monkeypatch.setattr("vipbench.judge.report.PUBLISHED_PROMPT", prompt.digest)
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


def test_each_sample_has_its_grade() -> None:
    report = judged(PAIRS)
    assert JudgeReport.model_validate_json(report.model_dump_json()) == report
    assert PAIRS[0][0].name == TrialId("vip_bench_bbox", "given", "v1_0")


def test_replies_that_are_no_grades_have_two_totals() -> None:
    unread = sample(0.4, None, ungraded="no score: 5 replies, the last 'a'").model_copy(
        update={"n_unread": 1}
    )
    unanswered = sample(0.4, None, ungraded="HTTP 500")
    report = judged([(item(0), sample(0.8, 0.6)), (item(1), unread), (item(2), unanswered)])
    (result,) = report.results
    assert (result.n_graded, result.n_unread) == (1, 1)
    assert result.mean == pytest.approx(70)
    assert result.mean_with_zeros == pytest.approx((70 + 20) / 2)
    assert not report.comparable
    assert report.not_comparable[-1] == (
        "vip_bench_bbox under given: in 1 of 3 samples no reply is a grade; they are left out here "
        "(70.0 points) and are 0 in the published evaluator (45.0 points)"
    )


def test_what_else_is_not_as_published() -> None:
    endpoint = Endpoint(
        purpose=JUDGE, url="http://localhost", model="gpt-4-0613", extra_body={"seed": 1}
    )
    chosen = JudgeSettings(endpoint=endpoint)
    graded = Graded(
        samples={item(0).name: sample(0.5)},
        models={"gpt-4-0613": 1},
        spent=Spent(),
        spent_now=Spent(),
        unused={},
        stopped=None,
        judge=chosen.judge.model_copy(update={"omitted": ("temperature",)}),
    )
    assert new_report([item(0)], graded, chosen).not_comparable[1:] == (
        "replies have 64 tokens, published are 3",
        "the judge has room to think (4,096 tokens), published is none",
        'it is asked with further fields, {"seed": 1}, published are none',
        "the server refuses temperature: its own default holds",
    )
