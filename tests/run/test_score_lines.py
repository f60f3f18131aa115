"""The lines of a run's scores are the same, whoever makes them."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.run.asking import SCORED
from tests.runs import make_task, settings
from vipbench import forked
from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.run import score_lines
from vipbench.run.loop import run
from vipbench.run.score import score, score_answers
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import REQUESTS, RESPONSES


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run."""
    folder = tmp_path_factory.mktemp("run")
    make_task(folder)
    return run(settings(folder, styles="demo,none")).path


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SCORED}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")
@pytest.mark.parametrize("dies", [False, True])
def test_two_processes_write_what_one_does(
    finished: Path, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    copies: list[object] = []

    class Counted(forked.Forked[Any]):
        def __init__(self, items: Iterable[Any]) -> None:
            copies.append(items)
            super().__init__(items)

        def take(self) -> Any:
            if dies and len(copies) < 3:
                copies.append(None)
                if len(copies) == 3:
                    raise forked.Died
            return super().take()

    said: list[list[str]] = [[], []]
    score(finished, console=Console(said[0].append))
    expected = content(finished)
    monkeypatch.setattr(score_lines, "FORKED_FROM", 1)
    monkeypatch.setattr(score_lines, "STRETCH", 3)
    monkeypatch.setattr(score_lines, "can_fork", lambda: True)
    monkeypatch.setattr(score_lines, "Forked", Counted)
    score(finished, console=Console(said[1].append))
    assert not copies  # not without leave
    score(finished, may_fork=True, console=Console(said[1].append))
    assert copies
    assert content(finished) == expected
    assert said[1] == 2 * said[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")
@pytest.mark.parametrize("dies", [False, True])
def test_answers_that_a_copy_has_located_are_those_that_one_process_finds(
    finished: Path, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    taken: list[object] = []

    class Taken(forked.Forked[Any]):
        def take(self) -> Any:
            if dies:
                raise forked.Died
            taken.append(super().take())
            return taken[-1]

    score(finished)
    expected = content(finished)
    for name, value in (("FORKED_FROM", 1), ("can_fork", lambda: True), ("Forked", Taken)):
        monkeypatch.setattr(f"vipbench.run.score.{name}", value)
    score(finished, may_fork=True)
    assert len(taken) == (not dies)
    assert content(finished) == expected


@pytest.mark.parametrize("name", [REQUESTS, RESPONSES])
def test_a_broken_line_is_found_before_anything_is_replaced(finished: Path, name: str) -> None:
    """Of what the glance at first does not look at."""
    path = finished / name
    whole, expected = path.read_bytes(), content(finished)
    lines = whole.decode().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"further": 1})
    path.write_text("\n".join(lines) + "\n")
    before = manifests.read(finished)
    with pytest.raises(RunError, match=rf"{name}:{len(lines)}: .*further"):
        score_answers(finished, before)
    assert manifests.read(finished) == before
    assert content(finished) == expected
    assert not list(finished.glob(".*"))
    path.write_bytes(whole)
