"""A few of the kills of tests/kills.py, and that its machinery sees what it looks for."""

from pathlib import Path
from random import Random

import pytest

from tests.kills import (
    COMMANDS,
    Kill,
    Reference,
    content,
    differences,
    killed,
    plan,
    reference,
)
from tests.kills import world as made_world
from tests.runs import make_task

TORN = "/responses.jsonl"
"""End of a step at which answers are written."""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Give a command that nobody kills."""
    with made_world() as world:
        return reference("run", tmp_path_factory.mktemp("known") / "run", world)


@pytest.mark.parametrize(
    ("step", "torn"),
    [("fsync out/responses.jsonl", True), ("rename out/.summary.json.part", False)],
)
def test_a_killed_run_is_resumed_to_the_same_bytes(known: Reference, step: str, torn: bool) -> None:
    at = len(known.steps) - 1 - known.steps[::-1].index(step)
    with made_world() as world:
        result = killed("run", Kill(at, torn), known, known.folder.parent, world)
    assert (result["was_killed"], result["at"], result["faults"]) == (True, step, [])


def test_a_race_that_was_killed_takes_the_same_way_again(tmp_path: Path) -> None:
    with made_world() as world:
        race = reference("race", tmp_path / "race", world)
        answers = [
            n
            for n, step in enumerate(race.steps)
            if step.startswith("fsync") and step.endswith(TORN)
        ]
        result = killed(
            "race", Kill(answers[len(answers) // 2], torn=True), race, race.folder.parent, world
        )
    assert (result["was_killed"], result["faults"]) == (True, [])


def test_kills_are_spread_over_the_kinds_of_steps(known: Reference) -> None:
    kills = plan(known, 30, Random(0))
    assert kills == plan(known, 30, Random(0))
    places = {known.steps[kill.step].split()[0] for kill in kills if kill.step >= 0}
    assert places >= {"open", "fsync", "rename", "remove"}
    assert any(kill.torn for kill in kills)
    assert sum(kill.share > 0 for kill in kills) >= 7


def test_what_a_kill_must_not_change_is_told_from_what_it_may(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_task(tmp_path / name, "own", 2)
        (tmp_path / name / "manifest.json").write_text(f'{{"started": "{name}", "n": 1}}')
    expected = content(tmp_path / "a")
    assert differences(expected, content(tmp_path / "b")) == []
    (tmp_path / "b" / "own.yaml").write_text("")
    (tmp_path / "b" / ".own.part").write_text("")
    (tmp_path / "b" / "own.jsonl").unlink()
    assert differences(expected, content(tmp_path / "b")) == [
        ".own.part is left",
        "own.jsonl is missing",
        "own.yaml differs",
    ]


def test_every_command_that_writes_for_long_is_killed() -> None:
    assert COMMANDS.keys() >= {"run", "workers", "loaders", "judge", "merge", "convert", "fetch"}
