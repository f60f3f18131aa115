from collections.abc import Mapping

import pytest

from vipbench.scoring.extraction import stated
from vipbench.scoring.extraction.stated import COUNTS, CUPS, FOUR, IMAGES, YES_NO


@pytest.mark.parametrize(("text", "options", "answer"), stated.EXAMPLES)
def test_examples(text: str, options: Mapping[str, str], answer: str | None) -> None:
    assert stated.extract(text, options) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("b", "B"),
        ("B.", "B"),
        ("(b) the cup", "B"),
        ("B: the cup", "B"),
        ("B, since it is red", "B"),
        ("A\nThe second cup stands nearer to the edge. The third one does not.", "A"),
        ("A\nbecause it is red", "A"),
        ("The answer is B.", "B"),
        ("The correct answer is option (C)", "C"),
        ("I would say: answer: D", "D"),
        ("Option A", "A"),
        ("B. The answer is B.", "B"),
        # An article is no letter, and two letters are no answer.
        ("A man is here", None),
        ("the answer is a dog", None),
        ("The answer is A dog", None),
        ("The answer is A's", None),
        ("B. The answer is C.", None),
        ("A or B", None),
        ("E.", None),
        ("Apple", None),
        ("", None),
        ("answer: b", "B"),
        ("The answer is: (b)", "B"),
        ("**Answer:** B", "B"),
        ("ANSWER: B", "B"),
        ('{"answer": "C"}', "C"),
        ("$\\boxed{\\text{B}}$", "B"),
        ("B, not A", "B"),
        ("A and not B", "A"),
        ("I don't think it is A.", None),
        ("A is wrong. B is right.", "B"),
        ("C seems correct", "C"),
        ("Is it A?", None),
        ("I choose B because A is too dark.", "B"),
        ("Both A and B", None),
        ("None of the above", None),
        ("I cannot answer.", None),
        ("Option (B) is incorrect.", None),
        ("Initially I thought A, but the answer is B", "B"),
        ("So the answer is A? No, B.", None),
        ("B\n\nA", None),
        ("If it were dark, the answer would be:\nB. the dog", None),
        ("If it were dark, the answer would be:\n\nB\n\nBut it is not.", None),
        ("\uff22", "B"),
        ("\u24b7", "B"),
        ("A. cat\nB. dog\n\nThe answer is B", "B"),
        # A last sentence that leaves two of them takes an answer back; one before it does not.
        ("B\n\nSo the answer is A or C.", None),
        ("B. It is red. So the answer is A or C.", None),
        ("B. The answer is A or C. It is red.", "B"),
        ("The answer is A or C. It is dark.\n\nB", "B"),
        # What a sentence says to be a letter, it says, whatever it denies before.
        ("The one without a handle is (C).", "C"),
        ("The number of dogs that do not run is (B) 3.", "B"),
        ("The one that is not (E) is (C).", None),
    ],
)
def test_without_the_texts_of_the_options(text: str, answer: str | None) -> None:
    assert stated.extract(text, FOUR) == answer


@pytest.mark.parametrize(
    ("text", "options", "answer"),
    [
        ("The blue cup is on the table while the red cup is held.", CUPS, None),
        ("the answer is the blue cup, (A)", CUPS, None),
        ("E. a dog", CUPS, "C"),
        # What follows an answer may claim another one; what comes before it may not.
        ("The answer is (A). (B) is the one.", CUPS, None),
        ("The answer is (A). (B) is the one. It is dark.", CUPS, None),
        ("The answer is (A). It is dark. (B) is the one.", CUPS, None),
        ("It is dark. (B) is the one. The answer is (A).", CUPS, "A"),
        ("The answer is (A). It is dark.", CUPS, "A"),
        # What is announced is not what stands in front of it.
        ("(B) is closest but the answer is (A).", CUPS, None),
        ("(B) is closer, but the correct answer is (A).", CUPS, None),
        ("Here (B) is closer to us, but the correct answer is (A).", CUPS, "A"),
        ("C is larger than B, so the answer is (A).", CUPS, "A"),
        ("B is the best choice because A is dark.", CUPS, "B"),
        ("The second", IMAGES, "A"),  # cut off
        ("Hence the second image, not the third image.", IMAGES, "A"),
        (
            "Of the choices (A, B), the one that fits is:\n\n(B) the third image\n\nIt is dark.",
            IMAGES,
            "B",
        ),
        ("It is more appropriate to put the second image there.", IMAGES, "A"),
        ("I would say the second image. However, I cannot determine it.", IMAGES, None),
        ("The answer is the second image. It is impossible to say for certain.", IMAGES, None),
        ("There are 12 dogs.", COUNTS, "C"),
        ("(B) 12", COUNTS, None),
        ("1 or 2", COUNTS, None),
        ("There are 3 dogs.", COUNTS, None),
        ("Yes, it is.", YES_NO, "A"),
        ("It is.", YES_NO, "A"),
        ("yes and no", YES_NO, None),
        ("There is no dog.", YES_NO, None),
        ("Yes, the answer is B", YES_NO, None),
        ("(A) No", YES_NO, None),
    ],
)
def test_with_the_texts_of_the_options(
    text: str, options: Mapping[str, str], answer: str | None
) -> None:
    assert stated.extract(text, options) == answer


def test_a_pair_that_a_third_option_is_said_of_is_no_answer() -> None:
    options = {"A": "A is darker", "B": "B is darker", "C": "About the same"}
    text = "(C) About the same\n\nTherefore, the colour of the points A and B is about the same."
    assert stated.extract(text, options) == "C"
    assert stated.extract("A is", options) == "A"
    assert stated.extract("B lies further back, so it is lit, closer to the lamp.", options) is None


def test_two_statements_are_no_answer_where_the_text_goes_on() -> None:
    options = {"A": "", "B": "", "C": ""}
    said = "The answer is (A). The answer is (B)."
    assert stated.extract(said, options) == "B"
    assert stated.extract(f"{said} The light is dim. It was a hard one.", options) is None


@pytest.mark.parametrize(
    "text",
    [
        "I cannot answer. Still, the correct answer is option (B).",
        "The answer is:\n\nA\n\nSo the answer is B.",
    ],
)
def test_only_what_follows_the_last_statement_takes_it_back(text: str) -> None:
    assert stated.extract(text, FOUR) == "B"


def test_three_answers_are_no_answer_wherever_they_stand() -> None:
    said = "The answer is A. The answer is B. The answer is C."
    assert stated.extract(said, FOUR) is None
    assert stated.extract("The answer is A. The answer is C.", FOUR) == "C"


def test_a_correction_that_names_the_other_option_stands() -> None:
    assert stated.extract("The answer is A. Actually, the answer is B, not A.", FOUR) == "B"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Wait, the answer is B, not option A.", FOUR),
        ("Actually, the answer is the third image, not the second image.", IMAGES),
        ("Wait, the answer is the blue cup and not the red cup.", CUPS),
    ],
)
def test_what_states_an_answer_takes_none_back(text: str, options: Mapping[str, str]) -> None:
    assert stated.extract(text, options) == "B"


def test_a_letter_that_is_no_option_behind_no_option_is_no_answer() -> None:
    assert stated.extract("The answer is the house (E).", FOUR) is None
    assert stated.extract("The most similar is the big house (F).", IMAGES) is None
