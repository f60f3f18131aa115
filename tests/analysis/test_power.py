from pathlib import Path

import pytest

from tests.analysis.test_pairs import V7W, VCR, run
from tests.results import lines
from vipbench.analysis.power import DISCORDANCES, power_of_numbers, power_of_runs
from vipbench.stats.power import Design


def test_a_run_alone_is_shown_under_several_discordances(tmp_path: Path) -> None:
    folder = run(
        tmp_path / "a", lines(V7W, [1, 1, 0, 0] * 50) + lines(VCR, [1, 0] * 10), (V7W, VCR)
    )
    rows = power_of_runs(folder, drop=0.05)
    assert [(row.task, row.design.discordance) for row in rows] == [
        (task, share) for task in (V7W, VCR) for share in (0.05, 0.1, 0.2)
    ]
    first = rows[0]
    assert (first.n, first.n_clusters, first.measured) == (200, 100, False)
    # Two samples share each image, and are right or wrong together.
    assert first.design.design_effect == pytest.approx(2, abs=0.1)
    assert first.smallest_drop == first.design.smallest_drop()
    assert first.samples_needed == first.design.samples_for(0.05)


def test_a_second_run_measures_what_changes_to_and_fro(tmp_path: Path) -> None:
    base = run(tmp_path / "a", lines(V7W, [1] * 60 + [0] * 40))
    new = run(tmp_path / "b", lines(V7W, [0] * 20 + [1] * 50 + [0] * 30))
    [row] = power_of_runs(base, new, drop=0.02)
    assert (row.measured, row.is_least) == (True, False)
    assert row.design.discordance == pytest.approx(0.2)  # 20 lost, 10 gained: 10 net
    [assumed] = power_of_runs(base, new, drop=0.02, discordance=0.4)
    assert (assumed.measured, assumed.design.discordance) == (False, 0.4)


def test_runs_that_hardly_differ_are_taken_to_change_a_little(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [1] * 60))
    [row] = power_of_runs(folder, folder, drop=0.02)
    assert row.design == Design(60, DISCORDANCES[0], 1.0)
    assert row.is_least


def test_answers_that_are_all_lost_are_none_to_and_fro(tmp_path: Path) -> None:
    base = run(tmp_path / "a", lines(V7W, [1] * 40))
    new = run(tmp_path / "b", lines(V7W, [0] * 34 + [1] * 6))
    [row] = power_of_runs(base, new, drop=0.02)
    assert (row.design.discordance, row.is_least) == (DISCORDANCES[0], True)


def test_samples_that_change_together_find_less(tmp_path: Path) -> None:
    # Two questions an image: both lost on 10 images, both gained on 5, of 50.
    base = run(tmp_path / "a", lines(V7W, [1] * 20 + [0] * 10 + [1] * 70))
    new = run(tmp_path / "b", lines(V7W, [0] * 20 + [1] * 80))
    [row] = power_of_runs(base, new, drop=0.02)
    assert row.design.design_effect == pytest.approx(2, abs=0.05)
    alone = row.design._replace(design_effect=1.0)
    assert (row.smallest_drop or 0) > 1.3 * (alone.smallest_drop() or 1)
    # One lost and one gained on each image: a design effect of 0 is not believed.
    apart = run(tmp_path / "c", lines(V7W, [1, 0] * 50))
    swapped = run(tmp_path / "d", lines(V7W, [0, 1] * 50))
    [row] = power_of_runs(apart, swapped, drop=0.02)
    assert row.design.design_effect == 1
    [alike, *_] = power_of_runs(apart, drop=0.02)
    assert alike.design.design_effect == pytest.approx(1, abs=0.001)


def test_level_and_power_are_the_users(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [1, 0] * 200))
    [usual] = power_of_runs(folder, drop=0.02, discordance=0.1)
    [strict] = power_of_runs(folder, drop=0.02, discordance=0.1, alpha=0.01, power=0.95)
    assert strict.samples_needed > 2 * usual.samples_needed


def test_numbers_alone_say_what_a_comparison_can_show() -> None:
    rows = power_of_numbers(400, drop=0.02)
    assert not any(row.is_least for row in rows)
    assert [row.design for row in rows] == [Design(400, share, 1.0) for share in DISCORDANCES]
    [row] = power_of_numbers(400, 0.1, 2.0, drop=0.02, alpha=0.01, power=0.9)
    assert row.design == Design(400, 0.1, 2.0, 0.01, 0.9)
    assert (row.task, row.n_clusters, row.measured) == ("-", 0, False)
    assert row.smallest_drop == row.design.smallest_drop()


def test_a_task_without_scores_is_left_out(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [None]) + lines(VCR, [1, 0]), (V7W, VCR))
    assert {row.task for row in power_of_runs(folder, drop=0.02)} == {VCR}
