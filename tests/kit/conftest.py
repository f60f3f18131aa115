import functools
import os
from pathlib import Path

import pytest

from tests.bench.conftest import do_here
from tests.kit.made import small_kit
from vipbench.bench.settings import BenchSettings
from vipbench.data.locate import parse_data_options
from vipbench.demo.embedded import sources
from vipbench.demo.generate import make
from vipbench.kit.make import Kit, make_kit
from vipbench.kit.settings import KitSettings


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Make a kit of a made-up task, without certificate and bench; tests write beside it only."""
    return small_kit(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    """Make a kit of the embedded checkpoint with all its parts, on few samples."""
    folder = tmp_path_factory.mktemp("whole")
    found = sources(make(folder / "data", 3))
    data = parse_data_options([f"{key}={source.questions}" for key, source in found.items()])
    few = functools.partial(
        BenchSettings, ways=("vipbench",), rounds=1, n_tune=1, tasks=("vcr_qa",)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vipbench.bench.driver._start", do_here)
        patch.setattr("vipbench.kit.make.BenchSettings", few)
        patch.setattr(os, "cpu_count", lambda: 1)
        return make_kit(
            KitSettings(
                suite="demo",
                tasks=("visual7w_pointing", "vcr_q2ar"),
                data=data,
                limit=2,
                device="cpu",
                n_certificate=3,
                n_bench=1,
                out=folder / "kit",
            )
        )


@pytest.fixture
def archive(small: Kit, tmp_path: Path) -> Path:
    """Return a copy of the small kit's archive."""
    path = tmp_path / "kit.zip"
    path.write_bytes(small.archive.read_bytes())
    return path
