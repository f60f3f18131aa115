"""VCR: both layouts, the joining of tokens and mentions, regions, and broken data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vipbench.data.tasks import all_styles
from vipbench.errors import DataError
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import Problem, Sample

QA, QAR, TURNS = "vcr_qa", "vcr_qar", "vcr_qar_turns"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]
Write = Callable[[str, object], Path]
Text = Callable[..., str]

SQUARE = [[1, 1], [9, 1], [9, 9], [1, 9]]


def row(**changes: object) -> dict[str, Any]:
    choices = [["Yes", "."], ["No", "."], ["Maybe", "."], ["Never", "."]]
    return {"annot_id": "val-7", "img_fn": "film/a@0.jpg", "metadata_fn": "film/a@0.json",
            "objects": ["person", "dog", "cup"], "question": ["Is", [0], "there", "?"],
            "answer_choices": choices, "answer_label": 2, "rationale_choices": choices,
            "rationale_label": 1} | changes  # fmt: skip


def metadata(**changes: object) -> dict[str, object]:
    boxes = [[k, k, k + 9, k + 9, 0.5] for k in range(3)]
    return {"boxes": boxes, "segms": [[SQUARE]] * 3, "names": ["person", "dog", "cup"]} | changes


@pytest.fixture
def one(read: Read, write: Write) -> Callable[..., list[Sample | Problem]]:
    """Read one raw record, with its metadata file."""

    def records(task: str = QA, meta: object = None, **changes: object) -> list[Sample | Problem]:
        write("vcr1images/film/a@0.json", metadata() if meta is None else meta)
        return read(task, write("val.jsonl", [row(**changes)]).parent)

    return records


def test_both_layouts_hold_the_same_questions(data: Path, samples: Samples) -> None:
    for task in (QA, QAR, TURNS):
        raw = samples(task, data / "vcr")
        prepared = samples(task, data / "vcr/vcr-val.json")
        assert [s.id for s in raw] == ["val-0", "val-1", "val-2"]
        assert [s.id for s in prepared] == ["vcr-0", "vcr-1", "vcr-2"]
        assert [s.model_copy(update={"id": ""}) for s in raw] == [
            s.model_copy(update={"id": ""}) for s in prepared
        ]


def test_tokens_are_joined_as_the_official_code_does(data: Path, samples: Samples) -> None:
    first, second, third = samples(QA, data / "vcr")
    assert first.question == "Why is <r1> standing?"
    assert first.choices == (
        "To greet <r0>.",
        "<r1> and <r0> and <r2> rest.",
        "<r2> ' s leg, it broke.",
        "Nobody knows!",
    )
    assert first.target == "B"
    assert second.regions == ()
    assert third.question == "<r1> looks at <r0>?"  # objects 3 and 0: <r1> is object 3
    assert [r.label for r in third.regions] == ["person", "dog"]


def test_official_text_of_an_answer_task(data: Path, samples: Samples, text: Text) -> None:
    sample = samples(QA, data / "vcr")[0]
    articles = (True, True, False, True, False, True)
    assert text(sample, "official_points", ("aqua", "gold", "red"), articles) == (
        "Why is the person at the gold point standing?\n"
        "A. To greet the person at the aqua point.\n"
        "B. The person at gold point and the person at the aqua point and the chair at red point"
        " rest.\n"
        "C. The chair at the red point ' s leg, it broke.\n"
        "D. Nobody knows!\n"
        "Answer with the option's letter from the given choices directly."
    )


def test_a_rationale_as_the_second_turn(data: Path, samples: Samples) -> None:
    sample = samples(TURNS, data / "vcr")[0]
    answers, rationales = samples(QA, data / "vcr")[0], samples(QAR, data / "vcr")[0]
    assert (sample.given_target, sample.given_answer) == ("B", "")
    assert (sample.target, len(sample.choices)) == (rationales.target, 4)
    (style,) = parse_styles("official_points", all_styles())
    request = build_request(sample, style, 0)
    first, answer, second = request.turns
    assert answer == "B"
    question, *options, suffix = first.split("\n")
    assert question.startswith("Why is the person at ")
    assert [option[:3] for option in options] == ["A. ", "B. ", "C. ", "D. "]
    assert suffix == "Answer with the option's letter from the given choices directly."
    ask, *options, suffix_again = second.split("\n")
    assert ask == "What is the rationale for this decision?"
    assert [option[:3] for option in options] == ["A. ", "B. ", "C. ", "D. "]
    assert suffix_again == suffix
    # What the question, any answer or any rationale mentions is marked, and named alike throughout.
    assert len(sample.regions) >= len(answers.regions)
    assert len(request.visual_prompts) == len(sample.regions)


def test_official_text_of_a_rationale_task(data: Path, samples: Samples, text: Text) -> None:
    sample = samples(QAR, data / "vcr")[2]
    assert [r.label for r in sample.regions] == ["person", "person", "dog"]
    articles = (True, True, False, True)
    assert text(sample, "official_points", ("red", "lime", "blue"), articles) == (
        "I give you a question and its answer, I need you to provide a rationale explaining why the"
        ' answer is right. "The dog at the blue point looks at the person at the red point?"'
        ' The answer is "The dog at blue point sleeps.".What is the rationale for this decision?\n'
        "A. Eyes closed.\n"
        "B. Eyes open.\n"
        "C. The person at the lime point.\n"
        "D. Light.\n"
        "Answer with the option's letter from the given choices directly."
    )


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([[0], [1], "."], "<r0> <r1>."),
        (["a", [1], ":", "b", ";"], "a <r0>: b;"),
        ([[1, 0]], "<r1> and <r0>"),
        ([[], "odd"], " odd"),
        (["no", "n't", "-", "so", "..."], "no n't - so ..."),
        ([","], ","),
        ([], ""),
    ],
)
def test_spaces(tokens: list[Any], expected: str, one: Callable[..., list[Sample]]) -> None:
    (sample,) = one(question=tokens)
    assert sample.question == expected


def test_regions_come_in_the_order_of_a_set(one: Callable[..., list[Sample]]) -> None:
    mentioned = [9, 40, 3, 17, 3]
    segms = [[[[k, 0], [k + 5, 0], [k + 5, 5], [k, 5]]] for k in range(41)]
    meta = metadata(boxes=[[k, 0, k + 5, 5, 1.0] for k in range(41)], segms=segms)
    (sample,) = one(meta=meta, objects=["x"] * 41, question=[mentioned])
    assert [r.box[0] for r in sample.regions] == list(set(mentioned))


def test_only_mentioned_objects_of_the_asked_texts_are_regions(
    one: Callable[..., list[Sample]],
) -> None:
    answers = [[[1], "."], ["No"], ["Yes"], ["So"]]
    rationales = [["a"], ["b"], [[2]], ["c"]]
    for task, labels in ((QA, ["person", "dog"]), (QAR, ["person", "cup"])):
        (sample,) = one(task, answer_choices=answers, rationale_choices=rationales)
        assert [r.label for r in sample.regions] == labels
    assert (sample.target, sample.given_answer) == ("B", "Yes")


def test_polygons_of_four_vertices_in_reverse_order(one: Callable[..., list[Sample]]) -> None:
    five = [*SQUARE, [0, 5]]
    (sample,) = one(meta=metadata(segms=[[SQUARE, SQUARE[:3], five], [], []]))
    (region,) = sample.regions
    assert [len(polygon) for polygon in region.polygons] == [5, 4]
    assert region.polygons[1] == ((1.0, 1.0), (9.0, 1.0), (9.0, 9.0), (1.0, 9.0))
    assert region.box == (0.0, 0.0, 9.0, 9.0)
    assert sample.tags == {"polygons": ("complete",)}


@pytest.mark.parametrize(
    ("segms", "code"),
    [
        ([[], [], []], "no_polygon"),
        ([[SQUARE[:3]], [], []], "no_polygon"),
        ([[[[1, 2, 3], [4, 5, 6]]], [], []], "bad_polygon"),
        (["none", [], []], "bad_polygon"),
    ],
)
def test_an_object_without_polygon_is_used_and_counted(
    segms: object, code: str, one: Callable[..., list[Sample | Problem]]
) -> None:
    warning, sample = one(meta=metadata(segms=segms))
    assert isinstance(warning, Problem)
    assert (warning.id, warning.code, warning.warning) == ("val-7", code, True)
    assert "object 0 (person)" in warning.message
    assert isinstance(sample, Sample)
    assert sample.regions[0].polygons == ()
    assert sample.tags == {"polygons": ("missing",)}


@pytest.mark.parametrize("folder", ["", "vcr1images/"])
def test_images_are_found_in_each_layout(
    folder: str, samples: Samples, write: Write, tmp_path: Path
) -> None:
    for suffix, content in ((".json", metadata()), (".jpg", "stands for an image")):
        write(f"{folder}film/a@0{suffix}", content)
    raw = write("vcr1annots/val.jsonl", [row()]).parent.parent
    prepared = row(id="vcr-3", image="vcr1images/film/a@0.jpg", class_names=row()["objects"],
                   meta_dir="./dataset/vcr1images/film/a@0.json")  # fmt: skip
    for questions in (raw, write("any.name", [prepared])):
        sample = samples(QA, questions, tmp_path)[0]
        assert sample.image == f"{folder}film/a@0.jpg"
        assert sample.group == "film/a@0.jpg"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"question": ["Is", [3], "?"]}, "mention", "object 3 is mentioned · expected 0 to 2"),
        ({"question": ["Is", [-1], "?"]}, "mention", "object -1"),
        ({"question": "Is it?"}, "bad_record", "question = 'Is it?'"),
        ({"question": ["Is", "<r0>", "?"]}, "reserved_text", "<r0>"),
        ({"objects": ["<r1>", "dog", "cup"]}, "reserved_text", "<r1>"),
        ({"answer_choices": [["a"], ["b"], ["c"]]}, "choices", "3 choices · expected 4"),
        ({"answer_label": 4}, "bad_record", "answer_label = 4"),
        ({"metadata_fn": "film/b.json"}, "bad_metadata", "film/b.json"),
        ({"metadata_fn": "../b.json"}, "bad_metadata", "'../b.json'"),
        ({"metadata_fn": "/etc/passwd"}, "bad_metadata", "'/etc/passwd'"),
    ],
)
def test_record_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, one: Callable[..., list[Sample | Problem]]
) -> None:
    (problem,) = one(**changes)
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("val-7", code)
    assert words in problem.message


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (metadata(boxes=[[1, 2, 3, 4]] * 3), "expected x0, y0, x1, y1, score"),
        (metadata(boxes=[[1, 2, 3, 4, 5]] * 2), "3 names, 2 boxes, 3 segms"),
        ({"boxs": [], "segms": []}, "key 'boxes' is missing · did you mean 'boxs'?"),
        ([], "a mapping of keys to values"),
    ],
)
def test_metadata_that_cannot_be_used(
    meta: object, words: str, one: Callable[..., list[Sample | Problem]]
) -> None:
    (problem,) = one(meta=meta, question=[[0], [2]])
    assert isinstance(problem, Problem)
    assert not problem.warning
    assert words in problem.message


@pytest.mark.parametrize("junk", [None, 1e308, "x", [], {}, {"annot_id": None}, {"annot_id": []}])
def test_a_bad_line_is_one_error_of_the_same_id_in_each_task(
    junk: object, read: Read, write: Write
) -> None:
    write("vcr1images/film/a@0.json", metadata())
    lines = [row(annot_id="val-1"), junk, row(annot_id="val-3", rationale_label=None)]
    path = write("val.jsonl", lines)
    ids = ["val-1", "val.jsonl line 2", "val-3"]
    for task, bad in ((QA, ids[1:2]), (QAR, ids[1:]), (TURNS, ids[1:])):
        found = read(task, path, path.parent)
        assert [r.id for r in found] == ids
        assert [r.id for r in found if isinstance(r, Problem)] == bad


@pytest.mark.parametrize(
    ("width", "expected"), [(640, (640, 480)), ("640", (640, 480)), (None, None), (0, None)]
)
def test_the_size_of_the_annotated_image(
    width: object, expected: object, one: Callable[..., list[Sample]]
) -> None:
    [sample] = one(meta=metadata(width=width, height=480))
    assert sample.annotated_size == expected
    [unmarked] = one(meta=metadata(width=width, height=480), question=["Is", "it", "?"])
    assert unmarked.annotated_size is None


@pytest.mark.parametrize("junk", [None, 3, "x", {}, [1, 2, 3, 4], [1, 2, 3, 4, None], [1] * 6])
def test_a_bad_box_is_an_error_of_the_questions_that_mention_it(
    junk: object, read: Read, write: Write
) -> None:
    meta = metadata()
    meta["boxes"][1] = junk  # type: ignore[index]
    write("vcr1images/film/a@0.json", meta)
    lines = [row(annot_id=str(k), question=["Is", [k], "?"]) for k in range(3)]
    found = read(QA, write("val.jsonl", lines))
    assert [(r.id, isinstance(r, Problem)) for r in found] == [
        ("0", False), ("1", True), ("2", False),
    ]  # fmt: skip
    assert isinstance(found[1], Problem)
    assert "film/a@0.json: box 1 = " in found[1].message


def test_a_bad_name_matters_where_it_is_mentioned(
    one: Callable[..., list[Sample | Problem]],
) -> None:
    (sample,) = one(objects=["person", None, "cup"])
    assert isinstance(sample, Sample)
    (problem,) = one(objects=[None, "dog", "cup"])
    assert isinstance(problem, Problem)
    assert "name 0 = None" in problem.message


def test_the_test_split_has_no_labels(read: Read, write: Write) -> None:
    record = row()
    del record["answer_label"], record["rationale_label"]
    path = write("val.jsonl", [record])
    for task, label in ((QA, "answer_label"), (QAR, "rationale_label")):
        with pytest.raises(DataError, match=f"no record has '{label}'; scoring needs the labels"):
            read(task, path)


def test_a_broken_line_is_named(read: Read, write: Write) -> None:
    path = write("val.jsonl", [row(), row()])
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    with pytest.raises(DataError, match=r"val\.jsonl:2:\d+: broken JSON"):
        read(QA, path)
