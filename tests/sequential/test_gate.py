"""The sequential gate: what it asks, when it stops, and what it leaves."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.endpoint_runs import text_of
from tests.judge_server import Answer, Asked, JudgeServer
from tests.run.asking import files
from tests.sequential.made import Known, known, share_of
from vipbench.analysis.gate import Thresholds, gate
from vipbench.analysis.pairs import read_side
from vipbench.console import QUIET, Console
from vipbench.errors import EndpointStopped, RunError
from vipbench.run.defaults import with_defaults
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import MANIFEST, RESPONSES
from vipbench.runfolder.manifest import Blocks
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.shard import Shard
from vipbench.scoring import scorers
from vipbench.sequential.gate import (
    SequentialGate,
    sequential_gate,
    settings_of,
    settings_of_both,
)
from vipbench.sequential.gate_text import table
from vipbench.trials.blocks import in_order


def asked(
    base: Path,
    settings: RunSettings,
    drop: float = 0.05,
    console: Console = QUIET,
    **options: object,
) -> SequentialGate:
    side = read_side(str(base))
    return sequential_gate(
        side,
        settings_of(side, settings),
        Thresholds(max_drop=drop),
        console,
        **options,  # type: ignore[arg-type]
    )


def test_a_drop_ends_it_early_and_the_rest_may_be_asked(
    task: Path, base: Path, tmp_path: Path
) -> None:
    settings = known(task, "0.45", out=tmp_path / "new")
    result = asked(base, settings)
    [row] = result.rows
    assert row.verdict == "dropped"
    assert row.n < row.n_all == 240
    assert row.n % 20 == 0
    assert row.block == row.n // 20
    assert row.lower <= -0.37 <= row.upper
    assert row.p < 0.05
    assert result.whole is None
    assert result.new.manifest.state == "sequential"
    # The samples are the first of a random order, and no others.
    lines = (tmp_path / "new" / RESPONSES).read_text().splitlines()
    order = in_order(0, [f"q{number}" for number in range(240)])
    assert {json.loads(line)["id"] for line in lines} == set(order[: row.n])
    # The same command says the same, and asks nothing.
    again = asked(base, settings)
    assert again.rows == result.rows
    assert again.new.n_answered == 0
    # What is left is asked by the run itself; then all is as if it had been asked at once.
    rest = run(
        with_defaults(
            known(
                task, "0.45", tasks=(), styles=None, extend=True, blocks=None, out=tmp_path / "new"
            )
        )
    )
    assert rest.n_answered == 240 - row.n
    whole = run(known(task, "0.45", out=tmp_path / "whole", blocks=None))
    assert files(rest.path) == files(whole.path)
    assert open_run(rest.path).state is None
    # And the gate finds all of it answered.
    end = asked(base, settings)
    assert end.rows[0].verdict == "dropped"
    assert end.whole is not None
    assert end.whole.rows == gate(str(base), str(whole.path), Thresholds(max_drop=0.05)).rows


def test_what_has_not_changed_passes_before_all_is_asked(
    task: Path, base: Path, tmp_path: Path
) -> None:
    result = asked(base, known(task, "0.1", out=tmp_path / "new"), drop=0.2)
    [row] = result.rows
    assert (row.verdict, row.difference) == ("passed", 0)
    assert row.n < 240


def test_where_all_is_asked_both_gates_speak(task: Path, base: Path, tmp_path: Path) -> None:
    n_lost = sum(0.1 <= share_of("demo", f"q{number}") < 0.12 for number in range(240))
    settings = known(task, "0.12", out=tmp_path / "new")
    result = asked(base, settings, drop=(n_lost + 0.4) / 240)
    [row] = result.rows
    assert row.difference == pytest.approx(-n_lost / 240)
    assert row.n == 240
    assert row.lower == row.upper == pytest.approx(row.difference)
    assert row.verdict == "passed"
    assert result.new.manifest.state is None
    assert result.whole is not None
    assert result.whole.rows[0].difference == pytest.approx(row.difference)


def test_rows_of_kinds_stop_apart(task: Path, base: Path, tmp_path: Path) -> None:
    result = asked(base, known(task, "0.6", out=tmp_path / "new"), by=("parity",))
    assert [row.label for row in result.rows] == [
        "known", "known parity=even", "known parity=odd",
    ]  # fmt: skip
    assert [row.n_all for row in result.rows] == [240, 120, 120]
    assert {row.verdict for row in result.rows} == {"dropped"}


def test_a_kind_of_few_samples_is_no_row(task: Path, base: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = known(task, "0.6", out=tmp_path / "new")
    result = asked(base, settings, drop=0.005, console=Console(said.append), by=("parity",))
    assert [row.label for row in result.rows] == ["known"]
    assert any("known parity=even: 120 samples, one of which is more than" in line for line in said)


def test_a_run_that_was_killed_goes_the_same_way(
    task: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = known(task, "0.3", out=tmp_path / "once")
    once = asked(base, settings)
    broken = settings.model_copy(update={"out": tmp_path / "twice"})
    count = iter(range(10))

    def fails(*arguments: object) -> object:
        if next(count) == 3:
            raise KeyboardInterrupt
        return answered(*arguments)

    answered: Callable[..., object] = Known.generate
    monkeypatch.setattr(Known, "generate", fails)
    with pytest.raises(Exception, match="interrupted"):
        asked(base, broken)
    monkeypatch.undo()
    assert asked(base, broken).rows == once.rows
    assert files(tmp_path / "twice") == files(tmp_path / "once")
    responses = [(tmp_path / name / RESPONSES).read_bytes() for name in ("once", "twice")]
    assert responses[0] == responses[1]


def test_workers_answer_what_one_does(task: Path, base: Path, tmp_path: Path) -> None:
    one = asked(base, known(task, "0.45", out=tmp_path / "one"))
    two = asked(base, known(task, "0.45", out=tmp_path / "two", workers=2))
    assert one.rows == two.rows
    assert files(one.new.path) == files(two.new.path)


def test_an_answer_that_failed_counts_as_no_difference(
    task: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored = scorers.score_line

    def failing(trial, response, *rest):  # type: ignore[no-untyped-def]
        line = scored(trial, response, *rest)
        if line.id == in_order(0, [f"q{number}" for number in range(240)])[0]:
            return line.model_copy(update={"value": None, "error": "lost", "state": "failed"})
        return line

    monkeypatch.setattr("vipbench.sequential.asking.score_line", failing)
    result = asked(base, known(task, "0.6", out=tmp_path / "new"))
    [row] = result.rows
    assert row.n_failed == 1
    shown = table(result)
    assert shown.rows[0][shown.header.index("failed")] == "1"
    assert row.verdict == "dropped"


@pytest.mark.parametrize(
    ("fields", "drop", "message"),
    [
        ({}, 0.0, "known: a drop of .* is allowed · expected more than 0"),
        ({}, 0.004, r"less than one of 240 samples \(0.417 points\)"),
        ({"blocks": Blocks(size=241)}, 0.05, "--block 241: is more than the 240 samples of known"),
        ({"shard": Shard(index=1, count=2)}, 0.05, "a shard sees only its own batches"),
    ],
)
def test_what_is_of_no_use_is_refused_before_anything_is_asked(
    task: Path, base: Path, tmp_path: Path, fields: dict[str, object], drop: float, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        asked(base, known(task, "0.45", out=tmp_path / "new", **fields), drop)
    assert not (tmp_path / "new" / MANIFEST).exists()


def test_what_differs_beside_the_checkpoint_is_refused(
    task: Path, base: Path, tmp_path: Path
) -> None:
    settings = known(task, "0.45", out=tmp_path / "new", fit="squash")
    with pytest.raises(RunError, match="differ in more than the checkpoint: fit: pad → squash"):
        asked(base, settings)
    assert not (tmp_path / "new" / MANIFEST).exists()
    assert asked(base, settings, allow=("fit",)).rows[0].verdict == "dropped"


def test_a_run_that_was_stopped_is_no_base(task: Path, base: Path, tmp_path: Path) -> None:
    asked(base, known(task, "0.45", out=tmp_path / "new"))
    with pytest.raises(RunError, match=r"was stopped early .* asks the rest"):
        asked(tmp_path / "new", known(task, "0.1", out=tmp_path / "other"))


def test_a_run_that_was_begun_as_a_whole_is_finished_first(
    task: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(Known, "generate", fails)
    with pytest.raises(Exception, match="interrupted"):
        run(known(task, "0.45", out=tmp_path / "new", blocks=None))
    monkeypatch.undo()
    with pytest.raises(RunError, match="begun as a whole, and is not finished"):
        asked(base, known(task, "0.45", out=tmp_path / "new"))


# --- both models are asked


def both(
    settings: RunSettings, base_model: str, drop: float = 0.05, **options: object
) -> SequentialGate:
    held, new = settings_of_both(settings, base_model)
    thresholds = Thresholds(max_drop=drop)
    return sequential_gate(held, new, thresholds, QUIET, **options)  # type: ignore[arg-type]


def test_a_model_as_base_is_asked_the_same_blocks(task: Path, base: Path, tmp_path: Path) -> None:
    result = both(known(task, "0.45", out=tmp_path / "both"), "0.1")
    one = asked(base, known(task, "0.45", out=tmp_path / "one"))
    assert result.rows == one.rows
    assert result.old is not None
    assert [each.path for each in (result.old, result.new)] == [
        tmp_path / "both" / name for name in ("base", "new")
    ]
    assert files(tmp_path / "both" / "new") == files(tmp_path / "one")
    asked_of = [
        [json.loads(line)["id"] for line in (each.path / RESPONSES).read_text().splitlines()]
        for each in (result.old, result.new)
    ]
    assert asked_of[0] == asked_of[1]
    assert {each.manifest.state for each in (result.old, result.new)} == {"sequential"}
    again = both(known(task, "0.45", out=tmp_path / "both"), "0.1")
    assert again.rows == result.rows
    assert again.old is not None
    assert again.old.n_answered == again.new.n_answered == 0


def test_two_models_that_were_stopped_go_the_same_way(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = both(known(task, "0.3", out=tmp_path / "once"), "0.1")
    answered, count = Known.generate, iter(range(100))

    def fails(*arguments: object) -> object:
        if next(count) in (3, 6):  # in the base's second block; in the new run's, one start later
            raise KeyboardInterrupt
        return answered(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Known, "generate", fails)
    for _ in range(2):
        with pytest.raises(Exception, match="interrupted"):
            both(known(task, "0.3", out=tmp_path / "twice"), "0.1")
    monkeypatch.undo()
    assert both(known(task, "0.3", out=tmp_path / "twice"), "0.1").rows == once.rows
    for name in ("base", "new"):
        assert files(tmp_path / "twice" / name) == files(tmp_path / "once" / name)
        one, two = ((tmp_path / way / name / RESPONSES).read_bytes() for way in ("once", "twice"))
        assert one == two


def test_where_both_were_asked_all_the_other_gate_speaks_too(task: Path, tmp_path: Path) -> None:
    n_lost = sum(0.1 <= share_of("demo", f"q{number}") < 0.12 for number in range(240))
    result = both(known(task, "0.12", out=tmp_path / "both"), "0.1", (n_lost + 0.4) / 240)
    assert result.rows[0].n == 240
    assert result.whole is not None
    assert result.whole.rows[0].difference == pytest.approx(-n_lost / 240)


def test_rows_of_kinds_need_no_run_as_base(task: Path, base: Path, tmp_path: Path) -> None:
    result = both(known(task, "0.6", out=tmp_path / "both"), "0.1", by=("parity",))
    one = asked(base, known(task, "0.6", out=tmp_path / "one"), by=("parity",))
    assert result.rows == one.rows


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "0.1"}, "--base-model 0.1: is what --model names"),
        ({"styles": "none,blind"}, "none, blind show no marks"),
        ({"shard": Shard(index=1, count=2)}, "a shard sees only its own batches"),
        ({"blocks": Blocks(size=241)}, "--block 241: is more than the 240 samples of known"),
    ],
)
def test_two_models_of_no_use_are_refused_before_anything_is_asked(
    task: Path, tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        both(known(task, "0.45", out=tmp_path / "both").model_copy(update=fields), "0.1")
    assert not (tmp_path / "both" / "base" / MANIFEST).exists()


def test_two_models_of_an_endpoint_stop_at_their_limit_and_go_on(
    task: Path, tmp_path: Path
) -> None:
    def answer(asked: Asked) -> Answer:
        is_wrong = asked.body["model"] == "new" and "red" in text_of(asked)
        return Answer("B" if is_wrong else "A", model=asked.body["model"])

    fields = {"runner": "openai", "model": "new", "batch_size": "auto", "out": tmp_path / "both"}
    fields |= {"styles": "rectangle:red", "max_errors": 0.01}
    with JudgeServer(answer) as server:
        endpoint = {"base_url": server.url, "tries": 2}
        with pytest.raises(EndpointStopped, match="--max-calls 10 is reached") as stopped:
            both(known(task, "", **fields, endpoint=endpoint | {"max_calls": 10}), "old")
        assert stopped.value.exit_code == 3
        result = both(known(task, "", **fields, endpoint=endpoint), "old")
    assert result.rows[0].verdict == "dropped"
    assert result.apart.models == ("old", "new")
    assert result.rows[0].n < 240
