"""What all commands share: words for wrong values, variables, and help that is whole."""

import pytest

from tests.cli.conftest import Vipbench


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--limit", "1.5"], "--limit '1.5': expected a whole number from 1"),
        (["run", "--workers", "9999"], "--workers '9999': expected a whole number from 1 to 1024"),
        (["run", "--seed", "x"], "--seed 'x': expected a whole number"),
        (["run", "--replay", "offical"], "--replay 'offical': expected 'official' · did you mean"),
        (["export", "run", "cvs", "-o", "x"], "FORMAT 'cvs': expected 'answers', "),
        (["render", "vcr_qa", "--n", "many"], "--n 'many': expected a whole number from 1"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    ran = vipbench(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {said}")
    assert "Input should" not in ran.err
