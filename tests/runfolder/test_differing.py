"""Differences between runs in words that need no knowledge of the files."""

import pytest

from vipbench.runfolder.differing import in_words, told


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ("settings.weights: aa → bb", "weights: aa → bb"),
        ("settings.prompt_format: hf → llava_v1", "prompt format: hf → llava_v1"),
        ("settings.endpoint.max_tokens: 3 → 4", "endpoint max tokens: 3 → 4"),
        ("settings.attention: none → eager", "attention: none → eager"),
        ("requests.vcr_qa: aa → bb", "requests of vcr_qa: aa → bb"),
        ("fits.own: pad → crop", "fit of own: pad → crop"),
        ("tasks.own: 1 → 2", "version of own: 1 → 2"),
        ("styles.own.size_0.2.alpha: 1 → 2", "style size_0.2.alpha of own: 1 → 2"),
        ("limit: none → 5", "limit: none → 5"),
        ("model: a: b → c", "model: a: b → c"),
    ],
)
def test_a_field_is_told_in_plain_words(difference: str, words: str) -> None:
    assert in_words(difference) == words


def test_imported_answers_are_not_called_weights() -> None:
    assert told(["settings.weights: aa → bb"], "answers") == "answers: aa → bb"


def test_a_style_that_one_run_lacks_is_one_difference() -> None:
    found = ["seed: 0 → 1", *(f"styles.own.none.{key}: none → x" for key in ("kind", "name", "x"))]
    assert told(found) == "seed: 0 → 1; style none of own: in one of them only"


def test_eight_are_named_and_the_others_counted() -> None:
    found = [f"field{n}: 0 → 1" for n in range(10)]
    assert told(found[:8]) == "; ".join(found[:8])
    assert told(found) == "; ".join(found[:8]) + "; and 2 more"
    assert told([]) == ""
