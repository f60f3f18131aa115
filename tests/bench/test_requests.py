"""What a bench asks: who gets which samples, how long answers are, larger images."""

from pathlib import Path

import numpy as np
import pytest

from vipbench.bench.requests import answer_lengths, choose, enlarge, slices, spread
from vipbench.demo.embedded import benchmark
from vipbench.images.decode import open_image
from vipbench.images.load import load_measured
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select


def test_each_way_has_its_samples_and_those_of_few_are_among_those_of_more() -> None:
    chosen = choose(2000, {"vipbench": 2000, "official": 500, "usual": 300})
    assert {way: len(indices) for way, indices in chosen.items()} == {
        "vipbench": 2000,
        "official": 500,
        "usual": 300,
    }
    assert set(chosen["usual"]) < set(chosen["official"]) < set(chosen["vipbench"])
    assert chosen["official"] == tuple(range(0, 2000, 4))
    for tenth in range(0, 2000, 200):  # evenly
        assert sum(tenth <= index < tenth + 200 for index in chosen["usual"]) == 30
    assert choose(3, {"vipbench": 3, "usual": 9}) == {"usual": (0, 1, 2), "vipbench": (0, 1, 2)}


def test_slices_of_a_round_are_of_one_size_and_spread_over_all() -> None:
    assert slices(range(7), 3) == [(0, 3, 6), (1, 4), (2, 5)]
    assert slices(range(7), None) == slices(range(7), 7) == [tuple(range(7))]


def test_samples_that_have_something_in_common_are_taken_whole() -> None:
    assert spread(12, 4, 3) == (0, 1, 2, 6, 7, 8)
    assert spread(10, 99, 3) == tuple(range(10))
    assert choose(12, {"vipbench": 12, "official": 4}, 3)["official"] == (0, 1, 2, 6, 7, 8)
    assert slices(range(12), 6, 3) == [(0, 1, 2, 6, 7, 8), (3, 4, 5, 9, 10, 11)]
    assert slices(range(6), 2, 3) == [(0, 1, 2), (3, 4, 5)]


def test_open_answers_have_the_lengths_of_the_released_ones() -> None:
    first = choose(1250, {"vipbench": 1250, "official": 120})["official"]
    lengths = answer_lengths(1250, first, "open")
    assert lengths == answer_lengths(1250, first, "open")
    assert np.mean(lengths) == pytest.approx(28, abs=0.5)
    assert np.median(lengths) == pytest.approx(22, abs=1)
    assert min(lengths) >= 7
    assert 300 <= max(lengths) <= 310
    # so have those that the slowest way is asked
    few = [lengths[index] for index in first]
    assert np.mean(few) == pytest.approx(28, abs=1)
    assert np.quantile(few, 0.95) == pytest.approx(49, abs=8)
    assert answer_lengths(3, (), 5) == [5, 5, 5]


def test_an_enlarged_image_has_its_marks_where_they_were(tmp_path: Path) -> None:
    chosen = select(tasks=["visual7w_pointing"], styles="demo", data=benchmark())
    (trial,), _ = make_trials(chosen, list, seed=0, limit=1)
    images = chosen.tasks[0].source.images
    request = trial.request
    assert request is not None
    larger = enlarge(request, images, tmp_path, 512)
    before, after = load_measured(request, images, 56), load_measured(larger, tmp_path, 56)
    assert open_image(tmp_path / larger.image)[0].width == 512
    for a, b in zip(before.visibility, after.visibility, strict=True):
        assert b.fitted_px == pytest.approx(a.fitted_px, rel=0.3)
    moved = np.abs(before.pixels.astype(int) - after.pixels.astype(int))
    unmarked = request.model_copy(update={"visual_prompts": ()})
    other = np.abs(
        before.pixels.astype(int) - load_measured(unmarked, images, 56).pixels.astype(int)
    )
    assert moved.mean() < other.mean() / 2
    assert enlarge(request, images, tmp_path, 512) == larger  # again, from the file that is there
