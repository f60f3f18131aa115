"""Intervals of ratios, beside arithmetic that is known."""

import math

import numpy as np
import pytest

from vipbench.bench.ratios import paired_ratio


def test_an_interval_is_students_of_the_logarithms() -> None:
    ratio = paired_ratio([2.0, 8.0], [1.0, 1.0])
    assert ratio.rounds == (2.0, 8.0)
    assert ratio.mean == pytest.approx(4)
    # t of one degree of freedom is tan(pi / 2 * 0.95) = 12.706; the error of the mean is log 2.
    reach = 2 ** math.tan(math.pi / 2 * 0.95)
    assert ratio.low == pytest.approx(4 / reach)
    assert ratio.high == pytest.approx(4 * reach)


def test_one_round_gives_no_interval_and_rounds_must_be_pairs() -> None:
    alone = paired_ratio([3.0], [2.0])
    assert (alone.mean, alone.low, alone.high) == (1.5, None, None)
    with pytest.raises(ValueError, match="no rounds"):
        paired_ratio([], [])
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_a_busy_moment_that_hits_both_moves_nothing() -> None:
    busy = np.array([1.0, 0.2, 0.7])
    ratio = paired_ratio([*(300 * busy)], [*(100 * busy)])
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((3, 3, 3))


def test_the_interval_covers_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        ratio = paired_ratio([*drawn.lognormal(0.5, 0.2, 4)], [*drawn.lognormal(0, 0.1, 4)])
        assert ratio.low is not None
        assert ratio.high is not None
        covered += ratio.low < math.exp(0.5) < ratio.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)  # 3 standard errors
