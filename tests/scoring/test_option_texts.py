import pytest

from vipbench.schema import Request
from vipbench.scoring.option_texts import option_texts


def request(*turns: str, options: tuple[str, ...] = ("A", "B")) -> Request:
    return Request(
        task="t",
        style="s",
        id="1",
        turns=turns,
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        options=options,
        key="k",
    )


@pytest.mark.parametrize(
    ("turns", "texts"),
    [
        (("What?\nA. a cat\nB. a dog\nAnswer with the letter.",), ["a cat", "a dog"]),
        (("What?\n(A) a cat\n(B) a dog",), ["a cat", "a dog"]),
        (("A. old\nB. older\nWhy?\nA. a cat\nB. a dog",), ["a cat", "a dog"]),
        (
            ("A. old\nB. older", "A", "A. a cat\nof two lines\nB. a dog"),
            ["a cat\nof two lines", "a dog"],
        ),
        (("What is it?",), ["", ""]),
        (("A. a cat",), ["", ""]),
    ],
)
def test_texts_are_those_of_the_last_list(turns: tuple[str, ...], texts: list[str]) -> None:
    assert option_texts(request(*turns)) == dict(zip("AB", texts, strict=True))


def test_an_open_question_has_none() -> None:
    assert option_texts(request("A. a\nB. b", options=())) == {}
