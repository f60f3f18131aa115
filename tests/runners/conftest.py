"""Tiny checkpoints that several test files read; none of them writes to these folders."""

from pathlib import Path

import pytest

from tests.models import save_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny-vip")
