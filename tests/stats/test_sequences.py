"""Confidence sequences against the formulas written out one sample at a time, and by simulation."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from vipbench.stats.intervals import Floats
from vipbench.stats.sequences import (
    MOST,
    Bets,
    begin,
    bounds,
    go_on,
    log_evidence,
    spread_bets,
)


def changes(seed: int, size: int, gained: float, lost: float) -> Floats:
    """Return differences of right and wrong answers, in random order."""
    values = np.zeros(size)
    values[: round(gained * size)] = 1
    values[size - round(lost * size) :] = -1
    return np.random.default_rng(seed).permutation(values)


def one_by_one(
    values: Sequence[float],
    size: float,
    mean: float,
    bets: Bets,
    lo: float,
    hi: float,
    most: float | None = None,
) -> list[float]:
    """Return the capital after each sample, as the papers write it; infinite: impossible.

    Waudby-Smith and Ramdas 2020: the mean of the unseen, (N m - S) / (N - t + 1); 2024: capital is
    multiplied by 1 + lambda (x - m), with lambda from earlier samples.
    """
    capital = [float(share) for share in bets.shares]
    found, total, squares = [], 0.0, 0.0
    for t, value in enumerate(values, start=1):
        unseen = size - t + 1
        null = (size * mean - total) / unseen
        variance = (0.25 + squares - total * total / max(1, t - 1)) / t
        for number, gap in enumerate(bets.gaps):
            far = min(gap * size / unseen, hi - lo)
            stake = min(far / (variance + far**2), most or MOST / max(null - lo, 1e-9))
            capital[number] *= 1 + stake * (value - null)
        total += value
        squares += value * value
        possible = total + (size - t) * lo <= (mean + 1e-9) * size
        found.append(sum(capital) if possible else math.inf)
    return found


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.1), (0.1, 0.02), (0.0, 0.3), (0.01, 0.0)])
@pytest.mark.parametrize("mean", [-0.3, -0.02, 0.0, 0.05, 0.4])
def test_the_evidence_is_that_of_the_formulas(gained: float, lost: float, mean: float) -> None:
    values = changes(3, 150, gained, lost)
    looks = [0, 1, 40, 149, 150]
    for likely in (None, 0.05):
        got = log_evidence(values, 150, mean, "at most", looks, likely=likely)
        capital = [1.0, *one_by_one(values.tolist(), 150, mean, spread_bets(150, likely), -1, 1)]
        expected = [math.log(max(capital[: look + 1])) for look in looks]
        assert got == pytest.approx(expected, abs=1e-9)
        mirrored = log_evidence(-values, 150, -mean, "at least", looks, likely=likely)
        assert mirrored.tolist() == got.tolist()


def test_the_evidence_of_scores_is_that_of_the_formulas() -> None:
    values = np.random.default_rng(1).beta(2, 1, 80)
    got = log_evidence(values, 100, 0.55, "at most", range(1, 81), lo=0, hi=1)
    capital = one_by_one(values.tolist(), 100, 0.55, spread_bets(100, widest=0.5), 0, 1)
    assert got == pytest.approx(np.log(np.maximum.accumulate([1.0, *capital])[1:]), abs=1e-9)
    mirrored = log_evidence(1 - values, 100, 0.45, "at least", range(1, 81), lo=0, hi=1)
    assert mirrored == pytest.approx(got, abs=1e-9)


def test_of_a_huge_population_it_is_the_evidence_with_replacement() -> None:
    values = changes(5, 2000, 0.05, 0.1)
    bets = spread_bets(2000)
    wealth = go_on(begin((), bets), values, 10**9, -0.08, bets)
    capital, total, squares = np.array(bets.shares), 0.0, 0.0
    best = 1.0
    for t, value in enumerate(values.tolist(), start=1):
        variance = (0.25 + squares - total * total / max(1, t - 1)) / t
        stakes = np.minimum(bets.gaps / (variance + bets.gaps**2), MOST / (1 - 0.08))
        capital = capital * (1 + stakes * (value + 0.08))
        total, squares = total + value, squares + value**2
        best = max(best, float(capital.sum()))
    assert float(wealth.best) == pytest.approx(math.log(best), rel=1e-3)
    assert best > 10


def test_blocks_make_no_difference() -> None:
    values = changes(4, 900, 0.05, 0.12)
    whole = log_evidence(values, 900, -0.02, "at least", [700])
    cut = log_evidence(values, 900, -0.02, "at least", [1, 2, 77, 300, 301, 700])
    assert cut[-1] == pytest.approx(whole[0], abs=1e-12)
    assert (np.diff(cut) >= 0).all()


def test_what_unseen_samples_cannot_save_is_ruled_out() -> None:
    values = np.array([-1.0] * 30 + [0.0] * 70)
    # Of 100 samples, 30 are lost: with 60 to come the mean may still be 0.3, with 40 it is 0.1.
    looks = [40, 59, 60, 61, 100]
    got = log_evidence(values, 100, 0.1, "at least", looks)
    assert np.isinf(got).tolist() == [False, False, False, True, True]
    assert np.isfinite(log_evidence(values, 100, -0.3, "at least", [100])[0])
    assert np.isfinite(log_evidence(values, 100, -0.3, "at most", [100])[0])
    assert np.isinf(log_evidence(values, 100, -0.3 + 1e-6, "at least", [100])[0])
    assert np.isinf(log_evidence(values, 100, -0.3 - 1e-6, "at most", [100])[0])


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.1), (0.01, 0.0), (0.3, 0.3), (0.0, 0.0)])
def test_bounds_are_where_the_evidence_suffices(gained: float, lost: float) -> None:
    size, looks = 200, [10, 60, 150, 195]
    values = changes(6, size, gained, lost)
    got = bounds(values, size, looks, 0.1)
    for row, look in enumerate(looks):
        for side, sign in enumerate((1, -1)):
            seen = (sign * values).tolist()[:look]
            logical = (sum(seen) - (size - look)) / size

            def rejected(mean: float, seen: list[float] = seen) -> bool:
                capital = one_by_one(seen, size, mean, spread_bets(size), -1, 1, MOST / 2)
                return capital[-1] >= 2 / 0.1

            low, high = logical, sum(seen) / look
            for _ in range(20):
                middle = (low + high) / 2
                low, high = (middle, high) if rejected(middle) else (low, middle)
            alone = sign * got[row, side]
            before = max((sign * got[:row, side]).tolist(), default=-1.0)
            exact = max(low, before)
            assert exact - 0.03 * (sum(seen) / look - exact) - 1e-6 <= alone <= exact + 1e-6


def test_bounds_close_to_the_mean() -> None:
    values = changes(7, 3000, 0.05, 0.08)
    looks = [0, 1, 50, 500, 1500, 2900, 2999, 3000]
    got = bounds(values, 3000, looks, 0.05)
    assert got[0].tolist() == [-1, 1]
    assert (np.diff(got[:, 0]) >= 0).all()
    assert (np.diff(got[:, 1]) <= 0).all()
    assert got[-1].tolist() == [values.mean(), values.mean()]
    assert np.diff(got[-2])[0] <= 2 / 3000
    # Half of all samples tell more than as many of a population without end.
    wide = bounds(values, 10**7, looks[:5], 0.05)
    assert np.diff(got[4])[0] < 0.85 * np.diff(wide[4])[0]
    scores = bounds((values + 1) / 2, 3000, looks, 0.05, 0, 1)
    assert scores[2:] == pytest.approx((got[2:] + 1) / 2, abs=0.02)


def test_a_large_benchmark_that_is_seen_to_its_end_has_bounds() -> None:
    values = changes(8, 57_265, 0.06, 0.09)
    got = bounds(values, 57_265, [1000, 57_264, 57_265], 0.05)
    assert got[2].tolist() == [values.mean()] * 2
    assert got[1] == pytest.approx([values.mean()] * 2, abs=2e-5)
    assert got[0, 0] < -0.04 < -0.02 < got[0, 1]
    evidence = log_evidence(values, 57_265, -0.02, "at least", [57_265])
    assert np.isinf(evidence[0])


def test_what_is_no_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 values of 2 samples"):
        bounds([0, 0, 0], 2, [2], 0.05)
    with pytest.raises(ValueError, match="values are -1 to 1, got 0 to 2"):
        log_evidence([0, 2], 5, 0.0, "at most", [2])


# --- by simulation


def shuffled(seed: int, n: int, values: Floats) -> Floats:
    return np.random.default_rng(seed).permuted(np.broadcast_to(values, (n, len(values))), axis=1)


@pytest.mark.parametrize(("gained", "lost"), [(0.04, 0.06), (0.1, 0.12), (0.0, 0.02)])
def test_a_true_null_is_rejected_as_seldom_as_promised(gained: float, lost: float) -> None:
    n, size = 1500, 200
    values = changes(0, size, gained, lost)
    bets = spread_bets(size, 0.02)
    noise = 4 * math.sqrt(0.05 * 0.95 / n)
    for sign in (1, -1):  # the null holds with nothing to spare
        drawn = sign * shuffled(8, n, values)
        wealth = go_on(begin((n,), bets), drawn, size, sign * float(values.mean()), bets)
        assert (wealth.best >= math.log(20)).mean() < 0.05 + noise


def test_bounds_hold_the_mean_at_all_looks_together() -> None:
    values = changes(0, 300, 0.05, 0.1)
    looks = range(10, 300, 10)
    missed = sum(
        not (got[:, 0].max() <= values.mean() <= got[:, 1].min())
        for drawn in shuffled(9, 100, values)
        for got in [bounds(drawn, 300, looks, 0.2)]
    )
    assert missed / 100 < 0.2
