"""Fixtures of the tests of the loop."""

from pathlib import Path

import pytest

from tests.run.asking import BROKEN_RUNNERS


@pytest.fixture
def broken_runners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "broken_runners.py").write_text(BROKEN_RUNNERS)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.models import save_checkpoint

    return save_checkpoint(tmp_path_factory.mktemp("models") / "tiny-vip")
