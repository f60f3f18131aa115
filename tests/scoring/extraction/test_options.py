import pytest

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
