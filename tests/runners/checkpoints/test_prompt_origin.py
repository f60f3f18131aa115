"""Whose prompt format is taken, and what of the checkpoint contradicts it."""

from typing import Any

import pytest

from vipbench.runners.checkpoints.prompt_origin import contradictions, find_origin, for_checkpoint

HINT = ("vipbench.json of x", "chat_template")
NO_HINT = ("vipbench.json of x", None)
LLAMA_3 = ("vipbench.json of x", "llava_llama_3")
VICUNA = ("vipbench.json of x", "llava_v1")
SUITE = ("paper", "llava_v1")
NO_SUITE = ("custom", None)
DEFAULT = ("default of runner y", "hf")


@pytest.mark.parametrize(
    ("asked", "suite", "hint", "expected"),
    [
        ("hf", SUITE, HINT, ("hf", "--prompt-format")),
        (None, SUITE, HINT, ("llava_v1", "suite paper")),
        (None, NO_SUITE, HINT, ("chat_template", "vipbench.json of x")),
        (None, NO_SUITE, NO_HINT, ("hf", "default of runner y")),
        # Of the conversations of the official code, the scripts take the checkpoint's.
        (None, SUITE, LLAMA_3, ("llava_llama_3", "vipbench.json of x")),
        (None, SUITE, VICUNA, ("llava_v1", "suite paper")),
        (None, ("mine", "hf"), LLAMA_3, ("hf", "suite mine")),
        ("llava_v1", SUITE, LLAMA_3, ("llava_v1", "--prompt-format")),
    ],
)
def test_the_first_that_says_so_is_taken(asked: Any, suite: Any, hint: Any, expected: Any) -> None:
    assert find_origin(asked, suite, hint, DEFAULT) == expected  # type: ignore[arg-type]


def test_a_suite_s_format_is_the_checkpoint_s_where_both_are_official() -> None:
    assert for_checkpoint("llava_v1", "llava_phi_3") == "llava_phi_3"
    assert for_checkpoint("llava_v1", "chat_template") == "llava_v1"
    assert for_checkpoint("hf", "llava_phi_3") == "hf"
    assert for_checkpoint("llava_v1", None) == "llava_v1"
    assert for_checkpoint(None, "llava_phi_3") is None


def test_only_a_default_contradicts_the_checkpoint() -> None:
    faults: Any = (HINT, ("its template writes\nanother",), ("token 4 is text",))
    asked = find_origin("hf", SUITE, HINT, DEFAULT)  # type: ignore[arg-type]
    assert contradictions(asked, *faults) == ("prompt: token 4 is text",)
    suite = find_origin(None, SUITE, HINT, DEFAULT)  # type: ignore[arg-type]
    assert contradictions(suite, *faults) == (
        "prompt: token 4 is text",
        "prompt: format llava_v1 (suite paper) is taken, but vipbench.json of x says "
        r"chat_template, and its template writes\nanother · say which is meant by --prompt-format",
    )
    own = find_origin(None, NO_SUITE, HINT, DEFAULT)  # type: ignore[arg-type]
    assert contradictions(own, HINT, (), ()) == ()  # type: ignore[arg-type]
