"""Models of several runs: side by side where they fit, else one after another."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.run.asking import files
from tests.sequential.made import known
from tests.sequential.test_race import raced
from vipbench.run.ask import Session, load
from vipbench.run.prepare import Prepared
from vipbench.run.workers import PROCESS_BYTES
from vipbench.runfolder.folder import RESPONSES
from vipbench.sequential import asking, room
from vipbench.sequential.asking import BlockRun
from vipbench.sequential.room import fit_together

MIB = 1 << 20


def stand_in(device: str = "cpu", mib: int | None = 100, dtype: str = "float32") -> BlockRun:
    """Make what `fit_together` looks at of a run whose weights take so much on a disk."""
    outline = SimpleNamespace(sizes=None, weight_bytes=mib and mib * MIB)
    spec = SimpleNamespace(loads_checkpoint=mib is not None, outline=lambda: outline)
    model = SimpleNamespace(device=device, settings=SimpleNamespace(dtype=dtype))
    run: Any = SimpleNamespace(prepared=SimpleNamespace(spec=spec, model=model), n_workers=1)
    return cast(BlockRun, run)


def test_two_models_of_a_gpu_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 1 << 50)
    assert fit_together([stand_in("cuda:0")])
    assert not fit_together([stand_in("cuda:0"), stand_in("cuda:0")])
    assert fit_together([stand_in(), stand_in()])
    assert fit_together([stand_in("cuda:0"), stand_in(mib=None)])


def test_models_of_a_cpu_fit_into_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [stand_in(), stand_in()]
    each = 100 * MIB + PROCESS_BYTES
    monkeypatch.setattr(room, "free_bytes", lambda: 4 * each)
    assert fit_together(runs)
    monkeypatch.setattr(room, "free_bytes", lambda: 4 * each - 2)
    assert not fit_together(runs)
    assert fit_together([stand_in(mib=None), stand_in(mib=None)])
    monkeypatch.setattr(room, "free_bytes", lambda: None)
    assert fit_together(runs)


def test_one_after_another_answers_what_side_by_side_does(
    task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def count(prepared: Prepared, *arguments: Any, **options: Any) -> Session:
        loaded.append(prepared.model.name)
        return load(prepared, *arguments, **options)

    def go(name: str) -> Path:
        models = {"a": "0.1", "b": "0.25", "c": "0.7"}
        raced(
            *(known(task, wrong, out=tmp_path / name / each) for each, wrong in models.items()),
            within=0.02,
        )
        return tmp_path / name

    monkeypatch.setattr(asking, "load", count)
    together = go("together")
    assert len(loaded) == len(set(loaded)) == 3
    monkeypatch.setattr(room, "fit_together", lambda runs: False)
    turns = go("turns")
    assert len(loaded[3:]) > 3  # again for each block that it is left in
    for each in ("a", "b", "c"):
        assert files(together / each) == files(turns / each)
        one, two = ((folder / each / RESPONSES).read_bytes() for folder in (together, turns))
        assert one == two
