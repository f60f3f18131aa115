"""One's own data: a task file with reader `jsonl`, all keys, and mistakes with file and line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipbench.data.box_tally import BoxTally
from vipbench.data.locate import locate
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.schema import BoxUnits, DataSource, Problem, Sample, TaskSpec

Write = Callable[[str, object], Path]

SPEC = load_task("visual7w_pointing").model_copy(update={"name": "own", "reader": "jsonl"})


def read(path: Path, spec: TaskSpec = SPEC) -> list[Sample | Problem]:
    return list(load_samples(spec, DataSource(path, path.parent)))


def sample(write: Write, **fields: object) -> Sample:
    (found,) = read(write("q.jsonl", [row(**fields)]), kind("short_answer", fields))
    assert isinstance(found, Sample), found
    return found


def problem(write: Write, **fields: object) -> Problem:
    (found,) = read(write("q.jsonl", [row(**fields)]), kind("short_answer", fields))
    assert isinstance(found, Problem), found
    return found


def kind(without_choices: str, fields: dict[str, object]) -> TaskSpec:
    return SPEC.model_copy(update={"kind": "choice" if "choices" in fields else without_choices})


def row(**fields: object) -> dict[str, object]:
    return {"image": "a.png", "question": "What?", "answer": "cat"} | fields


def test_a_task_of_ones_own(data: Path) -> None:
    spec = load_task("own_animals", include=[data / "own"])
    source = locate(str(spec.data), {}, data / "own")
    first, second, third, fourth = load_samples(spec, source)
    assert isinstance(first, Sample)
    assert (first.id, first.target, first.group) == ("questions-1", "B", "images/yard.png")
    assert (first.regions[0].label, first.regions[0].box) == ("dog", (4.0, 6.0, 14.0, 18.0))
    assert first.tags == {"place": ("yard",), "topic": ("animals", "food")}
    assert isinstance(second, Sample)
    assert (second.id, second.target, second.target_region) == ("red-one", "B", 1)
    assert second.group == "garden"
    assert isinstance(third, Sample)
    assert [(r.label, r.box) for r in third.regions] == [
        ("boat", (2, 2, 12, 9)), ("ship", (20, 4, 30, 9)),
    ]  # fmt: skip
    assert third.regions[0].polygons == (((2.0, 2.0), (12.0, 2.0), (12.0, 9.0)),)
    assert isinstance(fourth, Sample)
    assert (fourth.target, fourth.regions[0].box) == ("B", (24.0, 20.0, 24.0, 20.0))
    for record in (first, second, third, fourth):
        usable, problems = inspect_image(record, source)
        assert usable is not None
        assert problems == []


def test_an_open_question(write: Write) -> None:
    found = sample(write)
    assert (found.target, found.choices, found.regions) == ("cat", (), ())
    assert found.group == "a.png"


def test_boxes_with_polygons_and_regions_in_parts(write: Write) -> None:
    one = [[0, 0], [4, 0], [4, 4]]
    other = [[6, 6], [9, 6], [9, 9]]
    found = sample(write, boxes=[[0, 0, 9, 9], [1, 1, 5, 5]], polygons=[[one, other], one])
    assert [len(r.polygons) for r in found.regions] == [2, 1]
    assert found.regions[0].box == (0.0, 0.0, 9.0, 9.0)
    assert sample(write, polygons=[[one, other]]).regions[0].box == (0.0, 0.0, 9.0, 9.0)


@pytest.mark.parametrize(
    ("answer", "target"), [("A", "A"), ("D", "D"), ("C", "A"), ("eel", "B"), ("B", "B")]
)
def test_the_answer_is_a_letter_or_the_text(answer: str, target: str, write: Write) -> None:
    choices = {"C": ["C", "eel"], "B": ["ape", "bat"]}.get(answer, ["ape", "eel", "bat", "cow"])
    assert sample(write, choices=choices, answer=answer).target == target


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"choices": ["a", "b"]}, "answer_not_in_options", "answer 'cat' is neither a letter nor"),
        ({"choices": ["B", "A"], "answer": "A"}, "answer_not_in_options", "more than one"),
        ({"choices": ["a", "a"], "answer": "a"}, "answer_not_in_options", "more than one"),
        ({"choices": ["a"] * 27, "answer": "A"}, "choices", "27 choices"),
        ({"box": [1, 2, 3]}, "bad_record", "box = [1, 2, 3]: has too few entries"),
        ({"box": [5, 2, 3, 9]}, "box_inverted", "[5, 2, 3, 9]"),
        ({"box": [1, 2, 3, 4], "points": [[1, 2]]}, "bad_record", "only one of"),
        ({"boxes": [[1, 2, 3, 4]], "polygons": []}, "", ""),
        ({"boxes": [[1, 2, 3, 4]] * 2, "polygons": [[[0, 0], [1, 0], [1, 1]]]}, "bad_record",
         "2 boxes, but 1 polygons"),
        ({"polygons": [[[0, 0], [1, 0]]]}, "bad_polygon", "fewer than 3"),
        ({"polygons": [[]]}, "bad_polygon", "fewer than 3"),
        ({"box": [1, 2, 3, 4], "labels": ["a", "b"]}, "bad_record", "2 labels, but 1 regions"),
        ({"question": "Is <r1> it?", "box": [1, 2, 3, 4]}, "mention", "<r1>"),
        ({"anwser": "cat"}, "bad_record", "unknown key 'anwser' · did you mean 'answer'?"),
        ({"answer": 3}, "bad_record", "answer = 3"),
        ({"answer": " "}, "no_target", "empty"),
        ({"image": "../a.png"}, "", ""),
        ({"box": [1, 2, 3, 4], "box_format": "xyxyn"}, "bad_record", "box_format = 'xyxyn'"),
        ({"masks": [{"size": [2, 2], "counts": [1, 3]}], "boxes": [[0, 0, 1, 1]]}, "bad_record",
         "has 'masks', 'boxes' · expected masks alone"),
        ({"masks": [{"size": [2, 2], "counts": [1, 2]}]}, "bad_mask",
         "mask 0: its 2 run lengths add up to 3 · expected 2 x 2 = 4"),
        ({"mask": {"size": [2, 2], "counts": [4]}}, "empty_mask", "mask 0: no pixel is in"),
        ({"mask_rles": [{"size": [2, 2], "counts": [1, 3]}, {"size": [2, 3], "counts": [1, 5]}]},
         "bad_mask", "mask 0 has 2 x 2 px, but q.jsonl record 0: mask 1 3 x 2 px"),
        ({"mask": "gone.png"}, "bad_mask", "gone.png: does not exist"),
        ({"label_map": "../gone.png"}, "bad_mask", "'..'"),
        ({"mask": {"size": [2, 2], "counts": [1, 3]}, "labels": ["a", "b"]}, "bad_record",
         "2 labels, but 1 regions"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used(
    fields: dict[str, object], code: str, words: str, write: Write
) -> None:
    if not code:
        assert sample(write, **fields)  # usable so far; unsafe paths are refused with the image
        return
    found = problem(write, **fields)
    assert found.code == code
    assert words in found.message


def test_a_mistake_names_file_and_line(write: Write) -> None:
    path = write("q.jsonl", [row()])
    path.write_text(path.read_text(encoding="utf-8") + '\n\n{"image": "b.png"}\n', encoding="utf-8")
    good, bad = read(path, SPEC.model_copy(update={"kind": "short_answer"}))
    assert isinstance(good, Sample)
    assert isinstance(bad, Problem)
    assert bad.id == "q-4"
    assert "q.jsonl line 4: key 'question' is missing" in bad.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"image": "a.png"}\n{"image": b}\n', "q.jsonl:2:11: broken JSON"),
        ("", "the file is empty"),
        ("[]", "holds no record"),
        ("3", "holds no record"),
    ],
)
def test_a_file_that_cannot_be_used(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        read(path)
    assert words in str(error.value)


def test_a_folder_holds_exactly_one_file(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        read(tmp_path)
    write("a.jsonl", [row(choices=["cat", "dog"])])
    (found,) = read(tmp_path)
    assert isinstance(found, Sample)
    write("b.jsonl", [row()])
    with pytest.raises(DataError, match=r"found a\.jsonl, b\.jsonl"):
        read(tmp_path)


# --- masks, and what a line says of its boxes


def test_masks_are_regions(write: Write, tmp_path: Path) -> None:
    first = {"size": [4, 6], "counts": [5, 2, 17]}
    found = sample(write, mask_rles=[first, {"size": [4, 6], "counts": "01g0"}], labels=["a", "b"])
    assert [(r.label, r.box) for r in found.regions] == [("a", (1, 1, 1, 2)), ("b", (0, 0, 0, 0))]
    assert (found.annotated_size, found.box_units) == ((6, 4), "pixels")
    assert sample(write, mask=first).regions[0].polygons == found.regions[0].polygons
    assert sample(write, mask=first).target_region == 0
    levels = np.zeros((4, 6), dtype=np.uint8)
    levels[1:3, 1] = 9
    Image.fromarray(levels).save(tmp_path / "m.png")
    assert sample(write, masks=["m.png"]).regions[0].polygons == found.regions[0].polygons
    levels[0, 0] = 3
    Image.fromarray(levels).save(tmp_path / "m.png")
    boxes = [r.box for r in sample(write, label_map="m.png").regions]
    assert boxes == [(0, 0, 0, 0), (1, 1, 1, 2)]


def inspected(write: Write, boxes: BoxUnits | None = None, **fields: object) -> Sample | str:
    """Return the sample as it is drawn on an image of 6 x 4 px, or the code of its problem."""
    path = write("q.jsonl", [row(**fields)])
    Image.new("RGB", (6, 4)).save(path.parent / "a.png")
    source = DataSource(path, path.parent, boxes=boxes)
    (found,) = load_samples(SPEC.model_copy(update={"kind": "short_answer"}), source)
    if isinstance(found, Problem):
        return found.code
    usable, problems = inspect_image(found, source)
    return usable or problems[0].code


def test_a_mask_of_another_size_than_its_image_is_an_error(write: Write) -> None:
    for boxes in (None, "pixels", "fractions"):
        assert inspected(write, boxes, mask={"size": [6, 4], "counts": [1, 23]}) == "size_differs"


def test_masks_are_px_whatever_is_stated_of_boxes(write: Write) -> None:
    for boxes in (None, "pixels", "fractions", "thousandths", "xywh"):
        found = inspected(write, boxes, mask={"size": [4, 6], "counts": [5, 2, 17]})
        assert isinstance(found, Sample)
        assert found.regions[0].box == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        ("xyxy", [1, 1, 4, 3]),
        ("xywh", [1, 1, 3, 2]),
        ("fractions", [1 / 6, 0.25, 4 / 6, 0.75]),
        ("thousandths", [1000 / 6, 250, 4000 / 6, 750]),
    ],
)
def test_a_line_says_what_its_boxes_are(box_format: str, box: list[float], write: Write) -> None:
    found = inspected(write, box=box, box_format=box_format)
    assert isinstance(found, Sample)
    assert found.regions[0].box == pytest.approx((1, 1, 4, 3))
    tally = BoxTally()
    path = write("q.jsonl", [row(box=box, box_format=box_format)] * 30)
    list(load_samples(SPEC, DataSource(path, path.parent), tally))
    assert tally.n == 0  # nobody needs to find out


def test_a_line_and_a_statement_about_the_file_agree(write: Write) -> None:
    assert isinstance(inspected(write, "xywh", box=[1, 1, 3, 2], box_format="xywh"), Sample)
    assert inspected(write, "fractions", box=[1, 1, 3, 2], box_format="xywh") == "box_format"
    assert inspected(write, box=[1, 1, 3, 2], box_format="fractions") == "box_units"


def two(**fields: object) -> dict[str, object]:
    """Return a line about two images, with a region in each."""
    given = {"boxes": [[1, 2, 9, 9], [2, 3, 8, 20]], "region_images": [1, 0]}
    return {"image": None, "images": ["a.png", "b.png"]} | given | fields


def test_several_images_and_the_regions_in_each(write: Write) -> None:
    found = sample(write, **two())
    assert (found.image, found.images, found.group) == ("a.png", ("a.png", "b.png"), "a.png")
    assert [region.image for region in found.regions] == [1, 0]
    assert sample(write, **two(images=["a.png"], region_images=[0, 0])).images == ()
    bare = sample(write, image=None, images=["a.png", "b.png"])
    assert (bare.images, bare.regions) == (("a.png", "b.png"), ())


def test_each_region_is_held_against_its_own_image(write: Write, tmp_path: Path) -> None:
    Image.new("RGB", (40, 10)).save(tmp_path / "a.png")
    Image.new("RGB", (10, 40)).save(tmp_path / "b.png")
    source = DataSource(tmp_path / "q.jsonl", tmp_path)
    right = sample(write, **two(boxes=[[1, 30, 9, 39], [30, 1, 39, 9]]))
    usable, problems = inspect_image(right, source)
    assert usable is not None
    assert (usable.image_sizes, problems) == (((40, 10), (10, 40)), [])
    assert [usable.size_of(region) for region in usable.regions] == [(10, 40), (40, 10)]
    crossed = right.model_copy(update={"regions": right.regions[::-1]})
    assert inspect_image(crossed, source)[0] is not None
    wrong = sample(write, **two(boxes=[[1, 30, 9, 39], [30, 1, 39, 9]], region_images=[0, 1]))
    unusable, problems = inspect_image(wrong, source)
    assert (unusable, [each.code for each in problems]) == (None, ["box_outside"])
    thousandths = sample(write, **two(box_format="thousandths", boxes=[[0, 0, 500, 500]] * 2))
    scaled, _ = inspect_image(thousandths, source)
    assert scaled is not None
    assert [region.box[2:] for region in scaled.regions] == [(5, 20), (20, 5)]
    (tmp_path / "b.png").unlink()
    assert [each.code for each in inspect_image(right, source)[1]] == ["missing_image"]


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        (two(image="a.png"), "images", "'image' and 'images' · expected one"),
        (two(images=None), "bad_record", "neither 'image' nor 'images'"),
        (two(images=[]), "images", "empty"),
        (two(region_images=None), "images", "no 'region_images' · expected the index"),
        (two(region_images=[0]), "images", "1 region_images, but 2 regions"),
        (two(region_images=[0, 2]), "no_such_image", "has 2, but there are 2 images · expected"),
        (two(region_images=[-1, 0]), "no_such_image", "index from 0 to 1"),
        (two(images=["a.png"] * 65), "images", "65 images · expected at most 64"),
        (
            {"image": None, "images": ["a.png", "b.png"], "masks": ["m.png"]},
            "images",
            "'masks' and 2 images",
        ),
    ],
)
def test_mistakes_in_several_images(
    write: Write, fields: dict[str, object], code: str, words: str
) -> None:
    found = problem(write, **fields)
    assert found.code == code
    assert words in found.message
