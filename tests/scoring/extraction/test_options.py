import re

import pytest

from vipbench.scoring.extraction import options as options_module
from vipbench.scoring.extraction.options import CONFLICT, Read, compile_options

CUPS = compile_options({"A": "the red cup", "B": "dog", "C": "a hot dog", "D": ""})
IMAGES = compile_options({"A": "the second image", "B": "the third image"})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("(A)", Read("A")),
        ("option b.", Read("B")),
        ("The red cup!", Read("A")),
        ("red cup", Read("A")),
        ("A. the red cup", Read("A")),
        ("A. dog", CONFLICT),
        ("D. anything", None),
        ("E", None),
        ("E. dog", Read("B")),
        ("a cup", None),
    ],
)
def test_a_passage_that_is_an_option(text: str, read: Read | None) -> None:
    assert CUPS.read(text) == read


def test_a_longer_text_hides_one_inside_it() -> None:
    assert CUPS.by_text("It is a hot dog.") == {"C"}
    assert compile_options({"A": "hot dog", "B": "big dog"}).by_text("hot dog, big dog") == {
        "A",
        "B",
    }


def test_an_ordinal_may_share_its_noun() -> None:
    assert IMAGES.by_text("the second and third images") == {"A", "B"}
    assert IMAGES.by_text("second") == set()


@pytest.mark.parametrize(
    ("passage", "letters", "odd"),
    [
        ("point A and (B)", "AB", ""),
        ("A and B are alike", "AB", ""),
        ("(E) or 'F'", "", "EF"),
        ("the answer is b.", "B", ""),
        ("A man", "", ""),
        ("the first image (A)", "", ""),
    ],
)
def test_letters_that_are_named(passage: str, letters: str, odd: str) -> None:
    found = IMAGES.mentions(passage)
    assert found == (frozenset(letters), frozenset(odd))


def test_numbers_are_read_by_value() -> None:
    options = compile_options({"A": "2", "B": "twelve"})
    assert options.by_text("two dogs") == {"A"}
    assert options.by_text("12 dogs") == {"B"}
    assert options.by_text("2 of 3 dogs") == set()
    assert options.read_text("12") == "B"


def test_a_text_that_is_cut_off() -> None:
    assert IMAGES.cut_off("The second") == "A"
    assert IMAGES.cut_off("the") is None


def test_an_option_of_which_only_the_letter_is_known() -> None:
    assert CUPS.read_unknown("(D) 3") == "D"
    assert CUPS.read_unknown("(A) 3") is None
    assert CUPS.read_unknown("(D) not (B)") is None


def test_a_pattern_is_compiled_for_a_text_that_may_stand_there_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ("the red cup", "the second image", "skis", "no", "a hot-dog stand", "caf\u00e9", "six")
    passages = (
        "The RED   cup",
        "the red cupboard",
        "the second or third image",
        "It is no.",
        "\u017fKI\u017f",  # long s, Kelvin
        "s\u212a\u0130s, and s\u0131x",
        "a hot dog stand",
        "CAF\u00c9",
        "",
    )
    for passage in passages:
        options = compile_options(dict(zip("ABCDEFG", texts, strict=True)))
        found = {
            letter
            for letter in options.texts
            if (pattern := options.pattern(letter)) and pattern.search(passage)
        }
        assert options.by_text(passage) == found, passage
    compiled: list[str] = []
    kept = options_module._pattern

    def counted(text: str) -> re.Pattern[str]:
        compiled.append(text)
        return kept(text)

    monkeypatch.setattr(options_module, "_pattern", counted)
    options = compile_options({"A": "a bowl of cherries", "B": "a plate of figs"})
    assert options.by_text("The answer is B, since it is in front.") == frozenset()
    assert compiled == []
    assert options.by_text("A plate of figs") == {"B"}
    assert compiled == ["a plate of figs"]
