from pathlib import Path

import pytest

from vipbench.data import cache
from vipbench.errors import DataError


def test_without_a_home_the_cache_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIPBENCH_CACHE", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DataError, match="name a folder by VIPBENCH_CACHE"):
        cache.cache_folder()
    monkeypatch.setenv("VIPBENCH_CACHE", "/somewhere")
    assert cache.cache_folder() == Path("/somewhere")
