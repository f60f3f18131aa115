import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from vipbench import cli
from vipbench.demo import sources
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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Make a small synthetic release, and return the options that name it."""
    folder = make(tmp_path_factory.mktemp("data"), 6)
    return [
        part
        for key, source in sources(folder).items()
        for part in ("--data", f"{key}={source.questions}")
    ]


@pytest.fixture
def done(vipbench: Vipbench, data: list[str]) -> Path:
    """Return the folder of a finished run of the demo suite."""
    assert vipbench("run", "--runner", "oracle", *data, "-o", "done").code == 0
    return Path("done")
