"""Baselines answer by rule, from the trials of the run."""

from collections import Counter

import pytest

from vipbench.errors import RunnerError
from vipbench.runners.baseline import make_baseline
from vipbench.runners.contract import reads_images, settings_of
from vipbench.schema import Kind, Request, Trial


def trial(
    name: str, target: str, *, task: str = "t", kind: Kind = "choice", options: str = "ABCD"
) -> Trial:
    request = Request(
        task=task, style="s", id=name, turns=("?",), image="x", fit="pad", max_new_tokens=1,
        options=tuple(options) if kind == "choice" else (), key=f"key {name}",
    )  # fmt: skip
    return Trial(
        task=task, style="s", id=name, request=request, kind=kind, target=target, group="g", tags={}
    )


def answers(name: str, trials: list[Trial], seed: int = 0) -> list[str | None]:
    runner = make_baseline(name, trials, seed)
    requests = [trial.request for trial in trials if trial.request]
    return [response.text for response in runner.generate(requests, [])]


def test_oracle_gives_the_target_of_each_task() -> None:
    trials = [trial("1", "C"), trial("2", "A"), trial("1", "two", task="u", kind="short_answer")]
    assert answers("oracle", trials) == ["C", "A", "two"]


def test_oracle_gives_graded_targets_as_plain_text() -> None:
    target = "16.5<OR>16.50<AND> a red car <OR>car"
    assert answers("oracle", [trial("1", target, kind="graded")]) == ["16.5 a red car"]
    assert answers("oracle", [trial("1", "cat", kind="graded")]) == ["cat"]
    assert answers("oracle", [trial("1", "<OR>cat", kind="graded")]) == ["cat"]


def test_white_space_around_a_target_makes_it_no_other_answer() -> None:
    texts = ["red\n", " red", "blue", "blue", "red "]
    trials = [trial(str(i), text, kind="short_answer") for i, text in enumerate(texts)]
    assert set(answers("majority", trials)) == {"red"}
    assert set(answers("random", trials)) <= {"red", "blue"}


def test_constant_is_a() -> None:
    assert (
        answers("constant", [trial("1", "C"), trial("2", "no", kind="short_answer")]) == ["A"] * 2
    )


def test_random_is_uniform_and_keyed_by_seed_and_request() -> None:
    trials = [trial(str(i), "A") for i in range(800)]
    first = answers("random", trials)
    counts = Counter(first)
    assert set(counts) == set("ABCD")
    assert all(150 < n < 250 for n in counts.values())  # 200 expected, 12 the standard deviation
    assert answers("random", trials[::-1])[::-1] == first
    assert answers("random", trials, seed=1) != first


def test_random_keeps_to_the_options_of_the_request() -> None:
    assert set(answers("random", [trial(str(i), "A", options="AB") for i in range(50)])) == {
        "A",
        "B",
    }


def test_random_open_answers_are_distinct_targets_of_the_task() -> None:
    targets = ["yes"] * 90 + ["no"] * 9 + ["maybe"]
    trials = [trial(str(i), t, kind="short_answer") for i, t in enumerate(targets)]
    trials += [trial("x", "elsewhere", task="u", kind="short_answer")]
    counts = Counter(answers("random", trials)[:-1])
    assert set(counts) == {"yes", "no", "maybe"}
    assert min(counts.values()) > 15  # uniform over the three, not as frequent as they are


def test_majority_is_the_most_frequent_target_of_the_task() -> None:
    trials = [trial("1", "B"), trial("2", "C"), trial("3", "C"), trial("1", "A", task="u")]
    assert answers("majority", trials) == ["C", "C", "C", "A"]


def test_majority_breaks_ties_by_text() -> None:
    assert answers("majority", [trial("1", "D"), trial("2", "B"), trial("3", "C")]) == ["B"] * 3


def test_baselines_need_no_images_and_say_what_they_are() -> None:
    for name in ("oracle", "constant", "random", "majority"):
        runner = make_baseline(name, [trial("1", "A")], seed=3)
        assert runner.image_size is None
        assert not reads_images(runner)
        assert settings_of(runner, "x").model == name
    assert settings_of(make_baseline("random", [], 3), "x").decoding == "seed 3"


@pytest.mark.parametrize("name", ["oracle", "majority"])
def test_a_request_of_another_run_is_an_error(name: str) -> None:
    runner = make_baseline(name, [], 0)
    request = trial("7", "A").request
    assert request
    with pytest.raises(RunnerError, match=f"runner {name}: no trial for .*t"):
        runner.generate([request], [])


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(RunnerError, match="did you mean 'majority'"):
        make_baseline("majorty", [], 0)


def test_samples_that_cannot_be_asked_are_no_answers() -> None:
    failed = [
        Trial(
            task="t", style="s", id=f"failed {i}", error="no image", kind="choice", target="",
            group="g", tags={},
        )
        for i in range(9)
    ]  # fmt: skip
    open_question = trial("2", "two", task="t", kind="short_answer")
    trials = [*failed, trial("1", "C"), open_question]
    assert answers("majority", trials) == ["C", "C"]
    assert set(answers("random", [*failed, open_question])) == {"two"}
