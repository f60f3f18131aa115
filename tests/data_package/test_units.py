"""What the numbers of boxes are, and which way up the images are: as stated, and as they look."""

from pathlib import Path

import pytest
from PIL import Image

from tests.runs import make_joint
from tests.trials.made import choose, question, write
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.units import in_frame
from vipbench.errors import TaskError
from vipbench.images.decode import image_header
from vipbench.schema import DataSource, Problem, Region, Request, Sample
from vipbench.trials.make import make_trials
from vipbench.trials.selection import Selection

TASK = """\
name: own
version: 1
title: Our own
kind: choice
data: own.jsonl
reader: jsonl
styles: [red_rectangle]
"""


def make_task(folder: Path, *statements: str) -> Path:
    (folder / "own.yaml").write_text(TASK + "".join(f"{line}\n" for line in statements))
    return folder


def save(path: Path, orientation: int = 1, size: tuple[int, int] = (60, 40)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, "white").save(path, exif=exif)


def inspected(selection: Selection) -> list[tuple[Sample | None, list[Problem]]]:
    choice = selection.tasks[0]
    records = load_samples(choice.spec, choice.source)
    return [inspect_image(each, choice.source) for each in records if isinstance(each, Sample)]


def requests(selection: Selection) -> list[Request]:
    trials, _ = make_trials(selection, list, seed=0)
    return [trial.request for trial in trials if trial.request is not None]


def loaded(folder: Path, *statements: str, **fields: object) -> tuple[list[Sample], list[Problem]]:
    """Load and inspect one question with these fields, on an image of 60 x 40 px."""
    save(folder / "a.png")
    write(folder, question("q", "a.png", **fields))
    choice = choose(make_task(folder, *statements), "own").tasks[0]
    samples, problems = [], []
    for record in load_samples(choice.spec, choice.source):
        if isinstance(record, Problem):
            problems.append(record)
            continue
        sample, found = inspect_image(record, choice.source)
        samples += [sample] if sample else []
        problems += found
    return samples, problems


# --- units


@pytest.mark.parametrize(
    ("units", "box", "expected"),
    [
        ("pixels", [3, 4, 30, 20], (3, 4, 30, 20)),
        ("fractions", [0.1, 0.25, 0.5, 1], (6, 10, 30, 40)),
        ("thousandths", [100, 250, 500, 1000], (6, 10, 30, 40)),
        ("xywh", [6, 10, 24, 30], (6, 10, 30, 40)),
        ("xywh", [30, 20, 3, 4], (30, 20, 33, 24)),
    ],
)
def test_boxes_are_what_is_stated(
    tmp_path: Path, units: str, box: list[float], expected: tuple[float, ...]
) -> None:
    [sample], problems = loaded(tmp_path, f"boxes: {units}", box=box)
    assert sample.regions[0].box == expected
    assert problems == []


def test_outlines_and_points_are_scaled_too(tmp_path: Path) -> None:
    outline = [[0, 0], [0.5, 0], [0.5, 1]]
    [sample], problems = loaded(tmp_path, "boxes: fractions", box=None, polygons=[outline])
    assert sample.regions[0].polygons == (((0, 0), (30, 0), (30, 40)),)
    assert sample.regions[0].box == (0, 0, 30, 40)
    [sample], more = loaded(tmp_path, "boxes: thousandths", box=None, points=[[500, 250]])
    assert sample.regions[0].box == (30, 10, 30, 10)
    assert problems + more == []


def test_regions_are_resized_with_the_image_that_they_lie_in(tmp_path: Path) -> None:
    save(tmp_path / "turned.png", 6)
    outline = ((6.0, 10.0), (30.0, 10.0), (30.0, 40.0))
    region = Region(box=(6, 10, 30, 40), polygons=(outline,))
    plain = Sample(
        id="q", image="turned.png", question="<r0>?", target="x", regions=(region,), group="q",
        draw_sizes=((20, 80),),
    )  # fmt: skip
    sample, _ = inspect_image(plain, DataSource(tmp_path, tmp_path, exif="ignore"))
    assert sample is not None
    assert sample.image_size == (20, 80)
    assert sample.regions[0].box == pytest.approx((2, 20, 10, 80))
    assert sample.regions[0].polygons[0][1] == pytest.approx((10, 20))
    sample, _ = inspect_image(plain, DataSource(tmp_path, tmp_path, exif="apply"))
    assert sample is not None
    assert sample.regions[0].box == pytest.approx((3, 10 * 80 / 60, 15, 40 * 80 / 60))
    stated = DataSource(tmp_path, tmp_path, boxes="thousandths", exif="ignore")
    thousandths = plain.model_copy(update={"regions": (Region(box=(100, 250, 500, 1000)),)})
    sample, _ = inspect_image(thousandths, stated)
    assert sample is not None
    assert sample.regions[0].box == pytest.approx((2, 20, 10, 80))


