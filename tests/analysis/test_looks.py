"""Repeated looks: their levels, their comparisons, and how often they find what is not there."""

import math
from collections import Counter
from random import Random

import pytest

from vipbench.analysis.looks import level, looks


def test_the_levels_of_all_looks_add_up() -> None:
    assert level(0.05, 1) == 0.025
    assert sum(level(0.05, look) for look in range(1, 100_000)) == pytest.approx(0.05, abs=1e-6)


def scores(values: list[float]) -> dict[str, tuple[float, str]]:
    return {f"q{n}": (value, f"image{n // 2}") for n, value in enumerate(values)}


def test_a_step_is_held_against_the_start_and_against_the_best_before_it() -> None:
    steps = [scores([1.0] * n + [0.0] * (100 - n)) for n in (60, 80, 80, 50)]
    first, *others = looks(steps)
    assert first == (None, None)
    starts, bests = [each.start for each in others], [each.best for each in others]
    assert [each and round(100 * each.change.difference) for each in starts] == [20, 20, -10]
    # The first of equal ones.
    assert [each and each.number for each in bests] == [0, 1, 1]
    assert starts[2]
    assert starts[2].p == starts[2].change.p_below()
    assert bests[2]
    assert bests[2].p == pytest.approx(3 * bests[2].change.p_below())


def test_samples_that_failed_in_one_step_are_left_out_of_its_pairs_alone() -> None:
    whole = scores([1.0, 0.0, 1.0, 1.0])
    found = looks([whole, {}, {"q0": whole["q0"]}])
    assert found[1] == (None, None)
    assert found[2].start
    assert found[2].start.change.n == 1


def simulated(rng: Random, n_steps: int) -> list[dict[str, tuple[float, str]]]:
    """Draw steps of a model that does not change: each image is as hard as it is, with noise."""
    hardness = [rng.betavariate(2, 1) for _ in range(60)]
    return [
        scores([float(rng.random() < hardness[n // 2]) for n in range(120)]) for _ in range(n_steps)
    ]


def test_where_nothing_changes_a_drop_is_found_no_more_often_than_alpha() -> None:
    rng, n, alpha, n_found = Random(5), 250, 0.1, Counter[str]()
    for _ in range(n):
        found = looks(simulated(rng, 9))
        for kind in ("start", "best"):
            ps = [getattr(each, kind).p for each in found[1:]]
            n_found[kind] += any(p < level(alpha, look) for look, p in enumerate(ps, 1))
    error = 2.5 * math.sqrt(alpha * (1 - alpha) / n)
    assert 0 < n_found["start"] / n <= alpha + error
    assert n_found["best"] / n <= alpha + error


def test_a_naive_test_against_the_best_would_find_too_many() -> None:
    rng, n, alpha = Random(6), 120, 0.1
    found = [looks(simulated(rng, 9))[8].best for _ in range(n)]
    naive = sum(each is not None and each.p / 8 < alpha for each in found)
    ours = sum(each is not None and each.p < alpha for each in found)
    error = 2.5 * math.sqrt(alpha * (1 - alpha) / n)
    assert naive / n > alpha + error
    assert ours / n <= alpha + error
