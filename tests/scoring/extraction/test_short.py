import pytest

from vipbench.scoring.extraction import short


@pytest.mark.parametrize(
    ("text", "target", "answer", "right"),
    [
        *short.EXAMPLES,
        ("two", "2", "2", True),
        ("2 people", "2", "2", True),
        ("There are two of them.", "2", "2", True),
        ("12", "2", "12", False),
        ("one", "2", "1", False),
        ("The red", "red", "The red", True),
        ("red car", "red", "red car", False),
        ("...", "red", "...", False),
        ("2-3", "2", None, False),
        ("four or five", "4", None, False),
        ("There are 12 apples (a dozen).", "12", "12", True),
        ("The answer is 3 because 1+2=3", "3", "3", True),
        ("There are two: one red and one blue.", "2", None, False),
        ("1. cat\n2. dog\nSo there are 2.", "2", "2", True),
        ("None.", "0", "0", True),
        ("There aren't any.", "0", "0", True),
        ("21", "twenty-one", "21", True),
        ("1,000", "1000", "1000", True),
        ("I don't know.", "3", None, False),
        ("No, there isn't.", "no", "no", True),
        ("They are.", "yes", "yes", True),
        ("The answer is no.", "no", "no", True),
        ("Not sure", "yes", None, False),
        ("It's a dog, not a cat", "dog", None, False),
        ("I cannot tell the colour.", "red", None, False),
        ("", "red", None, False),
        ("<think>red", "red", None, False),
    ],
)
def test_short_answers(text: str, target: str, answer: str | None, right: bool) -> None:
    read = short.read(text, target)
    assert read == answer
    assert (read is not None and short.matches(read, target)) is right


@pytest.mark.parametrize(
    "target", ["the", "A", "+", "?!", "100 %", "\u00bd", "\u4e8c", "a an", "red "]
)
def test_what_matches_strictly_matches_as_stated(target: str) -> None:
    answer = short.read(f" {target}", target)
    assert answer is not None
    assert short.matches(answer, target)
