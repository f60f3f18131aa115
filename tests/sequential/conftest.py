from pathlib import Path

import pytest

from tests.sequential.made import known, make_known
from vipbench.run.loop import run


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a task of 240 samples."""
    return make_known(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="session")
def base(task: Path) -> Path:
    """Answer it, a tenth of it wrongly."""
    return run(known(task, "0.1", out=task / "base", blocks=None)).path
