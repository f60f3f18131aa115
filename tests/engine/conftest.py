"""A run in one process, which those with workers have to equal; it is made once."""

import pytest

from tests.engine.made import embedded_settings
from vipbench.run.loop import run
from vipbench.run.score import Results


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return a run of the embedded checkpoint, on a task with options and one without."""
    return run(embedded_settings(tmp_path_factory.mktemp("embedded") / "run"))
