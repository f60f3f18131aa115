"""What all boxes of a file look like: rules that find other units, and are quiet on px."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.data_package.test_units import TASK
from tests.trials.made import choose, question, write
from vipbench.data import box_tally
from vipbench.data.box_tally import BoxTally
from vipbench.data.samples import load_samples
from vipbench.demo.generate import make
from vipbench.errors import DataError
from vipbench.images.decode import ImageHeader, image_header
from vipbench.schema import Box, Problem
from vipbench.trials.check import check_tasks
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select
from vipbench.trials.visibility import check_visibility

Size = tuple[int, int]
Convert = Callable[[Box, Size], Sequence[float]]
DATA = Path(__file__).parent.parent / "data"


def pixels(box: Box, _: Size) -> Sequence[float]:
    return box


def fractions(box: Box, size: Size) -> Sequence[float]:
    return [round(value / side, 3) for value, side in zip(box, size * 2, strict=True)]


def thousandths(box: Box, size: Size) -> Sequence[float]:
    return [round(1000 * value / side) for value, side in zip(box, size * 2, strict=True)]


def xywh(box: Box, _: Size) -> Sequence[float]:
    x0, y0, x1, y1 = box
    return x0, y0, x1 - x0, y1 - y0


def random_box(draw: random.Random, size: Size) -> Box:
    width, height = (draw.randint(side // 20, side // 3) for side in size)
    x, y = draw.randint(0, size[0] - width), draw.randint(0, size[1] - height)
    return x, y, x + width, y + height


def task(folder: Path, boxes: Sequence[Sequence[float]], sizes: Sequence[Size], *more: str) -> Path:
    """Write a task with these boxes, on images of these sizes in turn."""
    (folder / "own.yaml").write_text(TASK + "".join(f"{line}\n" for line in more))
    for size in set(sizes):
        Image.new("RGB", size).save(folder / f"{size[0]}x{size[1]}.png")
    questions = []
    for n, box in enumerate(boxes):
        width, height = sizes[n % len(sizes)]
        questions.append(question(f"q{n}", f"{width}x{height}.png", box=list(box)))
    write(folder, *questions)
    return folder


def random_task(folder: Path, n: int, convert: Convert, *sizes: Size) -> Path:
    draw = random.Random(n)
    each = [sizes[k % len(sizes)] for k in range(n)]
    return task(folder, [convert(random_box(draw, size), size) for size in each], sizes)


def problems(folder: Path) -> list[Problem]:
    choice = choose(folder, "own").tasks[0]
    tally = BoxTally()
    list(load_samples(choice.spec, choice.source, tally))
    return tally.problems(choice.spec, choice.source)


def found(folder: Path) -> dict[str, str]:
    return {each.code: "warning" if each.warning else "error" for each in problems(folder)}


# --- px


@pytest.mark.parametrize("n", [1, 2, 3, 12, 25, 200, 1500])
@pytest.mark.parametrize(
    "sizes",
    [
        [(500, 375), (375, 500)],
        [(640, 480)],
        [(128, 128)],
        [(1000, 1000)],
        [(1024, 768), (800, 600), (500, 333)],
        [(1280, 720), (1920, 800)],
        [(4000, 3000)],
        [(60, 40)],
    ],
)
def test_boxes_in_pixels_are_quiet(tmp_path: Path, n: int, sizes: list[Size]) -> None:
    assert found(random_task(tmp_path, n, pixels, *sizes)) == {}


def test_a_task_without_boxes_is_quiet(tmp_path: Path) -> None:
    write(task(tmp_path, [], [(60, 40)]), question("q", "60x40.png", box=None, question="What?"))
    assert found(tmp_path) == {}


def test_points_are_quiet(tmp_path: Path) -> None:
    task(tmp_path, [], [(60, 40)])
    points = [[[5 + n, 3 + n]] for n in range(12)]
    write(tmp_path, *(question(f"{p}", "60x40.png", box=None, points=p) for p in points))
    assert found(tmp_path) == {}


def test_marks_in_one_corner_of_large_images_are_quiet(tmp_path: Path) -> None:
    boxes = [(10 + n, 2000 - 40 * n, 200 + n, 2100 - 40 * n) for n in range(40)]
    assert found(task(tmp_path, boxes, [(2400, 2200)])) == {}
    toolbar = [(2 * n, 5, 600 + 2 * n, 60) for n in range(40)]
    assert "error" not in found(task(tmp_path, toolbar, [(3000, 2000)])).values()


def test_boxes_inverted_by_mistake_or_from_bottom_to_top_are_no_widths(tmp_path: Path) -> None:
    draw = random.Random(0)
    boxes = [random_box(draw, (500, 375)) for _ in range(60)]
    upward = [(x0, y1, x1, y0) for x0, y0, x1, y1 in boxes]
    assert found(task(tmp_path, upward, [(500, 375)])) == {}
    anyhow = [draw.choice([(a, b, c, d), (c, b, a, d), (a, d, c, b)]) for a, b, c, d in boxes]
    assert found(task(tmp_path, anyhow, [(500, 375)])) == {}


@pytest.mark.parametrize("name", ["visual7w", "pointqa", "vcr", "vip_bench"])
def test_official_layouts_are_quiet(name: str) -> None:
    from vipbench.data.tasks import find_tasks, load_task
    from vipbench.schema import DataSource

    codes = {*box_tally.CODES, "box_without_area", "outline_outside_box", "size_differs"}
    for spec in map(load_task, find_tasks()):
        if spec.data == name:
            source = DataSource(DATA / name, DATA / name)
            [report] = check_tasks([spec.name], {name: source})
            assert not codes & {finding.code for finding in report.findings}, spec.name


def test_the_demo_is_quiet_in_any_size(tmp_path: Path) -> None:
    from vipbench.demo.embedded import sources

    tasks = ["visual7w_pointing", "pointqa_looktwice", "pointqa_local", "vcr_qa", "vip_bench_drawn"]
    for n in (1, 3, 40):
        made = make(tmp_path / str(n), n)
        for choice in select(tasks=tasks, data=sources(made)).tasks:
            tally = BoxTally()
            list(load_samples(choice.spec, choice.source, tally))
            assert tally.problems(choice.spec, choice.source) == [], (choice.spec.name, n)


# --- fractions


@pytest.mark.parametrize("n", [1, 4, 300])
def test_fractions_are_an_error_whatever_their_number(tmp_path: Path, n: int) -> None:
    folder = random_task(tmp_path, n, fractions, (640, 480))
    assert found(folder) == {"boxes_within_1": "error"}
    [problem] = problems(folder)
    assert problem.id == "own.jsonl"
    assert problem.message.startswith(f"{n} of {n} boxes lie within 0 to 1, such as [0.")
    assert "write `boxes: fractions` in own.yaml; if not, `boxes: pixels`" in problem.message


def test_points_and_outlines_in_fractions(tmp_path: Path) -> None:
    task(tmp_path, [], [(60, 40)])
    write(tmp_path, question("q", "60x40.png", box=None, points=[[0.5, 0.5]]))
    assert found(tmp_path) == {"boxes_within_1": "error"}
    outline = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.4]]
    write(tmp_path, question("q", "60x40.png", box=None, polygons=[outline]))
    assert found(tmp_path) == {"boxes_within_1": "error"}


def test_some_fractions_among_pixels_are_a_warning(tmp_path: Path) -> None:
    boxes = [[5.0, 5.0, 30.0, 30.0]] * 20 + [[0.1, 0.1, 0.5, 0.6]]
    assert found(task(tmp_path, boxes, [(60, 40)])) == {"boxes_within_1": "warning"}
    assert problems(tmp_path)[0].message.startswith("1 of 21 boxes lie within 0 to 1, such as [0.1")


@pytest.mark.parametrize("statement", ["fractions", "pixels"])
def test_a_statement_is_believed(tmp_path: Path, statement: str) -> None:
    assert found(task(tmp_path, [[0.1, 0.1, 0.5, 0.6]], [(60, 40)], f"boxes: {statement}")) == {}


@pytest.mark.parametrize("statement", ["thousandths", "xywh"])
def test_a_statement_that_cannot_be_right_is_an_error(tmp_path: Path, statement: str) -> None:
    folder = task(tmp_path, [[0.1, 0.1, 0.5, 0.6]], [(60, 40)], f"boxes: {statement}")
    assert found(folder) == {"boxes_within_1": "error"}
    assert f"expected `boxes: {statement}`" in problems(folder)[0].message


# --- thousandths


@pytest.mark.parametrize(
    "sizes", [[(2000, 1500)], [(4000, 3000), (3000, 4000)], [(1920, 1080)], [(640, 480)]]
)
def test_thousandths_are_an_error_from_20_boxes_on(tmp_path: Path, sizes: list[Size]) -> None:
    assert found(random_task(tmp_path, 40, thousandths, *sizes)) == {"boxes_within_1000": "error"}
    assert "write `boxes: thousandths` in own.yaml" in problems(tmp_path)[0].message
    assert found(random_task(tmp_path, 12, thousandths, *sizes)) == {"boxes_within_1000": "warning"}


def test_stated_thousandths_are_quiet(tmp_path: Path) -> None:
    random_task(tmp_path, 40, thousandths, (2000, 1500))
    (tmp_path / "own.yaml").write_text(f"{TASK}boxes: thousandths\n")
    assert found(tmp_path) == {}


# --- x, y, width, height


@pytest.mark.parametrize(("n_wrong", "said"), [(1, True), (2, True), (3, False)])
def test_widths_that_reach_beyond_one_image_in_fifty_are_none(
    tmp_path: Path, n_wrong: int, *, said: bool
) -> None:
    draw, size = random.Random(3), (200, 100)
    boxes = [xywh(random_box(draw, size), size) for _ in range(100 - n_wrong)]
    task(tmp_path, [*boxes, *[(150, 60, 90, 30)] * n_wrong], [size])
    messages = [each.message for each in problems(tmp_path)]
    assert len(messages) == said
    assert all(f"{100 - n_wrong} of 100 that were looked at lie" in each for each in messages)


@pytest.mark.parametrize("sizes", [[(640, 480)], [(128, 128)], [(500, 375), (375, 500)]])
def test_widths_are_an_error_from_20_boxes_on(tmp_path: Path, sizes: list[Size]) -> None:
    assert found(random_task(tmp_path, 300, xywh, *sizes)) == {"boxes_xywh": "error"}
    assert "write `boxes: xywh` in own.yaml" in problems(tmp_path)[0].message
    assert found(random_task(tmp_path, 20, xywh, *sizes)) == {"boxes_xywh": "error"}
    assert found(random_task(tmp_path, 8, xywh, *sizes)) == {"boxes_xywh": "warning"}


def test_widths_none_of_which_is_inverted_are_a_warning(tmp_path: Path) -> None:
    boxes = [(10 + n, 12 + n, 100 + n, 80 + n) for n in range(30)]
    assert found(task(tmp_path, boxes, [(640, 480)])) == {"boxes_xywh": "warning"}


# --- other copies of the images, another order


def scaled(factor: float) -> Convert:
    return lambda box, _: [round(factor * value, 1) for value in box]


def in_square(side: float) -> Convert:
    return lambda box, size: [
        round(side * value / length, 1) for value, length in zip(box, size * 2, strict=True)
    ]


def yxyx(box: Box, _: Size) -> Sequence[float]:
    return box[1], box[0], box[3], box[2]


@pytest.mark.parametrize("convert", [in_square(336), in_square(224), scaled(0.4)])
def test_boxes_of_smaller_copies_are_a_warning(tmp_path: Path, convert: Convert) -> None:
    folder = random_task(tmp_path, 60, convert, (800, 600), (640, 480), (500, 400))
    assert set(found(folder).values()) == {"warning"}
    assert "px of other copies of the images, scale them" in problems(folder)[0].message


def test_percent_are_a_warning_that_says_so(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 60, in_square(100), (640, 480))
    assert set(found(folder).values()) == {"warning"}
    assert "divide by 100 and write `boxes: fractions`" in problems(folder)[0].message


def test_boxes_of_a_square_beyond_1000_are_a_warning(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 100, in_square(1024), (1920, 1080))
    assert found(folder) == {"boxes_of_copies": "warning"}


@pytest.mark.parametrize("sizes", [[(640, 480)], [(1920, 1080)], [(500, 375), (375, 500)]])
def test_boxes_from_y_to_x_are_an_error(tmp_path: Path, sizes: list[Size]) -> None:
    assert found(random_task(tmp_path, 80, yxyx, *sizes)) == {"boxes_yxyx": "error"}


@pytest.mark.parametrize("factor", [1.5, 2, 4])
def test_boxes_of_larger_copies_are_a_warning(tmp_path: Path, factor: float) -> None:
    assert found(random_task(tmp_path, 80, scaled(factor), (1024, 768))) == {
        "boxes_beyond": "warning"
    }


def test_images_turned_by_exif_are_not_taken_for_another_order(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 80, yxyx, (640, 480))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (640, 480)).save(folder / "640x480.png", exif=exif)
    assert found(folder) == {}
    (folder / "own.yaml").write_text(f"{TASK}exif: apply\n")
    assert found(folder) == {}
    (folder / "own.yaml").write_text(f"{TASK}exif: ignore\n")
    assert found(folder) == {"boxes_yxyx": "error"}


# --- small ones


def test_boxes_without_a_side_of_2_px_are_a_warning(tmp_path: Path) -> None:
    folder = task(tmp_path, [[20, 20, 20, 20], [30, 30, 31, 31]], [(60, 40)])
    assert found(folder) == {"boxes_tiny": "warning"}
    task(tmp_path, [[20, 20, 20, 20], [30, 30, 32, 31]], [(60, 40)])
    assert found(folder) == {}


# --- where it is said


def test_a_run_ends_before_a_model_is_loaded_whatever_the_limit(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 40, thousandths, (2000, 1500))
    with pytest.raises(DataError, match=r"own: own\.jsonl: all 40 boxes lie within 0 to 1000"):
        make_trials(choose(folder, "own"), list, seed=0, limit=1)
    with pytest.raises(DataError, match="all 40 boxes"):
        check_visibility(["own"], {}, None, [folder])


def test_warnings_are_counted_and_noted(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 8, xywh, (640, 480))
    _, facts = make_trials(choose(folder, "own"), list, seed=0)
    assert facts["own"].problems["boxes_xywh"] == 1
    [note] = facts["own"].notes
    assert note.startswith("own: 1 x boxes_xywh, such as own.jsonl: ")


def test_check_lists_them_by_code_and_goes_on(tmp_path: Path) -> None:
    folder = random_task(tmp_path, 4, fractions, (640, 480))
    lines = [*map(json.loads, (folder / "own.jsonl").read_text().splitlines())]
    write(folder, *lines, question("gone", "gone.png", box=[0.1, 0.1, 0.2, 0.2]))
    [report] = check_tasks(["own"], {}, None, [folder])
    assert {finding.code for finding in report.findings} == {"boxes_within_1", "missing_image"}
    assert (report.n_records, report.n_errors) == (5, 2)


def test_few_images_of_a_long_file_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def header(path: Path) -> ImageHeader:
        opened.append(path)
        return image_header(path)

    monkeypatch.setattr(box_tally, "image_header", header)
    assert found(random_task(tmp_path, 3000, pixels, (640, 480))) == {}
    assert 0 < len(opened) < 20
    opened.clear()
    found(random_task(tmp_path, 3000, thousandths, (2000, 1500)))
    assert len(opened) < 2 * box_tally.KEPT
