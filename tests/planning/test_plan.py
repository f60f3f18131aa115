"""A plan as a whole: what it refuses, what it says of money, and what it assumes."""

from pathlib import Path

import pytest

from tests.planning.made import make_7b, plan_paper, write_bench
from tests.runs import make_task
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits
from vipbench.errors import RunError, RunnerError
from vipbench.judge.settings import JUDGE, JudgeSettings
from vipbench.planning.devices import parse_fleet
from vipbench.planning.plan import PlanOptions, make_plan
from vipbench.run.settings import RunSettings
from vipbench.runfolder.shard import Shard
from vipbench.runners.endpoint_options import EndpointOptions


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_7b(tmp_path_factory.mktemp("models") / "vip-llava-7b")


def judge(price: tuple[float, float] | None) -> JudgeSettings:
    endpoint = Endpoint(purpose=JUDGE, url="http://localhost:9/v1", model="m", key=None)
    return JudgeSettings(endpoint=endpoint, limits=Limits(price=price), n_runs=5)


def test_a_plan_writes_nothing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan_paper(base)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_what_it_assumes(base: Path) -> None:
    data, tokens, several = plan_paper(base, fleet=parse_fleet("2 x H100")).assumed
    assert data.startswith("no data here of visual7w_pointing, pointqa_looktwice, vcr_qa, vcr_qar")
    assert tokens.endswith("576 tokens a picture")
    assert several == "2 devices answer 2 times as fast; loading is not in it"
    quantized = plan_paper(base, fields={"quantize": "int4"}).assumed
    assert "int4 is as fast as 16 bit; it is often slower" in quantized


def test_a_judge_costs_what_grading_estimates(base: Path) -> None:
    plan = plan_paper(base, fields={"judge": judge((1.0, 2.0))})
    assert plan.n_graded == 606
    assert plan.judge is not None
    assert plan.judge_most is not None
    assert plan.judge.n_calls == 606 * 5
    dollars = (plan.judge.n_prompt_tokens + 2 * plan.judge.n_reply_tokens) / 1e6
    assert plan.judge.dollars == pytest.approx(dollars)
    assert plan.judge_most.dollars is not None
    assert plan.judge_most.dollars > dollars
    free = plan_paper(base, fields={"judge": judge(None)}).judge
    assert free is not None
    assert free.dollars is None
    assert plan_paper(base).judge is None


def test_an_endpoint_costs_what_a_dry_run_estimates(tmp_path: Path) -> None:
    from vipbench.run.dry_run import dry_run

    make_task(tmp_path)
    options = EndpointOptions(base_url="http://localhost:9/v1", price_in=1.0, price_out=2.0)
    settings = RunSettings(
        runner="openai", model="m", tasks=("own",), include=(tmp_path,), endpoint=options
    )
    plan = make_plan(settings, PlanOptions())
    assert plan.endpoint == dry_run(settings).estimate
    assert plan.hours == ()
    with pytest.raises(RunError, match=r"runner openai asks an endpoint, .* · leave them out"):
        make_plan(settings, PlanOptions(fleet=parse_fleet("H100")))


def test_an_endpoint_is_estimated_without_data() -> None:
    options = EndpointOptions(base_url="http://localhost:9/v1")
    settings = RunSettings(runner="openai", model="m", suite="paper", endpoint=options)
    estimate = make_plan(settings, PlanOptions()).endpoint
    assert estimate is not None
    assert (estimate.n_requests, estimate.n_images) == (116_650, 116_650)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shard": Shard(index=1, count=2)}, "--shard: is a part of a run · a plan is about"),
        ({"extend": True}, "--extend: is a part of a run"),
    ],
)
def test_a_plan_is_about_a_whole_run(base: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        plan_paper(base, fields=fields)


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="does not exist"):
        plan_paper(tmp_path / "gone")
    (tmp_path / "llava").mkdir()
    (tmp_path / "llava" / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(RunnerError, match="model_type is 'llava'"):
        plan_paper(tmp_path / "llava")


def test_a_bench_is_held_against_the_model(base: Path, tmp_path: Path) -> None:
    plan = plan_paper(base, bench=write_bench(tmp_path / "bench.json"))
    assert [each.source for each in plan.hours] == ["bench"]
    with pytest.raises(RunError, match="about model other, not vip-llava-7b"):
        plan_paper(base, bench=write_bench(tmp_path / "bench.json", model="other"))


def test_the_model_that_answered_before_has_been_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vipbench.run.loop import run

    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    fields = {"runner": "tests.runs:Brightness", "tasks": ("own",), "include": (Path("tasks"),)}
    settings = RunSettings(**fields, batch_size=4)  # type: ignore[arg-type]
    (before,) = make_plan(settings, PlanOptions()).hours
    assert before.source == "unknown"
    done = run(settings)
    (hours,) = make_plan(settings, PlanOptions()).hours
    assert hours.source == "run"
    assert hours.hours is not None
    assert 3600 * hours.hours == pytest.approx(done.manifest.times.generate)
