import pytest

from vipbench.endpoints.meter import Tokens
from vipbench.endpoints.replies import Reply, told_cut
from vipbench.extractor.reading import read_reply

TEXT = "There are two cats, or three."


def reply(text: str | None, finish: str = "stop") -> Reply:
    return Reply(text, finish=finish)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("B", "B"),
        (" b\n", "B"),
        ("(B)", "B"),
        ("(b).", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("```\nB\n```", "B"),
        ("<think>A? No.</think>\n\nB", "B"),
        ("A or so it seems\n</think>B", "B"),
        ("none", "none"),
        ("None.", "none"),
        ('"none"', "none"),
        ("D", None),
        ("(B", None),
        ("B or C", None),
        ("B: the cup", None),
        ("The answer is B", None),
        ("B <think>or C</think>", None),
        ("<think>B", None),
        ("", None),
        (None, None),
    ],
)
def test_a_reply_is_a_letter_or_none_as_a_whole(said: str | None, read: str | None) -> None:
    assert read_reply(reply(said), "ABC", TEXT) == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("three", "three"),
        ("Two cats.", "Two cats."),
        ("none", "none"),
        ("3", None),
        ("two dogs", None),
        ("wo cat", None),
        ("two\nthree", None),
        (" ", None),
        ("?", None),
    ],
)
def test_a_short_answer_is_words_of_the_text(said: str, read: str | None) -> None:
    assert read_reply(reply(said), (), TEXT) == read


@pytest.mark.parametrize("finish", ["length", "filter", "refusal", "tool"])
def test_what_is_not_whole_is_no_reply(finish: str) -> None:
    assert read_reply(reply("B", finish), "ABC", TEXT) is None


def test_a_reply_that_fills_its_limit_is_cut() -> None:
    full = Reply("B", finish="unknown", used=Tokens(9, 4))
    assert read_reply(told_cut(full, 4), "ABC", TEXT) is None
    assert read_reply(told_cut(full, 5), "ABC", TEXT) == "B"
