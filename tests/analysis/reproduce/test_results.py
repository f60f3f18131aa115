"""Runs that differ by their seed are one result."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis.reproduce.made import V7W, VIP_7B, codes, published, seeded, small_registry, v7w
from tests.results import line, manifest, save_scores, task_run
from vipbench.analysis.reproduce.results import read_results
from vipbench.analysis.reproduce.screen import screen
from vipbench.analysis.reproduce.text import markdown, table
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.errors import RunError
from vipbench.files import write_json
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import JUDGE, SUMMARY
from vipbench.stats.intervals import clustered_mean


def test_runs_that_differ_by_their_seed_are_one_result(tmp_path: Path) -> None:
    scores: list[list[float | None]] = [
        [1, 1, 0, 1, 0, 1, 1, 1],
        [1, 0, 0, 1, 0, 1, 1, 1],
        [1, 1, 0, 1, 1, 1, 1, 0],
    ]
    runs = [seeded(tmp_path / str(seed), seed, each) for seed, each in enumerate(scores)]
    found = reproduce(runs, registry=small_registry(8, 70))
    [one] = found.comparisons
    means = [sum(each) / 3 for each in zip(*scores, strict=True)]
    expected = clustered_mean(means, [i // 2 for i in range(8)])
    assert one.ours is not None
    assert one.ours.accuracy == pytest.approx(expected.mean) == pytest.approx(17 / 24)
    assert (one.ours.ci_low, one.ours.ci_high) == pytest.approx((expected.ci_low, expected.ci_high))
    assert one.ours.by_seed == (0.75, 0.625, 0.75)
    assert one.ours.spread == pytest.approx(0.0721688)
    assert (one.seeds, one.runs) == ((0, 1, 2), tuple(map(str, runs)))
    assert (one.ours.n, one.verdict, one.differences) == (8, "reproduced", ())
    text = markdown(found)
    assert (
        "  visual7w_pointing: 70.83 ± 7.22 over 3 seeds (75.00, 62.50, 75.00)"
        in screen(found).bottom
    )
    assert "70.83 ± 7.22 over 3 seeds (75.00, 62.50, 75.00)" in text


def test_a_sample_that_one_seed_lacks_is_missing(tmp_path: Path) -> None:
    runs = [
        seeded(tmp_path / "0", 0, [1, 1, 0, 1]),
        seeded(tmp_path / "1", 1, [1, 1, 0, None]),
    ]
    [one] = reproduce(runs, registry=small_registry(4, 70)).comparisons
    assert codes(one) == ["missing"]
    assert one.ours is not None
    assert (one.ours.n, one.ours.n_errors) == (3, 1)
    assert one.ours.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "some/one-else"},
        {"seed": 0},
        {"values": [1, 1, 0, 1, 1]},
        {"target": "B"},
    ],
)
def test_runs_that_differ_otherwise_are_not_averaged(tmp_path: Path, other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"seed": 1, "values": [1, 1, 0, 1]} | other
    runs = [seeded(tmp_path / "0", 0, [1, 0, 0, 1]), seeded(tmp_path / "1", **given)]
    found = reproduce(runs, registry=small_registry(4, 70), everything=True)
    assert [each.runs for each in found.comparisons] == [(str(run),) for run in runs]


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    run = seeded(tmp_path / "0", 0, [1, 0, 0, 1])
    again = tmp_path / "elsewhere" / ".." / "0"
    (tmp_path / "elsewhere").mkdir()
    found = reproduce([run, again], registry=small_registry(4, 70))
    assert [each.seeds for each in found.comparisons] == [(0,)]


def test_groups_are_averaged_over_seeds_too(tmp_path: Path) -> None:
    task = "vip_bench_bbox"
    runs = []
    for seed, value in enumerate((0.4, 0.8)):
        made = manifest(VIP_7B, {task: task_run(task, n_samples=2)}, identity={"seed": seed})
        scores = [
            line(task, "v1_0", value, metric="judge", tags={"capability": ("rec",)}),
            line(task, "v1_1", 0.0, metric="judge", tags={"capability": ("ocr",)}),
        ]
        runs.append(save_scores(tmp_path / str(seed), made, scores))
    one = published(reproduce(runs), 54.8, group="capability=rec")
    assert one.ours is not None
    assert one.ours.accuracy == pytest.approx(0.6)
    assert one.ours.by_seed == (0.4, 0.8)


def test_a_run_that_has_not_ended_is_an_error(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.86)
    (run / SUMMARY).unlink()
    with pytest.raises(RunError, match="the run has not ended"):
        reproduce([run])


def test_grades_of_different_judges_are_not_averaged(tmp_path: Path) -> None:
    runs = [seeded(tmp_path / str(seed), seed, [1, 0, 0, 1]) for seed in range(3)]
    for run, judge in zip(runs, ("gpt-4", "qwen", "gpt-4"), strict=True):
        write_json(run / JUDGE, {"judge": {"model": judge, "prompt_digest": 64 * "a"}})
    assert [result.folders for result in read_results(runs)] == [
        (str(runs[0]), str(runs[2])),
        (str(runs[1]),),
    ]


def test_results_have_names_of_their_own(tmp_path: Path) -> None:
    runs = [seeded(tmp_path / name, 0, [1, 0, 0, 1]) for name in "ab"]
    made = manifests.read(runs[1])
    settings = made.identity.settings.model_copy(update={"weights": 64 * "e"})
    identity = made.identity.model_copy(update={"settings": settings})
    manifests.write(runs[1], made.model_copy(update={"identity": identity}))
    found = reproduce(runs, registry=small_registry(4, 70))
    names = ["some/one (weights aaaaaaaa)", "some/one (weights eeeeeeee)"]
    assert [one.model for one in found.comparisons] == names
    assert [row[0] for row in table(found).rows] == names
    assert "## some/one \\(" not in markdown(found)
    assert f"## {names[0]}: {V7W}, One 70: " in markdown(found)
    alone = reproduce(runs[:1], registry=small_registry(4, 70))
    assert table(alone).header[0] == "task"
