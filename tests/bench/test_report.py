"""No speed is asserted here: what is reported has to be consistent, and the answers equal."""

import json
from pathlib import Path

import pytest

from vipbench.bench.report import BenchReport
from vipbench.runners.checkpoints.attention import KERNELS


def test_all_ways_give_the_same_answers_to_the_samples_that_all_were_asked(report: Path) -> None:
    written = json.loads(report.read_text(encoding="utf-8"))
    assert written["answers_equal"] is True
    assert written["agreement"] == {"official": 3, "usual": 3}
    assert written["n"] == 10
    assert written["n_compared"] == 3
    assert {name: way["n"] for name, way in written["ways"].items()} == {
        "vipbench": 10,
        "official": 3,
        "usual": 5,
    }
    assert set(written["tasks"].values()) == {2}


def test_ratios_are_quotients_of_the_speeds_that_stand_beside_them(report: Path) -> None:
    measured = BenchReport.model_validate_json(report.read_text(encoding="utf-8"))
    speed = measured.ways["vipbench"].samples_per_s
    assert measured.ratio_official == speed / measured.ways["official"].samples_per_s
    assert measured.ratio_usual == speed / measured.ways["usual"].samples_per_s
    for way in measured.ways.values():
        assert way.samples_per_s in way.samples_per_s_rounds
        assert len(way.samples_per_s_rounds) == 2
        assert 0 <= way.padding_waste < 1
        assert way.memory_mib >= way.memory_mib_first > 0
        assert len(way.memory_course) >= 1
        assert way.seconds_to_load > 0
        assert way.busy_share is not None
        assert way.wait_share is not None
        assert 0 < way.wait_share < 1 - way.busy_share
        assert max(choice.samples_per_s for choice in way.tried) == way.tried[0].samples_per_s
        assert way.threads == way.tried[0].threads
        assert way.attention in KERNELS.values()
    ours = measured.ways["vipbench"]
    assert ours.mfu == pytest.approx(ours.samples_per_s / measured.floor.samples_per_s)
    assert measured.ways["official"].batch_size == 1
    assert measured.ways["official"].padding_waste == 0
