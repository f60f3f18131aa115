"""What is seen of a way while it answers."""

from pathlib import Path

import pytest

from tests.bench.conftest import make_job
from vipbench.bench.ways import measure


@pytest.mark.usefixtures("threads")
def test_memory_is_looked_at_after_the_first_batch_and_each_tenth(tmp_path: Path) -> None:
    job = make_job(tmp_path, (1, 1), random="tiny", way="official", repeat=10)
    outcome = measure(job, tmp_path)
    assert len(outcome.answers) == 20
    assert len(outcome.memory_course) == 11
    assert outcome.memory_mib >= outcome.memory_mib_first