def test_outlines_and_points_have_no_width_and_height(tmp_path: Path) -> None:
    outline = [[5, 5], [30, 5], [30, 30]]
    [sample], _ = loaded(tmp_path, "boxes: xywh", box=None, polygons=[outline])
    assert sample.regions[0].box == (5, 5, 30, 30)
    [sample], problems = loaded(tmp_path, "boxes: xywh", box=None, points=[[20, 10]])
    assert sample.regions[0].box == (20, 10, 20, 10)
    assert problems == []
    [sample], _ = loaded(tmp_path, "boxes: xywh", box=[5, 5, 25, 20], polygons=[outline])
    assert sample.regions[0].box == (5, 5, 30, 25)


def test_fractions_are_those_of_the_turned_image(tmp_path: Path) -> None:
    save(tmp_path / "turned.png", 6)
    write(tmp_path, question("q", "turned.png", box=[0.5, 0.5, 1, 1]))
    [(sample, _)] = inspected(choose(make_task(tmp_path, "boxes: fractions", "exif: apply"), "own"))
    assert sample is not None
    assert sample.regions[0].box == (20, 30, 40, 60)


def test_keys_are_those_of_the_pixels_and_pixels_change_nothing(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    keys = []
    for statement, box in (
        ("", [6, 10, 30, 40]),
        ("boxes: pixels", [6, 10, 30, 40]),
        ("boxes: fractions", [0.1, 0.25, 0.5, 1]),
        ("boxes: xywh", [6, 10, 24, 30]),
    ):
        write(tmp_path, question("q", "a.png", box=box))
        [request] = requests(choose(make_task(tmp_path, statement), "own"))
        keys.append(request.key)
    assert len(set(keys)) == 1


def test_boxes_in_other_units_than_stated_are_errors(tmp_path: Path) -> None:
    samples, [problem] = loaded(tmp_path, "boxes: fractions", box=[5, 5, 30, 30])
    assert (samples, problem.code, problem.warning) == ([], "box_units", False)
    assert "[5, 5, 30, 30] is not in fractions" in problem.message


def test_boxes_of_a_joint_task_are_those_of_its_parts(tmp_path: Path) -> None:
    joint = make_joint(tmp_path) / "both.yaml"
    joint.write_text(joint.read_text() + "boxes: xywh\n")
    with pytest.raises(TaskError, match="kind 'joint' takes no 'boxes'"):
        choose(tmp_path, "both")


# --- single boxes


@pytest.mark.parametrize("box", [[20, 20, 20, 20], [20, 20, 30, 20], [20, 20, 20, 30]])
def test_a_box_without_area_is_a_warning(tmp_path: Path, box: list[float]) -> None:
    [_], [problem] = loaded(tmp_path, box=box)
    assert (problem.code, problem.warning) == ("box_without_area", True)
    assert loaded(tmp_path, "boxes: pixels", box=box)[1] == []


def test_a_point_is_meant_to_have_no_area(tmp_path: Path) -> None:
    assert loaded(tmp_path, box=None, points=[[20, 20]])[1] == []


def test_an_outline_outside_of_its_box_is_a_warning(tmp_path: Path) -> None:
    inside = [[6, 6], [29, 6], [29, 29]]
    outside = [[40, 6], [50, 6], [50, 29]]
    assert loaded(tmp_path, polygons=[inside])[1] == []
    [_], [problem] = loaded(tmp_path, polygons=[[inside, outside]])
    assert (problem.code, problem.warning) == ("outline_outside_box", True)
    assert "region 0 (object): 1 of 2 outlines lie outside of its box" in problem.message
    assert "rectangles are drawn by the box, all other marks by the outlines" in problem.message


@pytest.mark.parametrize(("bottom", "is_beside"), [(30, False), (38, False), (40, True)])
def test_half_of_an_outline_may_lie_outside_of_its_box(
    tmp_path: Path, bottom: int, is_beside: bool
) -> None:
    outline = [[6, 21], [29, 21], [29, bottom]]
    [_], problems = loaded(tmp_path, box=[5, 5, 30, 30], polygons=[outline])
    assert bool(problems) == is_beside


# --- the size of the image that was annotated


def test_an_image_of_another_size_than_the_annotated_one_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    header = image_header(tmp_path / "a.png")
    sample = Sample(id="1", image="a.png", question="?", target="x", group="a")
    source = DataSource(tmp_path, tmp_path)

    def problems(width: int, height: int, source: DataSource = source) -> list[Problem]:
        annotated = sample.model_copy(update={"annotated_size": (width, height)})
        return in_frame(annotated, header, source)[1]

    assert problems(60, 40) == []
    [larger] = problems(120, 80)
    assert (larger.code, larger.warning) == ("size_differs", False)
    assert "drawn on 120 x 80 px, the image has 60 x 40 px" in larger.message
    [swapped] = problems(40, 60)
    assert "swapped, probably by an EXIF orientation" in swapped.message
    [smaller] = problems(30, 50)
    assert "swapped" not in smaller.message
    assert problems(40, 60, source._replace(boxes="pixels")) == []


def test_a_size_that_the_orientation_swaps_names_it(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 6)
    header = image_header(tmp_path / "a.png")
    sample = Sample(
        id="1", image="a.png", question="?", target="x", group="a", annotated_size=(40, 60)
    )
    source = DataSource(tmp_path, tmp_path)
    [problem] = in_frame(sample, header, source)[1]
    turned = header._replace(orientation=1)
    [plain] = in_frame(sample, turned, source)[1]
    assert "by its EXIF orientation" not in plain.message
    assert "swapped by its EXIF orientation 6 · write `exif: apply`" in problem.message
    assert in_frame(sample, header, source._replace(exif="apply"))[1] == []


# --- EXIF


def turned_task(folder: Path, *statements: str) -> Selection:
    save(folder / "turned.png", 6)
    save(folder / "plain.png")
    write(folder, question("a", "turned.png"), question("b", "plain.png"))
    return choose(make_task(folder, *statements), "own")


def test_an_orientation_under_boxes_is_reported(tmp_path: Path) -> None:
    (a, found), (b, none) = inspected(turned_task(tmp_path))
    assert a is not None
    assert b is not None
    assert (a.image_size, a.exif, none) == ((60, 40), None, [])
    [problem] = found
    assert (problem.code, problem.warning) == ("exif_not_applied", True)
    assert "turned.png: EXIF orientation 6, not applied" in problem.message
    assert "write `exif: apply` in own.yaml" in problem.message


def test_a_statement_silences_it(tmp_path: Path) -> None:
    (a, found), _ = inspected(turned_task(tmp_path, "exif: ignore"))
    assert a is not None
    assert (a.image_size, a.exif, found) == ((60, 40), None, [])


def test_only_images_that_are_turned_have_other_keys(tmp_path: Path) -> None:
    before = requests(turned_task(tmp_path))
    after = requests(turned_task(tmp_path, "exif: apply"))
    assert [request.exif for request in after] == ["apply", None]
    assert before[0].key != after[0].key
    assert before[1] == after[1]
    (a, found), (b, _) = inspected(turned_task(tmp_path, "exif: apply"))
    assert a is not None
    assert b is not None
    assert (a.image_size, b.image_size, found) == ((40, 60), (60, 40), [])


def test_the_data_go_before_the_task(tmp_path: Path) -> None:
    chosen = turned_task(tmp_path, "exif: ignore")
    choice = chosen.tasks[0]
    source = choice.source._replace(exif="apply")
    [(a, _), _] = inspected(chosen._replace(tasks=(choice._replace(source=source),)))
    assert a is not None
    assert a.exif == "apply"


@pytest.mark.parametrize("statement", ["exif: aply", "boxes: percent"])
def test_unknown_statements_are_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(TaskError, match=r"own\.yaml"):
        turned_task(tmp_path, statement)
