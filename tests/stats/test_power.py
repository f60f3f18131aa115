"""Power: what is promised against the test that the gate uses."""

import math

import numpy as np
import pytest

from vipbench.stats.comparisons import paired
from vipbench.stats.power import Design


@pytest.mark.parametrize("discordance", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("drop", [0.02, 0.04])
def test_power_is_as_promised(discordance: float, drop: float) -> None:
    n = Design(0, discordance).samples_for(drop)
    rng = np.random.default_rng(int(1000 * discordance + 100 * drop))
    gain, loss = (discordance - drop) / 2, (discordance + drop) / 2
    runs, found = 500, 0
    for gained, lost, _ in rng.multinomial(n, [gain, loss, 1 - gain - loss], runs):
        base = np.zeros(n)
        new = np.zeros(n)
        base[:lost], new[lost : lost + gained] = 1, 1
        found += paired(base.tolist(), new.tolist(), range(n)).p_below() < 0.05
    assert found / runs == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / runs))


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05, 0.6), (0.05, 0.9), (0.01, 0.8)])
@pytest.mark.parametrize("discordance", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("share", [1.0, 0.95, 0.8])
def test_power_is_kept_where_nearly_every_change_is_a_loss(
    alpha: float, power: float, discordance: float, share: float
) -> None:
    drop = discordance * share
    n = Design(0, discordance, 1.0, alpha, power).samples_for(drop)
    gain, loss = (discordance - drop) / 2, (discordance + drop) / 2
    rng = np.random.default_rng(11)
    runs, found = 4000, 0
    draws = rng.multinomial(n, [gain, loss, 1 - gain - loss], runs)
    for (gained, lost, _), times in zip(*np.unique(draws, axis=0, return_counts=True), strict=True):
        base, new = np.zeros(n), np.zeros(n)
        base[:lost], new[lost : lost + gained] = 1, 1
        found += times * (paired(base.tolist(), new.tolist(), range(n)).p_below() < alpha)
    assert found / runs > power - 3 * math.sqrt(power * (1 - power) / runs)
    smallest = Design(n, discordance, 1.0, alpha, power).smallest_drop()
    assert smallest is not None
    assert smallest <= drop * (1 + 1e-9)


def test_power_of_clustered_samples_is_as_promised() -> None:
    # Pairs of questions that change together: the design effect is 2.
    design = Design(0, 0.2, design_effect=2.0)
    n = design.samples_for(0.04)
    rng = np.random.default_rng(7)
    runs, found = 400, 0
    for _ in range(runs):
        change = np.repeat(rng.choice([1, -1, 0], n // 2, p=[0.08, 0.12, 0.8]), 2)
        base, new = (change < 0).astype(float), (change > 0).astype(float)
        got = paired(base.tolist(), new.tolist(), [i // 2 for i in range(len(change))])
        found += got.p_below() < 0.05
    assert found / runs == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / runs))


def test_the_smallest_drop_is_the_inverse_of_the_samples_needed() -> None:
    for n in (100, 1000, 20_000):
        drop = Design(n, 0.15, 1.3).smallest_drop()
        assert drop is not None
        needed = Design(0, 0.15, 1.3).samples_for(drop * (1 + 1e-9))
        assert needed in (n, n - 1)


def test_a_drop_larger_than_the_discordance_changes_as_much_itself() -> None:
    few = Design(60, 0.01).smallest_drop()
    assert few == Design(60, 0.05).smallest_drop()
    # Five lost are a finding; 6.7 of 60 have to be expected for five or more to be likely enough.
    assert few == pytest.approx(6.7 / 60, rel=0.03)
    assert Design(0, 0.05).samples_for(0.1) == Design(0, 0.1).samples_for(0.1)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_next_to_no_samples_find_no_drop(n: int) -> None:
    assert Design(n, 0.05).smallest_drop() is None


@pytest.mark.parametrize("drop", [0, -0.1, 1.1])
def test_no_samples_are_needed_for_what_is_no_drop(drop: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Design(0, 0.05).samples_for(drop)
