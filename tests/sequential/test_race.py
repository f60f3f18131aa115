"""A race: who goes out, when it ends, and what it leaves."""

import json
from pathlib import Path

import pytest

from tests.endpoint_runs import text_of
from tests.judge_server import Answer, Asked, JudgeServer
from tests.run.asking import files
from tests.sequential.made import Known, known
from vipbench.console import QUIET
from vipbench.errors import EndpointStopped, RunError
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import MANIFEST, RESPONSES
from vipbench.runfolder.manifest import Blocks
from vipbench.runfolder.shard import Shard
from vipbench.sequential.race import Race, course_of, race
from vipbench.trials.blocks import in_order

STYLES = "demo,rectangle:red,ellipse:red,none"
WRONG = "demo=0.1,rectangle:red=0.6,ellipse:red=0.1"
"""The last is near to the first, and the second far behind."""


def raced(*settings: RunSettings, within: float = 0.05) -> Race:
    course = course_of(settings[0])
    styles = ";".join(course.styles)
    return race(
        [each.model_copy(update={"styles": styles}) for each in settings], course, within, QUIET
    )


@pytest.fixture(scope="module")
def done(task: Path) -> Race:
    return raced(known(task, WRONG, styles=STYLES, out=task / "race"))


def test_out_goes_what_cannot_be_best(done: Race) -> None:
    assert [(row.racer, row.state) for row in done.rows] == [
        ("demo", "best"),
        ("ellipse:red", "within"),
        ("rectangle:red", "out"),
    ]
    best, near, out = done.rows
    assert out.n < best.n == near.n <= done.n_all == 240
    assert out.block == out.n // 20
    assert [look.n for look in out.looks] == [20 * (n + 1) for n in range(out.block)]
    for row, accuracy in ((best, 0.925), (near, 0.917), (out, 0.37)):
        assert row.lower - 0.01 <= accuracy <= row.upper + 0.01
    assert done.n_asked == sum(row.n for row in done.rows) < done.n_whole == 3 * 240


def test_each_racer_is_asked_the_same_samples_and_controls_none(done: Race) -> None:
    [results] = done.results
    lines = [json.loads(line) for line in (results.path / RESPONSES).read_text().splitlines()]
    order = in_order(0, [f"q{number}" for number in range(240)])
    for row in done.rows:
        ids = {line["id"] for line in lines if line["style"] == row.style}
        assert ids == set(order[: row.n])
    assert {line["style"] for line in lines} == {row.style for row in done.rows}
    assert results.manifest.state == "sequential"
    assert {row.state for row in results.rows} == {"sequential"}


def test_the_same_race_is_run_again_without_a_question(task: Path, done: Race) -> None:
    again = raced(known(task, WRONG, styles=STYLES, out=task / "race"))
    assert again.rows == done.rows
    assert again.results[0].n_answered == 0


def test_a_race_that_was_stopped_goes_the_same_way(
    task: Path, done: Race, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, count = Known.generate, iter(range(100))

    def fails(*arguments: object) -> object:
        if next(count) == 7:  # in the middle of the third block
            raise KeyboardInterrupt
        return answered(*arguments)  # type: ignore[arg-type]

    settings = known(task, WRONG, styles=STYLES, out=tmp_path / "race")
    monkeypatch.setattr(Known, "generate", fails)
    with pytest.raises(Exception, match="interrupted"):
        raced(settings)
    monkeypatch.undo()
    assert raced(settings).rows == done.rows
    assert files(tmp_path / "race") == files(task / "race")
    one, two = ((folder / "race" / RESPONSES).read_bytes() for folder in (task, tmp_path))
    assert one == two


def test_models_race_in_runs_of_their_own(task: Path, tmp_path: Path) -> None:
    models = {"a": "0.1", "b": "0.5"}
    result = raced(
        *(known(task, wrong, out=tmp_path / name) for name, wrong in models.items()), within=0
    )
    assert [(row.racer, row.state) for row in result.rows] == [("0.1", "best"), ("0.5", "out")]
    assert [results.path for results in result.results] == [tmp_path / "a", tmp_path / "b"]
    assert result.rows[0].n == result.rows[1].n  # when one is left, nothing more is asked


def test_one_model_under_two_names_is_no_race(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, same = (known(task, "0.1", model=None).model_copy(update={"name": n}) for n in "ab")
    with pytest.raises(RunError, match="have the same weights, and are asked the same"):
        raced(one, same)
    assert not list(tmp_path.glob("results/runs/*/manifest.json"))


def test_where_all_is_asked_those_are_left_that_are_near(task: Path, tmp_path: Path) -> None:
    wrong = "demo=0.1,rectangle:red=0.09,ellipse:red=0.6"
    result = raced(known(task, wrong, styles=STYLES, out=tmp_path / "race"), within=0.03)
    states = {row.racer: row.state for row in result.rows}
    assert states == {"demo": "best", "rectangle:red": "within", "ellipse:red": "out"}


def test_a_race_through_an_endpoint_stops_at_its_limit_and_goes_on(
    task: Path, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Answer:
        wrong = "blue" in text_of(asked)
        return Answer("B" if wrong else "A", model="seer-1")

    fields = {"runner": "openai", "model": "seer", "batch_size": "auto", "out": tmp_path / "race"}
    fields |= {"styles": "rectangle:red,rectangle:blue", "max_errors": 0.01}
    with JudgeServer(answer) as server:
        endpoint = {"base_url": server.url, "tries": 2}
        with pytest.raises(EndpointStopped, match="--max-calls 30 is reached") as stopped:
            raced(known(task, "", **fields, endpoint=endpoint | {"max_calls": 30}))
        assert stopped.value.exit_code == 3
        result = raced(known(task, "", **fields, endpoint=endpoint))
        n_asked = len(server.asked)
    assert [row.state for row in result.rows] == ["best", "out"]
    assert result.n_asked < 480
    # Each question once; and one without its image, by which the server was tried.
    assert n_asked == result.n_asked + 1
    assert len((tmp_path / "race" / RESPONSES).read_text().splitlines()) == result.n_asked


@pytest.mark.parametrize(
    ("fields", "within", "message"),
    [
        ({"styles": "demo"}, 0.05, "race: demo runs alone"),
        ({"styles": "demo,none"}, 0.05, "race: demo runs alone"),
        ({"styles": "none,blind"}, 0.05, "none, blind show no marks"),
        ({}, 0.004, "--within 0.4: less than one of 240 samples"),
        ({}, -0.01, "--within -1: expected percentage points"),
        ({"blocks": Blocks(size=500)}, 0.05, "--block 500: is more than the 240 samples"),
        ({"shard": Shard(index=1, count=2)}, 0.05, "a shard sees only its own batches"),
    ],
)
def test_what_is_of_no_use_is_refused_before_anything_is_asked(
    task: Path, tmp_path: Path, fields: dict[str, object], within: float, message: str
) -> None:
    given = {"styles": STYLES, "out": tmp_path / "race"} | fields
    with pytest.raises(RunError, match=message):
        raced(known(task, WRONG, **given), within=within)
    assert not (tmp_path / "race" / MANIFEST).exists()
