"""PointQA: LookTwice in both layouts and three wordings, Local, split files and broken data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vipbench.data.samples import load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.schema import DataSource, Problem, Sample

TASK = "pointqa_looktwice"
LOCAL = "pointqa_local"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]
Write = Callable[[str, object], Path]


def question(**changes: object) -> dict[str, Any]:
    return {"id": 31, "obj_question": "How many owls are there?", "ans": "4", "obj_type": "owls",
            "super_question": "How many of these beings are there?", "supercategory": "beings",
            "general_question": "How many of these are there?",
            "bbox": {"x": 3, "y": 4, "w": 10, "h": 20}} | changes  # fmt: skip


def record(**changes: object) -> dict[str, Any]:
    return {"id": "pointQA_twice-5", "image": "vg/VG_100K/31.jpg", "answer": "4",
            "general_question": "How many?", "bboxes": [[3, 4, 13, 24]]} | changes  # fmt: skip


def local(**changes: object) -> dict[str, Any]:
    return {"id": 31, "question": "What shape is the sign?", "all_ans": ["round"], "all_objs": [],
            "points": [{"x": 7, "y": 9, "ans": "round"}]} | changes  # fmt: skip


def test_raw_numbers_the_questions_of_an_image(data: Path, samples: Samples) -> None:
    found = samples(TASK, data / "pointqa")
    assert [(s.id, s.target) for s in found] == [
        ("2400002-0", "1"), ("2400001-0", "3"), ("2400001-1", "2"),
    ]  # fmt: skip
    assert [s.image for s in found] == [
        "vg/VG_100K_2/2400002.jpg", "vg/VG_100K/2400001.jpg", "vg/VG_100K/2400001.jpg",
    ]  # fmt: skip
    assert found[0].regions[0].box == (8.0, 8.0, 28.0, 22.0)
    assert found[2].tags == {
        "answer": ("2",), "obj_type": ("dogs",), "supercategory": ("beings",),
    }  # fmt: skip
    assert found[1].group == found[2].group == "2400001"


@pytest.mark.parametrize(
    ("task", "asked"),
    [
        (TASK, "How many of these are there?"),
        (f"{TASK}_super", "How many of these vehicles are there?"),
        (f"{TASK}_object", "How many trucks are there?"),
    ],
)
def test_official_text(
    task: str, asked: str, data: Path, samples: Samples, text: Callable[..., str]
) -> None:
    places = ((data / "pointqa", 0), (data / "pointqa/pointQA_twice_test.json", 2))
    for questions, place in places:
        sample = samples(task, questions)[place]
        assert text(sample, "red_rectangle") == (
            f"{asked} The exemplary object is within the rectangle.\n"
            "Answer the question using a single word or phrase."
        )
    assert "is at the point." in text(sample, "red_point")


def test_preprocessed_keeps_its_ids_and_corners(data: Path, samples: Samples) -> None:
    found = samples(TASK, data / "pointqa/pointQA_twice_test.json")
    assert [s.id for s in found] == [f"pointQA_twice-{n}" for n in range(3)]
    assert found[0].regions[0].box == (4.0, 6.0, 14.0, 18.0)
    assert found[0].group == "2400001"


def test_local_has_one_sample_a_point(data: Path, samples: Samples) -> None:
    found = samples(LOCAL, data / "pointqa")
    assert [(s.id, s.target) for s in found] == [
        ("2400001-0", "red"), ("2400001-1", "brown"), ("2400002-0", "sitting"),
    ]  # fmt: skip
    assert [s.regions[0].box for s in found] == [
        (4, 6, 15, 19), (20, 10, 32, 24), (40, 30, 40, 30),
    ]  # fmt: skip
    assert [s.tags["attribute"] for s in found] == [("color",), ("color",), ("action",)]


def test_local_finds_the_box_that_the_point_is_the_centre_of(
    samples: Samples, write: Write
) -> None:
    objects = [{"x": 0, "y": 0, "w": 50, "h": 50}, "odd", {"x": 2, "y": 4, "w": 11, "h": 11}]
    write("localqa_testfinal_imgs.json", [31])
    path = write("localqa_dataset.json", {"31": [local(all_objs=objects)]})
    assert samples(LOCAL, path)[0].regions[0].box == (2.0, 4.0, 13.0, 15.0)


@pytest.mark.parametrize("ids", [["31"], [31], {"31": 1}])
def test_split_file_is_a_list_or_keyed_by_ids(ids: object, samples: Samples, write: Write) -> None:
    write("looktwiceqa_test_imgs.json", ids)
    dataset = {"30": [question()], "31": [question()]}
    assert [s.id for s in samples(TASK, write("looktwiceqa_dataset.json", dataset))] == ["31-0"]


@pytest.mark.parametrize("folder", ["VG_100K", "VG_100K_2", "vg/VG_100K", "vg/VG_100K_2", "images"])
def test_images_are_found_in_each_layout(
    folder: str, samples: Samples, write: Write, tmp_path: Path
) -> None:
    write(f"{folder}/31.jpg", "stands for an image")
    write("looktwiceqa_test_imgs.json", ["31"])
    raw = write("looktwiceqa_dataset.json", {"31": [question()]})
    prepared = write("twice.json", [record()])
    for questions in (raw, prepared):
        assert samples(TASK, questions, tmp_path)[0].image == f"{folder}/31.jpg"


def test_the_release_repository_is_a_layout(samples: Samples, write: Write, tmp_path: Path) -> None:
    write("Datasets/LookTwiceQA/looktwiceqa_test_imgs.json", ["31"])
    write("Datasets/LookTwiceQA/looktwiceqa_dataset.json", {"31": [question()]})
    write("Datasets/LocalQA/localqa_testfinal_imgs.json", ["31"])
    write("Datasets/LocalQA/localqa_dataset.json", {"31": [local()]})
    assert samples(TASK, tmp_path)[0].target == "4"
    assert samples(LOCAL, tmp_path)[0].target == "round"


def test_a_renamed_split_file_is_told_by_its_content(samples: Samples, write: Write) -> None:
    write("my_test_ids.json", ["31"])
    write("my_testdev_ids.json", ["30"])
    write("my_test_notes.json", {"not": {"a": "split"}})
    path = write("local.json", {"30": [local()], "31": [local()]})
    assert [s.id for s in samples(LOCAL, path)] == ["31-0"]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"ans": 4}, "bad_record", "ans = 4"),
        ({"bbox": {"x": 1, "y": 2, "width": 3, "h": 4}}, "bad_record", "'bbox.w' is missing"),
        ({"general_question": None}, "bad_record", "general_question = None"),
        ({"general_question": "Where is <r0>?"}, "reserved_text", "<r0>"),
    ],
)
def test_raw_record_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, read: Read, write: Write
) -> None:
    write("looktwiceqa_test_imgs.json", ["31"])
    dataset = {"31": [question(), question(**changes)]}
    good, problem = read(TASK, write("looktwiceqa_dataset.json", dataset))
    assert isinstance(good, Sample)
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("31-1", code)
    assert words in problem.message


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"bboxes": []}, "n_boxes", "0 bboxes · expected exactly 1"),
        ({"bboxes": [[0, 0, 1, 1]] * 2}, "n_boxes", "2 bboxes · expected exactly 1"),
        ({"answer": 4}, "bad_record", "answer = 4"),
    ],
)
def test_preprocessed_record_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, read: Read, write: Write
) -> None:
    (problem,) = read(TASK, write("twice.json", [record(**changes)]))
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("pointQA_twice-5", code)
    assert words in problem.message


def test_local_point_that_cannot_be_used(read: Read, write: Write) -> None:
    write("localqa_testfinal_imgs.json", ["31"])
    points = [{"x": 1, "y": 2}, {"x": 1, "y": 2, "ans": "red"}]
    problem, sample = read(LOCAL, write("localqa_dataset.json", {"31": [local(points=points)]}))
    assert isinstance(problem, Problem)
    assert problem.id == "31-0"
    assert "'ans' is missing" in problem.message
    assert isinstance(sample, Sample)
    assert sample.id == "31-1"


@pytest.mark.parametrize("junk", [None, 1e308, "x", [], {}, {"points": {}}, {"points": []}])
def test_a_bad_question_is_one_error_and_no_other_is_lost(
    junk: object, read: Read, write: Write
) -> None:
    for task, prefix, make in (
        (TASK, "looktwiceqa_test", question),
        (LOCAL, "localqa_testfinal", local),
    ):
        write(f"{prefix}_imgs.json", ["31", "32"])
        dataset = {"31": [make(), junk, make()], "32": [make()]}
        found = read(task, write(f"{prefix.partition('_')[0]}_dataset.json", dataset))
        assert [r.id for r in found] == ["31-0", "31-1", "31-2", "32-0"]
        (problem,) = [r for r in found if isinstance(r, Problem)]
        assert problem.id == "31-1"
        assert "_dataset.json 31[1]: " in problem.message


def test_an_image_that_may_be_either_of_two_is_an_error_of_each_question(
    write: Write, tmp_path: Path
) -> None:
    write("one/31.jpg", "one image")
    write("two/VG_100K/31.jpg", "another")
    write("two/VG_100K/32.jpg", "a third")
    dataset = {"31": [question(), question()], "32": [question()]}
    local_dataset = {"31": [local(), local()], "32": [local()]}
    write("looktwiceqa_test_imgs.json", ["31", "32"])
    write("localqa_testfinal_imgs.json", ["31", "32"])
    more = (tmp_path / "two",)
    for task, path in (
        (TASK, write("looktwiceqa_dataset.json", dataset)),
        (LOCAL, write("localqa_dataset.json", local_dataset)),
    ):
        source = DataSource(path, tmp_path / "one", more)
        *problems, sample = load_samples(load_task(task), source)
        assert [(p.id, p.code) for p in problems if isinstance(p, Problem)] == [
            ("31-0", "ambiguous_image"), ("31-1", "ambiguous_image"),
        ]  # fmt: skip
        assert isinstance(sample, Sample)
        assert sample.image == "VG_100K/32.jpg"


@pytest.mark.parametrize("changes", [{"question": None}, {"all_objs": 3}])
def test_a_bad_local_question_is_an_error_of_each_point(
    changes: dict[str, object], read: Read, write: Write
) -> None:
    write("localqa_testfinal_imgs.json", ["31"])
    broken = local(points=local()["points"] * 3) | changes
    found = read(LOCAL, write("localqa_dataset.json", {"31": [local(), broken, local()]}))
    assert [r.id for r in found] == [f"31-{k}" for k in range(5)]
    assert [isinstance(r, Problem) for r in found] == [False, True, True, True, False]


def test_a_point_whose_box_may_be_the_unreadable_one_is_an_error(read: Read, write: Write) -> None:
    write("localqa_testfinal_imgs.json", ["31"])
    objects = [{"x": 0, "y": 0, "w": None, "h": 9}, {"x": 2, "y": 4, "w": 11, "h": 11}]
    points = [{"x": 1, "y": 2, "ans": "red"}, {"x": 7, "y": 9, "ans": "round"}]
    broken = local(points=points, all_objs=objects)
    problem, sample = read(LOCAL, write("localqa_dataset.json", {"31": [broken]}))
    assert isinstance(problem, Problem)
    assert "localqa_dataset.json 31[0].all_objs[0]: w = None" in problem.message
    assert isinstance(sample, Sample)


@pytest.mark.parametrize("junk", [None, True, 1.5, ["31"], {"31": 1}, "31", 31])
def test_a_bad_entry_of_the_split_file_is_one_error(junk: object, read: Read, write: Write) -> None:
    write("looktwiceqa_test_imgs.json", ["31", junk, "32"])
    dataset = {"31": [question()] * 2, "32": [question()]}
    found = read(TASK, write("looktwiceqa_dataset.json", dataset))
    where = "looktwiceqa_test_imgs.json[1]"
    assert [r.id for r in found] == ["31-0", "31-1", where, "32-0"]
    assert isinstance(found[2], Problem)


@pytest.mark.parametrize("junk", [None, 3, {"0": question()}])
def test_questions_that_cannot_be_counted_are_one_error(
    junk: object, read: Read, write: Write
) -> None:
    write("looktwiceqa_test_imgs.json", ["31", "32"])
    dataset = {"31": junk, "32": [question()]}
    problem, sample = read(TASK, write("looktwiceqa_dataset.json", dataset))
    assert isinstance(problem, Problem)
    assert problem.id == "31"
    assert "how many there are is unknown" in problem.message
    assert isinstance(sample, Sample)


def test_an_image_without_questions_is_a_problem(read: Read, write: Write) -> None:
    write("looktwiceqa_test_imgs.json", ["31", "32"])
    records = read(TASK, write("looktwiceqa_dataset.json", {"31": [question()]}))
    assert isinstance(records[1], Problem)
    assert (records[1].id, records[1].code) == ("32", "no_questions")


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (None, "looktwiceqa_test_imgs.json: does not exist"),
        (["7"], "none of its image ids"),
        ("31", "expected a list of image ids"),
        ([True], "expected a list of image ids"),
    ],
)
def test_split_file_that_cannot_be_used(
    split: object, words: str, read: Read, write: Write
) -> None:
    if split is not None:
        write("looktwiceqa_test_imgs.json", split)
    with pytest.raises(DataError) as error:
        read(TASK, write("looktwiceqa_dataset.json", {"31": [question()]}))
    assert words in str(error.value)


def test_a_wording_that_the_file_lacks_is_named(read: Read, write: Write) -> None:
    with pytest.raises(DataError, match="no record has the key 'super_question'"):
        read(f"{TASK}_super", write("twice.json", [record()]))


def test_only_a_point_without_a_box_is_meant_to_have_no_area(data: Path, samples: Samples) -> None:
    found = samples(LOCAL, data / "pointqa")
    assert [sample.are_points for sample in found] == [False, False, True]
