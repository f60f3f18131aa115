"""Visual7W: both layouts, the order of the options, and data that cannot be used."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from vipbench.data.samples import inspect_image
from vipbench.errors import DataError
from vipbench.schema import DataSource, Problem, Sample

TASK = "visual7w_pointing"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]
Write = Callable[[str, object], Path]

BOXES = [
    {"box_id": k, "name": "thing", "x": 10 * k, "y": 5, "width": 8, "height": 20}
    for k in range(1, 6)
]


def raw(**changes: object) -> dict[str, Any]:
    question = {"qa_id": 77, "type": "which", "question": "Which one?", "answer": 2,
                "multiple_choices": [1, 3, 4]} | changes  # fmt: skip
    image = {"image_id": 5, "filename": "v7w_5.jpg", "split": "test", "qa_pairs": [question]}
    return {"images": [image], "boxes": BOXES}


def record(**changes: object) -> dict[str, object]:
    boxes = [[10, 5, 18, 25], [20, 5, 28, 25], [30, 5, 38, 25], [40, 5, 48, 25]]
    return {"id": "v7w-77", "image": "v7w/v7w_5.jpg", "question": "Which one?", "bboxes": boxes,
            "answer": [20, 5, 28, 25]} | changes  # fmt: skip


def test_raw_reads_the_test_split_as_boxes_with_corners(data: Path, samples: Samples) -> None:
    found = samples(TASK, data / "visual7w")
    assert [s.id for s in found] == ["v7w-9001", "v7w-9002", "v7w-9003", "v7w-9004"]
    first = found[0]
    assert first.image == "v7w/v7w_101.jpg"
    assert first.group == found[1].group != found[2].group
    assert {r.box for r in first.regions} == {
        (4, 6, 18, 28), (24, 4, 36, 14), (38, 20, 46, 28), (-3, 24, 9, 34),
    }  # fmt: skip
    assert first.choices == ("<r0>", "<r1>", "<r2>", "<r3>")
    assert first.tags == {"question_type": ("which",)}
    for sample, right in zip(found, [(4, 6, 18, 28), (38, 20, 46, 28)], strict=False):
        assert sample.target_region == "ABCD".index(sample.target)
        assert sample.regions[sample.target_region].box == right


def test_raw_options_stand_in_a_permutation_keyed_by_the_question(
    samples: Samples, write: Write
) -> None:
    ids = [2, 1, 3, 4]
    Random("v7w-77").shuffle(ids)
    (sample,) = samples(TASK, write("raw.json", raw()))
    assert [r.box[0] / 10 for r in sample.regions] == ids
    assert sample.target == "ABCD"[ids.index(2)]
    assert sample.choice_ids == tuple(map(str, ids))


def test_raw_letters_are_spread_over_the_options(samples: Samples, write: Write) -> None:
    content = raw()
    questions = [raw(qa_id=i)["images"][0]["qa_pairs"][0] for i in range(400)]
    content["images"][0]["qa_pairs"] = questions
    targets = [s.target for s in samples(TASK, write("raw.json", content))]
    assert all(70 < targets.count(letter) < 130 for letter in "ABCD")


def test_preprocessed_keeps_the_order_and_takes_the_first_of_equal_boxes(
    data: Path, samples: Samples
) -> None:
    found = samples(TASK, data / "visual7w/v7w-test.json")
    assert all(sample.choice_ids == () for sample in found)
    assert [(s.id, s.target) for s in found] == [
        ("v7w-9001", "B"), ("v7w-9002", "A"), ("v7w-9003", "D"), ("v7w-9004", "A"),
    ]  # fmt: skip
    assert [r.box for r in found[3].regions[:2]] == [(26, 2, 36, 12)] * 2
    assert found[0].group == samples(TASK, data / "visual7w")[0].group


def test_official_text(data: Path, samples: Samples, text: Callable[..., str]) -> None:
    sample = samples(TASK, data / "visual7w/v7w-test.json")[0]
    colors = ("gold", "purple", "lime", "blue")
    assert text(sample, "official_rectangles", colors, (False, True, False, True)) == (
        "Which item can be opened?\n"
        "A. The object within gold rectangle\n"
        "B. The object within the purple rectangle\n"
        "C. The object within lime rectangle\n"
        "D. The object within the blue rectangle\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_the_format_is_told_by_the_content(samples: Samples, write: Write) -> None:
    assert samples(TASK, write("a/anything.data", raw()))[0].id == "v7w-77"
    assert samples(TASK, write("b/anything.data", [record()]))[0].target == "B"
    write("c/renamed.json", [record()])
    write("c/train_mix.json", [record(), record()])
    assert len(samples(TASK, write("c/notes.json", {"a": 1}).parent)) == 1


def test_raw_goes_before_preprocessed(samples: Samples, write: Write) -> None:
    write("dataset.json", raw(question="Raw?"))
    folder = write("v7w-test.json", [record()]).parent
    assert samples(TASK, folder)[0].question == "Raw?"


@pytest.mark.parametrize("place", ["v7w_5.jpg", "v7w/v7w_5.jpg", "images/v7w_5.jpg"])
@pytest.mark.parametrize("content", [raw(), [record()]], ids=["raw", "preprocessed"])
def test_images_are_found_in_each_layout(
    place: str, content: object, samples: Samples, write: Write, tmp_path: Path
) -> None:
    write(place, "stands for an image")
    assert samples(TASK, write("questions.json", content), tmp_path)[0].image == place


def test_a_box_partly_outside_is_kept_as_given(data: Path, samples: Samples) -> None:
    folder = data / "visual7w"
    sample, problems = inspect_image(samples(TASK, folder)[0], DataSource(folder, folder))
    assert sample is not None
    assert (-3, 24, 9, 34) in {r.box for r in sample.regions}
    assert [p.code for p in problems] == ["box_partly_outside"]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"multiple_choices": [1, 3]}, "bad_record", "not 4 different boxes"),
        ({"multiple_choices": [1, 3, 2]}, "bad_record", "not 4 different boxes"),
        ({"multiple_choices": [1, 3, 99]}, "missing_box", "box 99"),
        ({"answer": "2"}, "bad_record", "answer = '2'"),
        ({"question": "Is it <r2>?"}, "reserved_text", "<r2>"),
    ],
)
def test_raw_record_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, read: Read, write: Write
) -> None:
    (problem,) = read(TASK, write("raw.json", raw(**changes)))
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("v7w-77", code)
    assert words in problem.message


JUNK: tuple[Any, ...] = (None, 1e308, True, "which", [], [1], {})


def many(n: int = 3) -> dict[str, Any]:
    """Two images of the test split with `n` questions each."""
    content = raw()
    image = content["images"][0]
    content["images"] = [
        image | {"qa_pairs": [image["qa_pairs"][0] | {"qa_id": 10 * k + i} for i in range(n)]}
        for k in (1, 2)
    ]
    return content


@pytest.mark.parametrize("junk", JUNK)
def test_a_bad_question_is_one_error_and_no_other_is_lost(
    junk: object, read: Read, write: Write
) -> None:
    content = many()
    content["images"][0]["qa_pairs"][1] = junk
    found = read(TASK, write("raw.json", content))
    where = "raw.json images[0].qa_pairs[1]"
    assert [r.id for r in found] == ["v7w-10", where, "v7w-12", "v7w-20", "v7w-21", "v7w-22"]
    (problem,) = [r for r in found if isinstance(r, Problem)]
    assert problem.message.startswith(f"{where}: ")


@pytest.mark.parametrize("junk", [*JUNK[:3], *JUNK[4:]])
@pytest.mark.parametrize("key", ["filename", "split"])
def test_a_fault_of_an_image_is_an_error_of_each_of_its_questions(
    key: str, junk: object, read: Read, write: Write
) -> None:
    content = many()
    content["images"][1][key] = junk
    found = read(TASK, write("raw.json", content))
    assert [r.id for r in found] == [f"v7w-{k}" for k in (10, 11, 12, 20, 21, 22)]
    problems = [r for r in found if isinstance(r, Problem)]
    assert [p.id for p in problems] == ["v7w-20", "v7w-21", "v7w-22"]
    assert f"images[1].qa_pairs[2]: its image cannot be used: raw.json images[1]: {key} = " in (
        problems[2].message
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_questions_of_other_splits_are_not_counted(split: str, read: Read, write: Write) -> None:
    content = many()
    content["images"][1] |= {"split": split, "filename": None}
    assert [r.id for r in read(TASK, write("raw.json", content))] == ["v7w-10", "v7w-11", "v7w-12"]


@pytest.mark.parametrize("junk", [None, 3, "x", {"0": {}}])
@pytest.mark.parametrize("whole", [True, False])
def test_questions_that_cannot_be_counted_are_one_error(
    whole: bool, junk: object, read: Read, write: Write
) -> None:
    content = many()
    if whole:
        content["images"][1] = [junk]
    else:
        content["images"][1]["qa_pairs"] = junk
    *samples, problem = read(TASK, write("raw.json", content))
    assert [s.id for s in samples] == ["v7w-10", "v7w-11", "v7w-12"]
    assert isinstance(problem, Problem)
    assert problem.code == "no_questions"
    assert problem.id == "raw.json images[1]" + ("" if whole else ".qa_pairs")
    assert "how many there are is unknown" in problem.message


@pytest.mark.parametrize(
    ("index", "box", "code"),
    [
        (0, None, "missing_box"),
        (0, {"box_id": [1], "x": 1}, "missing_box"),
        (0, BOXES[0] | {"width": "8"}, "bad_record"),
        (4, BOXES[0] | {"width": 9}, "ambiguous_box"),
    ],
)
def test_a_bad_box_is_an_error_of_the_questions_that_refer_to_it(
    index: int, box: object, code: str, read: Read, write: Write
) -> None:
    content = many()
    content["boxes"] = [
        *BOXES[:index],
        box,
        *BOXES[index + 1 :],
        {"box_id": 6} | BOXES[0] | {"box_id": 6},
    ]
    content["images"][0]["qa_pairs"][0]["multiple_choices"] = [3, 4, 6]
    content["images"][1]["qa_pairs"] = []
    sample, *problems = read(TASK, write("raw.json", content))
    assert isinstance(sample, Sample)
    assert [p.code for p in problems if isinstance(p, Problem)] == [code] * 2


def test_a_box_that_stands_twice_is_one(samples: Samples, write: Write) -> None:
    content = raw()
    content["boxes"] = [*BOXES, BOXES[1]]
    assert samples(TASK, write("raw.json", content)) == samples(TASK, write("raw.json", raw()))


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"answer": [20, 5, 28, 26]}, "answer_not_in_options", "[20.0, 5.0, 28.0, 26.0]"),
        ({"bboxes": [[10, 5, 18, 25]] * 5}, "choices", "5 bboxes"),
        ({"bboxes": [[10, 5, 18]] * 4}, "bad_record", "too few"),
        ({"question": None}, "bad_record", "question = None"),
    ],
)
def test_preprocessed_record_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, read: Read, write: Write
) -> None:
    good, problem = read(TASK, write("v.json", [record(id="v7w-1"), record(**changes)]))
    assert isinstance(good, Sample)
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("v7w-77", code)
    assert words in problem.message


def test_a_missing_key_is_named_with_the_nearest(read: Read, write: Write) -> None:
    broken = record()
    broken["qestion"] = broken.pop("question")
    _, problem = read(TASK, write("v7w.json", [record(id="v7w-1"), broken]))
    assert isinstance(problem, Problem)
    expected = "v7w.json record 1: key 'question' is missing · did you mean 'qestion'?"
    assert problem.message == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"images": [], "boxes": []}, "split 'test'"),
        ({"images": {}, "boxes": []}, "must be lists"),
        ([], "an empty list"),
        ([{"id": "v7w-1", "bbox": []}], "keys id, bbox"),
    ],
)
def test_file_that_cannot_be_used(content: object, words: str, read: Read, write: Write) -> None:
    with pytest.raises(DataError, match=r"odd\.json") as error:
        read(TASK, write("odd.json", content))
    assert words in str(error.value)
