"""Which of the lost samples are drawn, and which are not."""

import pytest

from tests.runs import make_task, settings
from vipbench.analysis import gate as gates
from vipbench.analysis import lost
from vipbench.analysis.lost import lost_samples
from vipbench.run import loop


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> gates.Gate:
    """The gate of two runs, in which all that the base has right was lost."""
    folder = tmp_path_factory.mktemp("own")
    make_task(folder, n=20)
    for name, runner in (("base", "oracle"), ("new", "constant")):
        loop.run(settings(folder, runner=runner, styles="demo,none", out=folder / name))
    base, new = str(folder / "base"), str(folder / "new")
    return gates.gate(base, new, gates.Thresholds(), allow=("runner",), by=("shape",))


def test_each_lost_sample_is_there_once_as_it_was_asked(failed: gates.Gate) -> None:
    found = lost_samples(failed, embed_images=True)
    [whole] = [row for row in failed.rows if row.group == "all"]
    assert whole.failed
    assert [sample.name.id for sample in found.samples] == list(whole.lost)
    assert {sample.name.style for sample in found.samples} == {"demo"}
    assert all(sample.request.visual_prompts for sample in found.samples)
    assert found.notes == ()


def test_pictures_that_may_not_travel_are_left_out(failed: gates.Gate) -> None:
    found = lost_samples(failed)
    assert found.samples == ()
    assert "pictures may not be redistributed" in found.notes[0]


def test_of_many_the_first_are_drawn(failed: gates.Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost, "MOST", 3)
    found = lost_samples(failed, embed_images=True)
    assert len(found.samples) == 3
    assert "the first 3 of" in found.notes[0]


def test_a_gate_that_is_passed_lost_nothing(failed: gates.Gate) -> None:
    base = str(failed.base.folder)
    assert lost_samples(gates.gate(base, base, gates.Thresholds())) == ((), ())
