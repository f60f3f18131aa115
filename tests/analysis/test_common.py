"""What several runs have in common, where some were extended."""

from pathlib import Path

import pytest

from tests.analysis.test_pairs import V7W, VCR, run
from tests.results import line
from vipbench.analysis.common import common_samples, left_out
from vipbench.analysis.pairs import Side, read_side
from vipbench.errors import RunError


def side(folder: Path, ids: str, tasks: tuple[str, ...] = (V7W,), **identity: object) -> Side:
    scores = [line(task, id_, 1.0, group=id_) for task in tasks for id_ in ids]
    return read_side(run(folder, scores, tasks, identity=identity))


def test_the_samples_of_the_smallest_run_are_common(tmp_path: Path) -> None:
    sides = [
        side(tmp_path / "a", "abc", (V7W, VCR)),
        side(tmp_path / "b", "abcd"),
        side(tmp_path / "c", "ab"),
    ]
    common = common_samples(sides)
    assert common == {(V7W, "text_match"): {"a", "b"}}
    assert left_out(sides, common) == [
        f"{V7W}: on the 2 samples that all runs have; {tmp_path}/a has 3, {tmp_path}/b has 4",
        f"{VCR}: not shown: {tmp_path}/b, {tmp_path}/c have no score of it",
    ]
    assert left_out(sides[:1] * 2, common_samples(sides[:1] * 2)) == []


def test_runs_of_which_each_lacks_some_are_refused_though_both_are_in_the_first(
    tmp_path: Path,
) -> None:
    sides = [side(tmp_path / name, name) for name in ("abcd", "ab", "bc")]
    with pytest.raises(RunError, match=r"ab and .*bc cannot be paired: 2 samples of"):
        common_samples(sides)


def test_another_protocol_is_refused_where_samples_differ(tmp_path: Path) -> None:
    sides = [side(tmp_path / "a", "ab"), side(tmp_path / "b", "abc", seed=1)]
    with pytest.raises(RunError, match=r"and the protocol differs: seed: 0 → 1 · run both in one"):
        common_samples(sides)
    same = [sides[0], side(tmp_path / "c", "ab", seed=1)]
    assert common_samples(same) == {(V7W, "text_match"): {"a", "b"}}
