from vipbench.scoring.extraction.passage import first_sentence, last_sentence, split


def test_a_text_in_lines_and_sentences() -> None:
    passage = split("One. Two?\n\nThree")
    assert passage.lines == ("One. Two?", "Three")
    assert (passage.sentences, passage.origin) == (("One.", "Two?", "Three"), (0, 0, 1))
    assert not passage.enumerated
    assert [passage.is_whole(place) for place in range(3)] == [True, True, False]


def test_a_line_that_announces_takes_the_next_one() -> None:
    passage = split("So. The answer is:\n(B)")
    assert passage.sentences == ("So.", "The answer is: (B)")
    assert passage.completed == {1: ("So. The answer is:", "(B)")}


def test_options_one_below_the_other_are_a_list() -> None:
    passage = split("The options are:\n(A) cat\n(B) dog\nI see a dog.")
    assert passage.enumerated
    assert passage.in_list == (False, True, True, False)
    assert [passage.is_listed(place) for place in range(4)] == [True, True, True, False]
    assert passage.completed == {}


def test_a_last_sentence_behind_a_list_concludes() -> None:
    passage = split("(A) too dark.\n(B) It fits. So it is (B).")
    assert not passage.is_listed(2)
    assert passage.is_listed(1)


def test_the_last_sentence() -> None:
    assert last_sentence("One. If so, two is:") == "If so, two is:"
    assert last_sentence("") == ""


def test_the_first_sentence() -> None:
    assert first_sentence("It is. That was") == "It is."
    assert first_sentence("") == ""
