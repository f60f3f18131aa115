"""Answers made elsewhere: each is found by its id, and each that is not is accounted for."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from vipbench.errors import DataError
from vipbench.exchange.formats import Answer, AnswerFile, Format
from vipbench.exchange.matching import Matched, Placed, digest_files, match_answers, name_model
from vipbench.schema import Request, Response, Trial

Given = tuple[str, str]


def trial(id_: str, *, boxes: Sequence[str] = (), text: str = "Which one?") -> Trial:
    request = Request(
        task="t", style="s", id=id_, turns=(text,), image="x", fit="pad", max_new_tokens=1,
        options=tuple("ABCD"), key=f"key {id_}",
    )  # fmt: skip
    return Trial(
        task="t", style="s", id=id_, request=request, kind="choice", target="A", group="g",
        choice_ids=tuple(boxes),
    )  # fmt: skip


def unusable(id_: str) -> Trial:
    return Trial(task="t", style="s", id=id_, error="no image", kind="choice", target="", group="g")


def answer_file(
    *given: Given, as_format: Format = "answers", asked: str = "", model: str = ""
) -> AnswerFile:
    answers = [
        Answer(id_, text, f"line {n}", model, asked) for n, (id_, text) in enumerate(given, start=1)
    ]
    return AnswerFile(Path("folder/a.json"), as_format, "0" * 64, tuple(answers))


def match(
    trials: Sequence[Trial], file: AnswerFile, known: Sequence[str] = (), said_by: str = ""
) -> Matched:
    ids = {each.id for each in trials} | set(known)
    return match_answers({("t", "s"): Placed(file, said_by)}, trials, {"t": ids})


def response_of(matched: Matched, id_: str) -> Response:
    return matched.responses["t", "s", id_]


def noted(matched: Matched, words: str) -> str:
    """Return the one note that holds these words."""
    [note] = [note for note in matched.notes if words in note]
    return note


def test_answers_are_found_by_id_in_any_order() -> None:
    trials = [trial("q1"), trial("q2")]
    matched = match(trials, answer_file(("q2", "B"), ("q1", " a cat ")))
    assert [response_of(matched, each.id).text for each in trials] == [" a cat ", "B"]
    [note] = matched.notes
    assert "t: 2 answers in folder/a.json (answers, sha256 000000000000)" in note
    assert "is unknown, they stand under style s" in note


def test_an_empty_text_is_an_answer() -> None:
    assert response_of(match([trial("q1")], answer_file(("q1", ""))), "q1") == Response(text="")


@pytest.mark.parametrize(("sample", "id_"), [("v7w-9", "9"), ("v1_9", "9"), ("9", "9")])
def test_a_number_may_lack_the_prefix_of_its_benchmark(sample: str, id_: str) -> None:
    assert response_of(match([trial(sample)], answer_file((id_, "B"))), sample).text == "B"


def test_a_prefix_is_not_put_before_an_id_that_is_known_as_it_is() -> None:
    matched = match([trial("9"), trial("v1_9")], answer_file(("9", "A"), ("v1_9", "B")))
    assert [response_of(matched, id_).text for id_ in ("9", "v1_9")] == ["A", "B"]


def test_a_missing_answer_is_an_error() -> None:
    matched = match([trial(f"q{n}") for n in range(6)], answer_file(("q0", "A")))
    assert response_of(matched, "q5") == Response(error="no answer in a.json", finish="error")
    assert noted(matched, "have no answer").endswith(
        "5 samples of t have no answer; each is an error ('q1', 'q2', 'q3', … and 2 more)"
    )


def test_the_same_answer_twice_counts_once() -> None:
    matched = match([trial("q1")], answer_file(("q1", "A"), ("q1", "A"), ("q1", "A")))
    assert response_of(matched, "q1").text == "A"
    assert "1 samples have the same answer more than once" in noted(matched, "counts once")


@pytest.mark.parametrize("texts", ["AB", "BA", "AAB", "BAA"])
def test_answers_that_differ_are_an_error_that_names_both(texts: str) -> None:
    matched = match([trial("q1")], answer_file(*(("q1", text) for text in texts)))
    error = response_of(matched, "q1").error
    assert error is not None
    assert f"{len(texts)} answers in a.json: {texts[0]!r} (line 1) and" in error
    assert "'A'" in error
    assert "'B'" in error
    assert "('q1')" in noted(matched, "several answers that differ")
    assert not any("counts once" in note for note in matched.notes)


def test_both_spellings_of_an_id_are_one_sample() -> None:
    matched = match([trial("v1_7")], answer_file(("7", "A"), ("v1_7", "B")))
    assert "2 answers" in str(response_of(matched, "v1_7").error)


def test_some_unknown_ids_are_counted_and_named() -> None:
    file = answer_file(("q1", "A"), ("q2", "A"), ("x", "A"), ("x", "A"))
    matched = match([trial("q1"), trial("q2")], file)
    assert "2 answers are to unknown ids" in noted(matched, "unknown ids")
    assert "('x', 'x')" in noted(matched, "unknown ids")


def test_as_many_unknown_as_known_is_no_error_and_one_more_is() -> None:
    trials = [trial("q1"), trial("q2")]
    match(trials, answer_file(("q1", "A"), ("x", "A")))
    with pytest.raises(DataError, match="2 of 3 ids match no sample of t, such as 'x'"):
        match(trials, answer_file(("q1", "A"), ("x", "A"), ("y", "A")))


@pytest.mark.parametrize(
    ("theirs", "ours", "guess"),
    [
        ("vcr-3", "val-0", "to the preprocessed file of VCR, the data are the raw validation spl"),
        ("val-3", "vcr-0", "to the raw validation split of VCR, the data are the preprocessed fi"),
        ("test-3", "val-0", "to the raw test split of VCR"),
        ("val-9", "val-0", "to another split, or to another release of the data?"),
        ("pointQA_twice-3", "2400001-0", "to the preprocessed file of PointQA"),
        ("v7w-9", "val-0", "look like answers to Visual7W; are they to another task?"),
        ("9001", "v7w-1", "to another split"),
        ("9001", "v1_1", "to another split"),
        ("9001", "val-1", "look like answers to Visual7W or ViP-Bench"),
        ("cat", "q1", "another split"),
        ("cat", "val-1", "to another task, or to another layout"),
    ],
)
def test_a_file_of_other_samples_is_refused_with_a_guess(
    theirs: str, ours: str, guess: str
) -> None:
    with pytest.raises(DataError) as caught:
        match([trial(ours)], answer_file((theirs, "A")))
    message = str(caught.value)
    assert message.startswith(f"folder/a.json: 1 of 1 ids match no sample of t, such as {theirs!r}")
    assert f"expected ids like {ours!r}" in message
    assert guess in message


def test_answers_outside_a_subset_and_to_unusable_samples_are_counted() -> None:
    file = answer_file(("q1", "A"), ("q2", "A"), ("q3", "A"))
    matched = match([trial("q1"), unusable("q2")], file, known=["q3"])
    assert set(matched.responses) == {("t", "s", "q1")}
    assert "1 samples with an answer are not asked in this run ('q3')" in noted(
        matched, "not asked"
    )
    assert "1 samples with an answer cannot be asked" in noted(matched, "cannot be asked")


BOXES = ("51", "52", "53", "54")


def test_a_box_becomes_the_letter_of_its_option() -> None:
    trials = [trial("v7w-1", boxes=BOXES), trial("v7w-2", boxes=BOXES[::-1])]
    file = answer_file(("1", "52"), ("2", "52"), as_format="visual7w")
    matched = match(trials, file)
    assert [response_of(matched, id_).text for id_ in ("v7w-1", "v7w-2")] == ["B", "C"]


def test_a_box_that_is_no_option_is_kept_and_counted() -> None:
    trials = [trial("v7w-1", boxes=BOXES), trial("v7w-2", boxes=BOXES)]
    matched = match(trials, answer_file(("1", "99"), ("2", ""), as_format="visual7w"))
    assert [response_of(matched, id_).text for id_ in ("v7w-1", "v7w-2")] == ["99", ""]
    assert "1 results choose a box that is not an option" in noted(matched, "not an option")
    assert "('v7w-1')" in noted(matched, "not an option")


def test_boxes_need_data_that_name_them() -> None:
    with pytest.raises(DataError, match="give the raw release"):
        match([trial("v7w-1")], answer_file(("1", "52"), as_format="visual7w"))


def test_letters_on_the_raw_release_are_warned_of() -> None:
    matched = match([trial("v7w-1", boxes=BOXES)], answer_file(("v7w-1", "B")))
    assert "answers to ViP-LLaVA's v7w-test.json need that file" in noted(
        matched, "letters are read"
    )


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ("What is\n  within the red rectangle?", 0),
        ("USER: <image>\nWhat is within the red rectangle? ASSISTANT:", 0),
        ("red rectangle", 0),
        ("What is within the brown ellipse?", 2),
    ],
)
def test_another_question_is_noted(asked: str, n: int) -> None:
    text = "What is within the red rectangle?"
    trials = [trial("q1", text=text), trial("q2", text=text)]
    matched = match(trials, answer_file(("q1", "A"), ("q2", "A"), asked=asked))
    found = [note for note in matched.notes if "do they belong to another split?" in note]
    assert len(found) == (n > 0)
    assert all(f"{n} of 2 answers were given to another text" in note for note in found)


def test_how_a_text_speaks_of_marks_that_nobody_knows_is_not_compared() -> None:
    marked = trial("q1").model_copy(update={"tags": {"n_marks": ("1",)}})
    for said_by, n in (("", 0), ("--style", 1)):
        file = answer_file(("q1", "A"), asked="What is in the box?")
        notes = match([marked], file, said_by=said_by).notes
        assert sum("do they belong to another split?" in note for note in notes) == n


def test_answers_to_other_parts_of_a_benchmark_are_set_aside() -> None:
    trials = [trial("val_Relative_Depth_1")]
    others = [(f"{split}_Art_Style_{n}", "A") for split in ("val", "test") for n in range(9)]
    matched = match(trials, answer_file(("val_Relative_Depth_1", "B"), *others))
    assert response_of(matched, "val_Relative_Depth_1").text == "B"
    assert "18 answers are to other splits or subtasks" in noted(matched, "18 answers")
    with pytest.raises(DataError, match="match no sample of t"):
        match(trials, answer_file(*others))


def test_the_model_is_who_the_user_or_the_file_says() -> None:
    file = answer_file(("q1", "A"), model="vip-llava-7b")
    silent = answer_file(("q1", "A"))
    assert name_model({"t": file, "u": silent}, None) == "vip-llava-7b"
    assert name_model({"t": silent}, "mine") == "mine"
    other = answer_file(("q1", "A"), ("q2", "A"), model="llava")
    assert name_model({"t": file, "u": other}, "both") == "both"
    with pytest.raises(DataError, match="no answer names its model · give --model NAME"):
        name_model({"t": silent}, None)
    with pytest.raises(DataError, match=r"2 models: 'llava' \(2\), 'vip-llava-7b' \(1\)"):
        name_model({"t": file, "u": other}, None)
    with pytest.raises(DataError, match="is empty"):
        name_model({"t": file}, " ")


def test_the_digest_is_the_files_or_that_of_all() -> None:
    file = answer_file(("q1", "A"))
    other = file._replace(digest="1" * 64)
    assert digest_files({"t": file}) == "0" * 64
    both = {digest_files({"t": file, "u": other}), digest_files({"t": other, "u": file})}
    assert len(both) == 2
    assert digest_files({"u": other, "t": file}) in both
