"""ViP-Bench: the marked splits, the marks drawn anew, the wording of the marks, broken data."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.schema import DataSource, Problem, Sample

BBOX, HUMAN, DRAWN = "vip_bench_bbox", "vip_bench_human", "vip_bench_drawn"
Samples = Callable[..., list[Sample]]
Read = Callable[..., list[Sample | Problem]]

Marks = tuple[tuple[str, ...], tuple[str, ...]]


@pytest.fixture(scope="module")
def marks_in_text() -> Callable[[str], Marks]:
    path = Path(__file__).parents[2] / "tasks/vip_bench.py"
    spec = importlib.util.spec_from_file_location("vip_bench_reader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[str], Marks] = module.marks_in_text
    return function


@pytest.fixture
def release(data: Path, tmp_path: Path) -> Path:
    """A copy of the release folder, to be broken."""
    return Path(shutil.copytree(data / "vip_bench", tmp_path / "vip_bench"))


def change(path: Path, key: str, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content[key] |= changes
    path.write_text(json.dumps(content), encoding="utf-8")


def labelme(shapes: list[dict[str, Any]], path: Path) -> None:
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "x.png"}), encoding="utf-8")


def test_marked_splits_keep_the_text_and_join_the_metadata(data: Path, samples: Samples) -> None:
    bbox = samples(BBOX, data / "vip_bench")
    human = samples(HUMAN, data / "vip_bench")
    assert [s.id for s in bbox] == [s.id for s in human] == ["v1_0", "v1_1", "v1_2", "v1_3"]
    assert bbox[0].question == "What number is on the sign within the red rectangle?"
    assert human[0].question == "What number is on the sign pointed to by the green arrow?"
    assert bbox[0].target == "42<OR>forty-two"
    assert bbox[0].image == "bbox/images/v1_1_0.png"
    assert human[1].image == "human/images/v1_1_1.png"
    assert bbox[0].regions == ()
    assert bbox[0].group == bbox[1].group != bbox[2].group
    assert [s.tags for s in human] == [
        {"capability": ("ocr", "rec"), "shape": ("arrow",), "color": ("green",)},
        {"capability": ("rel",), "shape": ("mixed",), "color": ("mixed",)},
        {"capability": ("rec", "know"), "shape": ("arrow",), "color": ("green",)},
        {"capability": ("know",), "shape": ("unnamed",), "color": ("unnamed",)},
    ]
    assert bbox[1].tags["shape"] == ("rectangle",)
    assert bbox[1].tags["color"] == ("mixed",)


def test_the_metadata_file_stands_for_the_folder(data: Path, samples: Samples) -> None:
    path = data / "vip_bench/vip-bench-meta-data.json"
    for task in (BBOX, HUMAN, DRAWN):
        assert samples(task, path) == samples(task, path.parent)


def test_drawn_regions_come_from_labelme(data: Path, samples: Samples) -> None:
    first, second, third, fourth = samples(DRAWN, data / "vip_bench")
    assert first.image == "source_image/v1_1.png"
    assert first.question == "What number is on the sign <r0>?"
    assert [(r.box, r.polygons) for r in first.regions] == [((5.5, 6, 20, 18), ())]
    assert second.question == "Are the things <r0> and <r1> alike?"
    polygon = ((28.0, 10.0), (42.0, 12.0), (40.0, 30.0), (29.0, 29.0))
    assert second.regions[0].polygons == (polygon,)
    assert second.regions[0].box == (28.0, 10.0, 42.0, 30.0)
    assert second.regions[1].box == (5.5, 6.0, 20.0, 18.0)
    assert third.question == "What is <r0>?"
    assert fourth.regions == ()
    assert first.tags == {"capability": ("ocr", "rec")}


@pytest.mark.parametrize(
    ("question", "labels"),
    [
        ("What is the value of x in the equation <obj>?", [""]),
        ("Does the person <obj> look at the person <obj1>?", ["", ""]),
        ("What are the sums of the equations <obj>, <obj1> and <obj>?", ["", ""]),
        ("What is <obj>?", ["object"]),
        ("<obj> is what?", ["object"]),
        ("Is (<obj>) to the left of <obj1>?", ["object", "object"]),
        ("Look: <obj>, <obj1>. Same?", ["object", "object"]),
        ("Do <obj> and the cat <obj1> play?", ["object", ""]),
    ],
)
def test_a_placeholder_after_a_noun_is_the_place_alone(
    question: str, labels: list[str], release: Path, samples: Samples
) -> None:
    change(release / "vip-bench-meta-data.json", "v1_0", question=question)
    assert [r.label for r in samples(DRAWN, release)[0].regions] == labels


def test_a_file_of_regions_for_one_question_goes_first(release: Path, samples: Samples) -> None:
    square = {"label": "obj", "shape_type": "rectangle", "points": [[1, 2], [3, 4]]}
    labelme([square], release / "source_image/v1_1_0.json")
    found = samples(DRAWN, release)
    assert found[0].regions[0].box == (1.0, 2.0, 3.0, 4.0)
    assert found[1].regions[1].box == (5.5, 6.0, 20.0, 18.0)


def test_of_shapes_with_one_label_the_first_counts(release: Path, read: Read) -> None:
    shapes = [
        {"label": "obj", "shape_type": "rectangle", "points": [[k, 2], [k + 3, 4]]} for k in (1, 5)
    ]
    labelme(shapes, release / "source_image/v1_1_0.json")
    warning, sample = read(DRAWN, release)[:2]
    assert isinstance(warning, Problem)
    assert (warning.code, warning.warning) == ("ambiguous_region", True)
    assert isinstance(sample, Sample)
    assert sample.regions[0].box == (1.0, 2.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("shapes", "code", "words"),
    [
        ([], "missing_region", "no shape has the label 'obj'; its labels: none"),
        ([{"label": "obj0", "shape_type": "rectangle", "points": [[1, 1], [2, 2]]}],
         "missing_region", "its labels: obj0"),
        ([{"label": "obj", "shape_type": "circle", "points": [[1, 1], [2, 2]]}],
         "bad_region", "'circle'"),
        ([{"label": "obj", "shape_type": "polygon", "points": [[1, 1], [2, 2]]}],
         "bad_region", "3 or more"),
        ([{"label": "obj", "shape_type": "rectangle", "points": [[1, 1, 1], [2, 2, 2]]}],
         "bad_region", "[x, y]"),
        ([{"label": "obj", "points": [[1, 1], [2, 2]]}], "bad_record", "'shape_type' is missing"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_used(
    shapes: list[dict[str, Any]], code: str, words: str, release: Path, read: Read
) -> None:
    labelme(shapes, release / "source_image/v1_1_0.json")
    problem = read(DRAWN, release)[0]
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("v1_0", code)
    assert words in problem.message


def test_unsafe_and_missing_labelme_files(release: Path, read: Read) -> None:
    metadata = release / "vip-bench-meta-data.json"
    for source in ("../v1_1.png", "/v1_1.png", "v1_9.png"):
        change(metadata, "v1_0", image_source=source)
        problem = read(DRAWN, release)[0]
        assert isinstance(problem, Problem)
        assert problem.code == "bad_labelme"


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"image": "v1_9_9.png"}, "image_mismatch", "'v1_1_0.png', but 'v1_9_9.png'"),
        ({"answer": 42}, "bad_record", "answer = 42"),
        ({"capability": "ocr"}, "bad_record", "capability = 'ocr'"),
    ],
)
def test_metadata_that_cannot_be_used(
    changes: dict[str, object], code: str, words: str, release: Path, read: Read
) -> None:
    change(release / "vip-bench-meta-data.json", "v1_0", **changes)
    problem = read(HUMAN, release)[0]
    assert isinstance(problem, Problem)
    assert (problem.id, problem.code) == ("v1_0", code)
    assert words in problem.message


def test_questions_and_metadata_must_have_the_same_ids(release: Path, read: Read) -> None:
    questions = release / "bbox/questions.jsonl"
    lines = questions.read_text(encoding="utf-8").splitlines()
    other = lines[3].replace('"question_id": 3', '"question_id": 8')
    questions.write_text("\n".join([*lines[:3], other]), encoding="utf-8")
    problems = [r for r in read(BBOX, release) if isinstance(r, Problem)]
    # One question, which the line and the metadata call by two numbers.
    assert [(p.id, p.code) for p in problems] == [("v1_3", "missing_metadata")]
    assert "the metadata has no 'v1_8'" in problems[0].message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("null", "bad_record"),
        ("7", "bad_record"),
        ("[]", "bad_record"),
        ('{"question_id": null}', "bad_record"),
        ('{"question_id": 0, "image": "v1_1_1.png", "text": "?"}', "duplicate_id"),
        ('{"question_id": 2, "image": "v1_1_1.png", "text": "?"}', "duplicate_id"),
        (None, "missing_question"),
    ],
)
def test_a_bad_line_is_one_error_and_no_other_is_lost(
    line: str | None, code: str, release: Path, read: Read
) -> None:
    questions = release / "bbox/questions.jsonl"
    lines: list[str | None] = list(questions.read_text(encoding="utf-8").splitlines())
    lines[1] = line
    questions.write_text("\n".join(filter(None, lines)), encoding="utf-8")
    found = read(BBOX, release)
    assert sorted(r.id for r in found) == ["v1_0", "v1_1", "v1_2", "v1_3"]
    (problem,) = [r for r in found if isinstance(r, Problem)]
    assert (problem.id, problem.code) == ("v1_1", code)


@pytest.mark.parametrize("junk", [None, 3, [], {}, {"label": None}, {"label": "obj1"}])
def test_a_bad_region_is_an_error_of_the_questions_that_need_it(
    junk: object, release: Path, read: Read
) -> None:
    path = release / "source_image/v1_1.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["shapes"] = [s if s["label"] != "obj1" else junk for s in content["shapes"]]
    path.write_text(json.dumps(content), encoding="utf-8")
    found = read(DRAWN, release)
    assert [isinstance(r, Problem) for r in found] == [False, True, False, False]


def test_regions_that_may_be_either_of_two_are_an_error_of_their_questions(
    release: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "source_image").mkdir(parents=True)
    labelme([], other / "source_image/v1_1.json")
    found = list(load_samples(load_task(DRAWN), DataSource(release, release, (other,))))
    assert [isinstance(r, Problem) for r in found] == [True, True, False, False]
    assert isinstance(found[0], Problem)
    assert str(other / "source_image/v1_1.json") in found[0].message


@pytest.mark.parametrize("key", ["image", "image_source"])
def test_an_image_without_a_name_is_an_error_of_its_question(
    key: str, release: Path, read: Read
) -> None:
    change(release / "vip-bench-meta-data.json", "v1_0", **{key: ""})
    assert [isinstance(r, Problem) for r in read(DRAWN, release)] == [True] + [False] * 3


def test_a_mention_in_the_released_text_is_reserved(release: Path, read: Read) -> None:
    questions = release / "human/questions.jsonl"
    text = questions.read_text(encoding="utf-8").replace("the sign", "the <r0>")
    questions.write_text(text, encoding="utf-8")
    problem = read(HUMAN, release)[0]
    assert isinstance(problem, Problem)
    assert problem.code == "reserved_text"


def test_files_that_cannot_be_used(release: Path, read: Read) -> None:
    questions = release / "bbox/questions.jsonl"
    questions.write_text('{"a": 1}\n{"b": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"questions\.jsonl: not recognised"):
        read(BBOX, release)
    questions.unlink()
    with pytest.raises(DataError, match=r"bbox/questions\.jsonl: does not exist"):
        read(BBOX, release)
    (release / "vip-bench-meta-data.json").unlink()
    with pytest.raises(DataError, match=r"expected vip-bench-meta-data\.json"):
        read(HUMAN, release)


@pytest.mark.parametrize(
    ("text", "shapes", "colors"),
    [
        ("What is within the red rectangle?", ["rectangle"], ["red"]),
        ("Who is marked by the Green Dot?", ["point"], ["green"]),
        ("Is the cat in the blue circle asleep?", ["ellipse"], ["blue"]),
        ("the car within orange mask contour", ["mask contour"], ["orange"]),
        ("the car with the grey contour", ["mask contour"], ["grey"]),
        ("the car within the gray mask", ["mask"], ["grey"]),
        ("pointed to by the purple arrow", ["arrow"], ["purple"]),
        ("inside the pink bounding box", ["rectangle"], ["pink"]),
        ("the white ovals", ["ellipse"], ["white"]),
        ("with the light-brown hand-drawn scribble", ["scribble"], ["brown"]),
        ("a cyan-colored triangle", ["triangle"], ["cyan"]),
        ("the arrow in yellow", ["arrow"], ["yellow"]),
        ("the red and blue boxes", ["rectangle"], ["red", "blue"]),
        ("the red, the green or the black point", ["point"], ["red", "green", "black"]),
        ("in pink triangle and in the orange box", ["triangle", "rectangle"], ["pink", "orange"]),
        ("Is the red apple within the rectangle ripe?", ["rectangle"], []),
        ("Is the red apple within the red rectangle and the white mask?", ["rectangle", "mask"],
         ["red", "white"]),
        ("How many red apples are on the table?", [], []),
        ("What is the shape of the box?", [], []),
        ("Is the redbox or the reddish rectangle bigger?", [], []),
        ("", [], []),
    ],
)  # fmt: skip
def test_marks_in_text(
    text: str, shapes: list[str], colors: list[str], marks_in_text: Callable[[str], Marks]
) -> None:
    assert marks_in_text(text) == (tuple(shapes), tuple(colors))


def test_regions_know_the_size_of_the_image_that_they_were_drawn_on(
    release: Path, samples: Samples
) -> None:
    found = samples(DRAWN, release)
    assert [sample.annotated_size for sample in found] == [(48, 36)] * 3 + [None]
    path = release / "source_image/v1_1.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for width, expected in (
        (24, (24, 36)),
        (24.0, (24, 36)),
        (0, None),
        ("24", (24, 36)),
        ("?", None),
        (True, None),
    ):
        path.write_text(json.dumps(content | {"imageWidth": width}), encoding="utf-8")
        assert samples(DRAWN, release)[0].annotated_size == expected
    source = DataSource(release, release)
    path.write_text(json.dumps(content | {"imageWidth": 24}), encoding="utf-8")
    sample, [problem] = inspect_image(samples(DRAWN, release)[0], source)
    assert (sample, problem.code) == (None, "size_differs")
