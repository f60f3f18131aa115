"""Checkpoints that appear while they are watched, evaluated once each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.runs import settings
from tests.training.test_complete import sharded
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted, VipbenchError
from vipbench.runfolder import manifest as manifests
from vipbench.schema import DataSource
from vipbench.training.watch import Looked, Outcome, Watched, parse_every, split_base, watch

Watch = Callable[..., Outcome]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def ended() -> list[list[Looked]]:
    """What each watch has told at its end."""
    return []


@pytest.fixture
def watching(task: Path, tmp_path: Path, said: list[str], ended: list[list[Looked]]) -> Watch:
    (tmp_path / "out").mkdir()

    def start(sleep: Callable[[float], None] = lambda seconds: None, **fields: Any) -> Outcome:
        given = {"once": True, "every": 60.0, "gate": None} | fields
        asked = settings(task, out=None, limit=2)
        watched = Watched(folder=tmp_path / "out", settings=asked, **given)

        def tell_end(looked: Sequence[Looked]) -> None:
            ended.append(list(looked))

        return watch(watched, Console(said.append), sleep=sleep, tell_end=tell_end)

    return start


def names(outcome: Outcome) -> list[str]:
    return [results.path.name for results in outcome.results]


def test_each_checkpoint_is_evaluated_once(watching: Watch, tmp_path: Path) -> None:
    for name in ("checkpoint-20", "checkpoint-3"):
        sharded(tmp_path / "out" / name)
    first = watching()
    assert names(first) == ["checkpoint-3", "checkpoint-20"]
    assert first.results[0].path.parent == tmp_path / "out" / "vipbench"
    assert first.results[0].n_answered == 2
    again = watching()
    assert [results.n_answered for results in again.results] == [0, 0]


def test_one_that_appears_meanwhile_is_taken_too(watching: Watch, tmp_path: Path) -> None:
    sharded(tmp_path / "out" / "checkpoint-1")
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            sharded(tmp_path / "out" / "checkpoint-2")

    assert names(watching(sleep)) == ["checkpoint-1", "checkpoint-2"]
    assert set(pauses) == {2.0}


def test_one_that_is_being_written_is_waited_for(watching: Watch, tmp_path: Path) -> None:
    folder = sharded(tmp_path / "out" / "checkpoint-1")
    shard = folder / "model-00002-of-00002.safetensors"
    content = shard.read_bytes()
    n_looks = 0

    def sleep(seconds: float) -> None:
        nonlocal n_looks
        n_looks += 1
        shard.write_bytes(content[: 40 * n_looks])
        if len(content) <= 40 * n_looks:
            shard.write_bytes(content)

    shard.write_bytes(b"")

    def patient(seconds: float) -> None:
        if n_looks <= len(content) // 40:
            sleep(seconds)

    assert names(watching(patient)) == ["checkpoint-1"]


def test_one_that_is_never_complete_is_left_out_and_said(
    watching: Watch, tmp_path: Path, said: list[str]
) -> None:
    sharded(tmp_path / "out" / "checkpoint-1")
    (sharded(tmp_path / "out" / "checkpoint-2") / "config.json").unlink()
    outcome = watching()
    assert names(outcome) == ["checkpoint-1"]
    assert len(outcome.left_out) == 1
    assert "left out, since it is not complete: " in said[-1]
    assert said[-1].endswith("checkpoint-2/config.json: does not exist")


def test_one_that_cannot_be_evaluated_does_not_end_the_others(
    watching: Watch, tmp_path: Path, said: list[str]
) -> None:
    for name in ("checkpoint-1", "checkpoint-2"):
        sharded(tmp_path / "out" / name)
    runs = tmp_path / "out" / "vipbench"
    runs.mkdir()
    (runs / "checkpoint-1").mkdir()
    (runs / "checkpoint-1" / "scores.jsonl").write_text("")
    outcome = watching()
    assert names(outcome) == ["checkpoint-2"]
    assert len(outcome.failures) == 1
    assert any("checkpoint-1: not evaluated, the others go on: " in line for line in said)


def test_a_checkpoint_that_changes_afterwards_is_said(
    watching: Watch, tmp_path: Path, said: list[str], ended: list[list[Looked]]
) -> None:
    folder = sharded(tmp_path / "out" / "checkpoint-1")
    n_looks = 0

    def sleep(seconds: float) -> None:
        nonlocal n_looks
        n_looks += 1
        if n_looks == 3:
            (folder / "config.json").write_text('{"a": 1}')
        if n_looks == 5:
            raise KeyboardInterrupt

    with pytest.raises(RunInterrupted, match="1 checkpoints are evaluated, and kept · give the"):
        watching(sleep, once=False)
    assert any("has changed since it was evaluated" in line for line in said)
    assert [len(looked) for looked in ended] == [1]  # by Ctrl-C, too


def test_a_run_is_what_each_is_held_against(
    watching: Watch, tmp_path: Path, ended: list[list[Looked]]
) -> None:
    sharded(tmp_path / "out" / "checkpoint-1")
    base = watching().results[0].path
    sharded(tmp_path / "out" / "checkpoint-2")
    outcome = watching(gate=base)
    assert len(outcome.results) == 2
    assert outcome.failed_gates == ()
    assert [(each.folder.name, each.verdict) for each in ended[-1]] == [
        ("checkpoint-1", "not worse"),
        ("checkpoint-2", "not worse"),
    ]
    assert split_base(str(base)) == (str(tmp_path / "out" / "checkpoint-1"), base)
    made = manifests.read(base)
    manifests.write(base, made.model_copy(update={"model_path": str(tmp_path / "gone")}))
    assert split_base(str(base)) == (None, base)
    assert split_base("owner/name") == ("owner/name", None)
    assert split_base(None) == (None, None)


def test_a_folder_that_is_not_there_is_refused(task: Path, tmp_path: Path) -> None:
    watched = Watched(tmp_path / "none", settings(task), 1.0, True, None)
    with pytest.raises(RunError, match=r"none: is not a folder · expected .* · make it, or name"):
        watch(watched, Console(lambda text: None))


@pytest.mark.parametrize(
    ("fields", "said_of_it"),
    [
        ({"tasks": ("visual7w_pointing",)}, "^data 'visual7w': not found anywhere"),
        ({"tasks": ("owm",)}, "^task 'owm' is unknown"),
        ({"styles": "nosuch"}, "style 'nosuch'"),
        ({"data": {"nosuch": DataSource(Path(), Path())}}, "^--data nosuch: no task uses this key"),
        ({"base": "nosuch"}, "^--base nosuch: does not exist"),
        ({"runner": "nosuch"}, "^runner 'nosuch' is unknown"),
        ({"runner": "tests.runs:Nosuch"}, "has no class 'Nosuch'"),
        ({"device": "nosuch"}, "nosuch"),
    ],
    ids=str,
)
def test_a_mistake_in_options_is_found_once_before_the_first_checkpoint(
    task: Path, tmp_path: Path, said: list[str], fields: dict[str, Any], said_of_it: str
) -> None:
    for name in ("checkpoint-1", "checkpoint-2"):
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "config.json").write_text("{}")
    asked = settings(task, out=None).model_copy(update=fields)
    watched = Watched(tmp_path / "out", asked, 60.0, True, None)
    with pytest.raises(VipbenchError, match=said_of_it) as end:
        watch(watched, Console(said.append), sleep=lambda seconds: None)
    assert end.value.exit_code == 2
    assert said == []
    assert not watched.out.exists()


def test_times_between_looks() -> None:
    assert [parse_every(text) for text in ("60", "30s", "1.5m", " 2 h ")] == [60, 30, 90, 7200]
    for text in ("0", "-1", "5d", "", "1e9", "nan"):
        with pytest.raises(RunError, match=r"--every '.*': is not a time · expected seconds"):
            parse_every(text)
