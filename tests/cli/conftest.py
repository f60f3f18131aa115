import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.analysis.test_gate import answers
from tests.analysis.test_pairs import run
from vipbench import cli, evaluate
from vipbench.data.locate import parse_data_options
from vipbench.demo.embedded import sources
from vipbench.demo.generate import make


class Ran(NamedTuple):
    code: int | str | None
    out: str
    err: str


Vipbench = Callable[..., Ran]


@pytest.fixture
def vipbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Vipbench:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["vipbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Ran(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Make a small synthetic release, and return the options that name it."""
    folder = make(tmp_path_factory.mktemp("data"), 6)
    return [
        part
        for key, source in sources(folder).items()
        for part in ("--data", f"{key}={source.questions}")
    ]


@pytest.fixture(scope="session")
def finished(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo suite once; tests take copies."""
    folder = tmp_path_factory.mktemp("finished") / "done"
    evaluate(suite="demo", runner="oracle", data=parse_data_options(data[1::2]), out=folder)
    return folder


@pytest.fixture
def done(vipbench: Vipbench, finished: Path) -> Path:
    """Return the folder of a finished run of the demo suite, in the current folder."""
    return Path(shutil.copytree(finished, "done"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Make the run of a checkpoint, and that of one that is worse."""
    base = run(tmp_path / "base", answers(200))
    return base, run(tmp_path / "new", answers(200, lost=20), model="new")
