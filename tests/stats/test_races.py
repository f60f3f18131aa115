"""Races against what the whole says, and against the rules written out one sample at a time."""

import math

import numpy as np
import pytest

from tests.sequential_study import Field, races, scores
from tests.stats.test_sequences import one_by_one
from vipbench.stats.intervals import Floats
from vipbench.stats.races import Race, after, set_out
from vipbench.stats.sequences import MOST, spread_bets


def answers(seed: int, size: int, accuracies: list[float]) -> Floats:
    """Return right and wrong answers (samples, styles), that go together."""
    rng = np.random.default_rng(seed)
    hard = 0.7 * rng.random((size, 1)) + 0.3 * rng.random((size, len(accuracies)))
    return (hard < accuracies).astype(np.float64)


def run(scores: Floats, within: float, block: int, alpha: float = 0.05) -> Race:
    race = set_out(scores.shape[1], len(scores), within, alpha)
    for start in range(0, len(scores), block):
        if not race.ended:
            race = after(race, scores[start : start + block][:, list(race.alive)])
    return race


def test_the_best_is_found_before_all_is_asked() -> None:
    scores = answers(1, 4000, [0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.62, 0.3, 0.2])
    race = run(scores, 0.01, 100)
    assert race.ended
    assert race.alive == (6,)
    assert race.asked[6] == max(race.asked) < 2000
    assert race.asked[9] < 300


def test_equals_are_close_before_all_is_asked() -> None:
    scores = answers(2, 6000, [0.4, 0.6, 0.6, 0.2])
    race = run(scores, 0.04, 100)
    assert race.ended
    assert race.alive == (1, 2)
    assert race.asked[1] == race.asked[2] < 5000


def test_of_all_samples_the_best_are_left() -> None:
    scores = np.zeros((50, 3))
    scores[:20, 0] = scores[30:, 1] = 1
    scores[:19, 2] = 1
    race = run(np.random.default_rng(1).permutation(scores), 0.0, 7)
    assert (race.ended, race.alive) == (True, (0, 1))
    thirds = np.full((30, 2), 1 / 3)
    thirds[:, 1] = np.where(np.arange(30) % 3 == 0, 1.0, 0.0)
    assert run(thirds, 0.0, 30).alive == (0, 1)  # sums that are rounded


def test_a_race_is_a_function_of_scores_and_blocks() -> None:
    scores = answers(3, 500, [0.5, 0.55, 0.6])
    once, again = run(scores, 0.02, 50), run(scores, 0.02, 50)
    for a, b in zip(once, again, strict=True):
        assert str(a) == str(b)


def test_bets_are_on_the_leader_of_the_moment() -> None:
    scores = answers(4, 120, [0.5, 0.6, 0.7])
    race = after(set_out(3, 120, 0.0), scores[:60])
    bets = spread_bets(120)
    for style in range(3):
        capital = np.array(bets.shares)
        total = squares = 0.0
        best = 1.0
        for t in range(60):
            sums = scores[:t].sum(axis=0)
            order = sorted(range(3), key=lambda each: (-sums[each], each))
            rival = order[1] if order[0] == style else order[0]
            value = scores[t, rival] - scores[t, style]
            null = -(sums[rival] - sums[style]) / (120 - t)
            variance = (0.25 + squares - total**2 / max(1, t)) / (t + 1)
            far = np.minimum(bets.gaps * 120 / (120 - t), 2)
            stakes = np.minimum(far / (variance + far**2), MOST / (null + 1))
            capital = capital * (1 + stakes * (value - null))
            total, squares = total + value, squares + value**2
            best = max(best, float(capital.sum()))
        if style in race.alive:
            assert race.behind.best[race.alive.index(style)] == pytest.approx(math.log(best))
        else:
            assert best >= 40


def test_closeness_is_the_evidence_of_each_pair() -> None:
    scores = answers(5, 200, [0.6, 0.6])
    race = after(set_out(2, 200, 0.1), scores[:150])
    assert race.close is not None
    for first, second in ((0, 1), (1, 0)):
        values = (scores[:150, second] - scores[:150, first]).tolist()
        capital = one_by_one(values, 200, -0.1, spread_bets(200, 0.1), -1, 1)
        assert race.close.best[first, second] == pytest.approx(math.log(max(capital)), abs=1e-4)
    assert race.enough == pytest.approx(math.log(40))


def test_many_are_watched_from_a_tenth_of_the_samples_on() -> None:
    scores = answers(6, 400, [0.6] * 20)
    race = after(set_out(20, 400, 0.1), scores[:20])
    assert race.close is None
    race = after(race, scores[20:40][:, list(race.alive)])
    assert race.close is not None
    assert race.close.n == 40
    left = list(race.alive)
    difference = scores[:40, left[1]] - scores[:40, left[0]]
    assert race.close.total[0, 1] == difference.sum()
    assert race.close.squares[0, 1] == (difference**2).sum()
    assert race.enough == pytest.approx(math.log(2 * (len(left) - 1) / 0.05))


def test_a_block_that_does_not_fit_is_refused() -> None:
    race = set_out(2, 10, 0.1)
    with pytest.raises(ValueError, match="a block of"):
        after(race, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="a block of"):
        after(race, np.zeros((11, 2)))


# --- by simulation: what tests/sequential_study.py measures in full


@pytest.mark.parametrize(
    "field", [Field(2, 150, 0.03, 0.0, 0.2), Field(5, 200, 0.04, 0.06, 0.2, "behind")]
)
def test_races_contradict_the_whole_as_seldom_as_promised(field: Field) -> None:
    n = 60
    assert races(field, n, 1)["wrong"] < 0.05 + 4 * math.sqrt(0.05 * 0.95 / n)


def test_what_is_clearly_worse_is_out_early() -> None:
    found = races(Field(20, 1000, 0.03, 0.4, 0.15), 3, 2)
    assert (found["wrong"], found["draws"]) == (0, 3)
    assert found["asked"] < 0.25


def test_equal_styles_differ_as_the_study_says() -> None:
    drawn = scores(Field(6, 4000, 0.01, 0.0, 0.15), np.random.default_rng(3))
    differ = [(drawn[:, i] != drawn[:, j]).mean() for i in range(6) for j in range(i)]
    assert np.mean(differ) == pytest.approx(0.15, abs=0.01)
    assert drawn.mean() == pytest.approx(0.6, abs=0.03)
