"""Which requests a mix asks, and what they have in common."""

import itertools
from collections import Counter
from functools import cache

import pytest

from vipbench.bench.mix import (
    HEADLINE,
    MIX_TASKS,
    MIXES,
    about_one_picture,
    check_mix,
    whole_images,
)
from vipbench.demo.embedded import benchmark
from vipbench.errors import RunnerError
from vipbench.images.load import load_measured
from vipbench.schema import Trial
from vipbench.trials.make import make_trials
from vipbench.trials.selection import Selection, select


@cache
def made() -> tuple[Selection, tuple[Trial, ...]]:
    selection = select(
        suite="demo", tasks=MIX_TASKS, styles=",".join(MIXES["sweep"]), data=benchmark()
    )
    trials, _ = make_trials(selection, tuple, seed=0, limit=40)
    return selection, trials


def test_a_sweep_asks_each_sample_in_all_styles_one_after_another() -> None:
    _, trials = made()
    chosen = whole_images(trials, 60)
    rows = [chosen[i : i + 6] for i in range(0, len(chosen), 6)]
    assert 60 <= len(chosen) <= 72
    for row in rows:
        assert tuple(trial.style for trial in row) == MIXES["sweep"]
        assert len({trial.id for trial in row}) == 1
    # an image is asked about with all its questions, or not at all
    asked = Counter(trial.group for trial in chosen)
    assert all(n == sum(trial.group == group for trial in trials) for group, n in asked.items())
    groups = [row[0].group for row in rows]
    assert [group for group, _ in itertools.groupby(groups)] == list(dict.fromkeys(groups))


def test_headline_and_orders_of_the_options_share_a_picture_and_wrong_marks_none() -> None:
    selection, trials = made()
    images = selection.images[MIX_TASKS[0]]
    first = [trial.request for trial in whole_images(trials, 6)[:6]]
    digests = {
        request.style: load_measured(request, images, 56).digest
        for request in first
        if request is not None
    }
    assert digests[HEADLINE] == digests["permuted"] == digests["rotated_1"]
    assert len({digests[name] for name in (HEADLINE, "none", "blind", "wrong")}) == 4


def test_questions_about_a_picture_have_their_own_words() -> None:
    selection, trials = made()
    images = selection.images[MIX_TASKS[0]]
    headline = [trial for trial in trials if trial.style == HEADLINE][:20]
    chosen = about_one_picture(headline, 6)
    assert [trial.id for trial in chosen] == [trial.id for trial in headline[:18]]
    for i in range(0, 18, 6):
        requests = [trial.request for trial in chosen[i : i + 6] if trial.request is not None]
        assert len({load_measured(request, images, 56).digest for request in requests}) == 1
        assert len({request.turns for request in requests}) > 1
    pictures = {trial.request.image for trial in chosen if trial.request is not None}
    assert len(pictures) == 3


def test_a_task_without_options_is_refused() -> None:
    check_mix("sweep", {"a": MIXES["sweep"]})
    with pytest.raises(RunnerError, match=r"--mix sweep: .* under permuted, rotated_1 · expected"):
        check_mix("sweep", {"open": MIXES["sweep"][:4]})
