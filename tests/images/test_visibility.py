"""What is left of a mark: hand-counted, against a slow count of its own, and through whole runs."""

import json
import random
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from tests.runs import bind_again, make_joint, make_task, settings
from vipbench import files
from vipbench.console import Console
from vipbench.images.draw import footprint, render
from vipbench.images.fit import fit
from vipbench.images.visibility import measure, view
from vipbench.prompts.styles import SHAPES
from vipbench.report.leaderboard import leaderboard
from vipbench.run.loop import run
from vipbench.runfolder.folder import RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runfolder.summary import ALL, read_summary
from vipbench.schema import Box, Fit, Polygon, Region, Shape, Visibility, VisualPrompt

MODES: tuple[Fit, ...] = get_args(Fit)
PHOTO = (640, 480)


def mark(
    shape: Shape,
    box: Box,
    *,
    width: float | None = 0.6,
    seed: int = 0,
    alpha: int = 255,
    polygons: tuple[Polygon, ...] = (),
) -> VisualPrompt:
    return VisualPrompt(
        region=Region(box=box, polygons=polygons),
        shape=shape,
        color=(255, 255, 255),
        alpha=alpha,
        width=width,
        seed=seed,
    )


def left_of(
    prompt: VisualPrompt,
    image_wh: tuple[int, int],
    mode: Fit,
    size: int = 336,
    patch_size: int | None = 14,
) -> Visibility:
    return measure(footprint(image_wh, prompt), view(image_wh, mode, size, patch_size))


# --- by hand: 1 px wide outlines in a photo of 640 x 480 px, of which the crop keeps x = 80 to 560


def test_a_mark_in_the_left_eighth_is_lost_by_the_crop() -> None:
    inside = mark("rectangle", (5, 100, 79, 200))
    seen = left_of(inside, PHOTO, "crop")
    assert seen == Visibility(n_px=2 * 75 + 2 * 99, share=0, fitted_px=0, n_patches=0)
    assert (seen.lost, seen.cut) == (True, False)
    beyond = left_of(mark("rectangle", (5, 100, 80, 200)), PHOTO, "crop")
    # One column of 101 px is left, 0.7 px wide; patches are 20 px of the photo: rows 5 to 10.
    assert beyond.share == 101 / (2 * 76 + 2 * 99)
    assert beyond.fitted_px == pytest.approx(101 * 0.49)
    assert beyond.n_patches == 6
    assert (beyond.lost, beyond.cut) == (False, True)


def test_a_mark_across_the_border_is_cut() -> None:
    box = (60, 100, 99, 139)
    for place in (box, (540, 100, 579, 139)):
        seen = left_of(mark("rectangle", place), PHOTO, "crop")
        assert (seen.n_px, seen.share, seen.n_patches) == (156, 0.5, 2)
        assert seen.fitted_px == pytest.approx(78 * (336 / 480) ** 2)
        assert (seen.lost, seen.cut) == (False, True)
    # Padded above by 80 px, at 0.525 px each: x = 31.5 to 52.5 and y = 94.5 to 115.5.
    padded = left_of(mark("rectangle", box), PHOTO, "pad")
    assert (padded.share, padded.n_patches) == (1, 2 * 3)
    assert padded.fitted_px == pytest.approx(156 * 0.525**2)
    # 0.525 and 0.7 px: y = 70 to 98, which are whole patches.
    squashed = left_of(mark("rectangle", box), PHOTO, "squash")
    assert (squashed.share, squashed.n_patches) == (1, 2 * 2)
    assert squashed.fitted_px == pytest.approx(156 * 0.525 * 0.7)
    assert not any(seen.cut or seen.lost for seen in (padded, squashed))


def test_the_crop_keeps_three_quarters_of_the_width_of_a_photo() -> None:
    whole = left_of(mark("mask", (0, 0, 640, 480)), PHOTO, "crop")
    assert (whole.n_px, whole.share, whole.fitted_px) == (640 * 480, 0.75, 336 * 336)
    assert whole.n_patches == 24 * 24


def test_pixels_outside_the_image_do_not_exist() -> None:
    seen = left_of(mark("rectangle", (-30, 100, 20, 139)), PHOTO, "pad")
    assert (seen.n_px, seen.share) == (21 + 21 + 38, 1)
    nothing = left_of(mark("rectangle", (700, 100, 720, 139)), PHOTO, "pad")
    assert nothing == Visibility(n_px=0, share=0, fitted_px=0, n_patches=0)
    assert nothing.lost
    assert left_of(mark("rectangle", (700, 0, 720, 9)), PHOTO, "pad", 336, None).n_patches is None


def test_a_mark_thinner_than_a_pixel_is_lost() -> None:
    size = (6000, 4000)
    seen = left_of(mark("mask", (3000, 2000, 3010, 2025)), size, "pad")
    assert (seen.n_px, seen.share) == (11 * 26, 1)
    assert seen.fitted_px == pytest.approx(11 * 26 * 0.056**2)
    assert (seen.lost, seen.cut) == (True, False)
    assert not left_of(mark("mask", (3000, 2000, 3010, 2029)), size, "pad").lost


def test_what_is_left_over_beyond_the_last_patch_reaches_no_patch() -> None:
    # 27 patches of 14 px cover 378 of 384 px.
    corner = mark("mask", (379, 100, 383, 120))
    seen = left_of(corner, (384, 384), "pad", 384, 14)
    assert (seen.share, seen.fitted_px, seen.n_patches) == (1, 5 * 21, 0)
    assert seen.lost
    assert not left_of(corner, (384, 384), "pad", 384, 16).lost
    across = left_of(mark("mask", (370, 98, 383, 111)), (384, 384), "pad", 384, 14)
    assert (across.fitted_px, across.n_patches) == (14 * 14, 1)


def test_an_image_that_is_not_fitted_keeps_all() -> None:
    found = footprint(PHOTO, mark("rectangle", (5, 100, 79, 200)))
    seen = measure(found, view(PHOTO, "crop", None, 14))
    assert seen == Visibility(n_px=348, share=1, fitted_px=348, n_patches=None)


def test_opacity_does_not_matter() -> None:
    faint = mark("ellipse", (50, 60, 200, 300), alpha=1)
    strong = mark("ellipse", (50, 60, 200, 300), alpha=255)
    assert left_of(faint, PHOTO, "crop") == left_of(strong, PHOTO, "crop")


@pytest.mark.parametrize("image_wh", [(60_000, 1), (1, 60_000), (100_000_000, 1)])
def test_numbers_stay_exact_in_strips(image_wh: tuple[int, int]) -> None:
    # Of a strip, the crop keeps one pixel in the middle: that of a mark of 3 px in a row.
    middle = [side // 2 for side in image_wh]
    along = [int(side > 1) for side in image_wh]
    box = tuple(float(m + sign * a) for sign in (-1, 1) for m, a in zip(middle, along, strict=True))
    found = left_of(mark("mask", (box[0], box[1], box[2], box[3])), image_wh, "crop")
    assert (found.n_px, found.fitted_px, found.n_patches) == (3, 336 * 336, 24 * 24)
    assert found.share == pytest.approx(1 / 3)


# --- against a count of single pixels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [900, 1000, 1024, 2040])
def test_equal_wherever_a_mark_lies_on_a_long_side(x: int, mode: Fit) -> None:
    image_wh = (3000, 5)
    box = (float(x), 1.0, x + 60.0, 3.0)
    drawn = np.zeros((5, 3000), bool)
    drawn[1:4, x : x + 61] = True
    found = left_of(mark("mask", box), image_wh, mode, 56, 14)
    n_px, share, fitted_px, n_patches = slow(drawn, mode, 56, 14)
    assert (found.n_px, found.n_patches) == (n_px, n_patches)
    assert (found.share, found.fitted_px) == (float(share), float(fitted_px))


def slow(
    drawn: np.ndarray, mode: Fit, size: int, patch_size: int
) -> tuple[int, Fraction, Fraction, int]:
    """Count pixel by pixel in fractions: n_px, share, fitted_px, n_patches."""
    height, width = drawn.shape
    if mode == "squash":
        scale = Fraction(size, width), Fraction(size, height)
        shift = Fraction(0), Fraction(0)
    elif mode == "pad":
        side = max(width, height)
        scale = Fraction(size, side), Fraction(size, side)
        shift = (side - width) // 2 * scale[0], (side - height) // 2 * scale[1]
    else:
        short = min(width, height)
        resized = [size if each == short else int(size * each / short) for each in (width, height)]
        scale = Fraction(resized[0], width), Fraction(resized[1], height)
        shift = tuple(Fraction(-((each - size) // 2)) for each in resized)  # type: ignore[assignment]
    per_side = size // patch_size
    area, patches = Fraction(0), set()
    for y, x in np.argwhere(drawn):
        spans = []
        for place, each, offset in ((int(x), scale[0], shift[0]), (int(y), scale[1], shift[1])):
            low = max(place * each + offset, Fraction(0))
            spans.append((low, min((place + 1) * each + offset, Fraction(size))))
        (x0, x1), (y0, y1) = spans
        if x0 >= x1 or y0 >= y1:
            continue
        area += (x1 - x0) * (y1 - y0)
        patches |= {
            (column, row)
            for column in range(floor(x0 / patch_size), ceil(x1 / patch_size))
            for row in range(floor(y0 / patch_size), ceil(y1 / patch_size))
            if column < per_side and row < per_side
        }
    n_px = int(drawn.sum())
    return n_px, area / (n_px * scale[0] * scale[1]), area, len(patches)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equal_to_a_count_of_single_pixels(shape: Shape, mode: Fit) -> None:
    rng = random.Random(f"{shape} {mode}")
    compared = 0
    for seed in range(6):
        image_wh = rng.randint(9, 70), rng.randint(9, 70)
        x0, y0 = rng.uniform(-9, image_wh[0] / 3), rng.uniform(-9, image_wh[1] / 3)
        box = (x0, y0, x0 + rng.uniform(9, 50), y0 + rng.uniform(9, 50))
        size, patch_size = rng.randint(8, 60), rng.randint(2, 8)
        prompt = mark(shape, box, width=None if seed % 2 else 5, seed=seed)
        drawn = np.asarray(render(Image.new("RGB", image_wh), [prompt]))[:, :, 0] > 0
        if not drawn.any():
            continue
        compared += 1
        seen = left_of(prompt, image_wh, mode, size, patch_size)
        n_px, share, fitted_px, n_patches = slow(drawn, mode, size, patch_size)
        assert (seen.n_px, seen.n_patches) == (n_px, n_patches)
        assert seen.share == float(share)
        assert seen.fitted_px == float(fitted_px)
    assert compared >= 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_as_large_as_what_is_seen_in_the_fitted_pixels(shape: Shape, mode: Fit) -> None:
    for image_wh in (PHOTO, (333, 500)):
        # Thick, since thin lines overshoot under bicubic resizing and are then clipped.
        prompt = mark(shape, (60, 90, 260, 300), width=12, seed=3)
        black = Image.new("RGB", image_wh)
        pixels = fit(render(black, [prompt]), mode, 336).astype(int) - fit(black, mode, 336)
        seen = left_of(prompt, image_wh, mode)
        assert pixels[:, :, 0].sum() / 255 == pytest.approx(seen.fitted_px, rel=0.03)


@pytest.mark.parametrize("mode", ["pad", "squash"])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_cut_where_the_whole_image_is_kept(shape: Shape, mode: Fit) -> None:
    rng = random.Random(shape)
    for seed in range(20):
        image_wh = rng.randint(60, 900), rng.randint(60, 900)
        x0, y0 = rng.uniform(0, image_wh[0] - 40), rng.uniform(0, image_wh[1] - 40)
        box = (x0, y0, rng.uniform(x0 + 9, image_wh[0]), rng.uniform(y0 + 9, image_wh[1]))
        seen = left_of(mark(shape, box, seed=seed, width=3), image_wh, mode)
        assert seen.share == 1
        assert not seen.cut


# --- in the results


def task_at_the_left(folder: Path, n: int = 10) -> Path:
    """Make a task of which every second mark lies beyond what the crop keeps of 48 x 32-36 px."""
    make_task(folder, n=n, styles="[red_rectangle, none]")
    path = folder / "own.jsonl"
    questions = [json.loads(line) for line in path.read_text().splitlines()]
    for number, question in enumerate(questions):
        question["box"] = [0, 4, 4, 20] if number % 2 else [2, 4, 30, 20]
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return folder


def test_a_run_counts_lost_marks_and_warns(tmp_path: Path) -> None:
    task_at_the_left(tmp_path)
    said: list[str] = []
    results = run(
        settings(tmp_path, fit="crop", styles="red_rectangle,none"), console=Console(said.append)
    )
    rows = {row.style: row for row in results.rows if row.group == ALL}
    assert (rows["red_rectangle"].n_marks_lost, rows["red_rectangle"].n_marks_cut) == (5, 5)
    assert (rows["none"].n_marks_lost, rows["none"].n_marks_cut) == (0, 0)
    even = next(row for row in results.rows if row.group == "parity=even" and row.style != "none")
    assert (even.n_marks_lost, even.n_marks_cut) == (0, 5)
    assert said == [
        "own under red_rectangle: in 5 of 10 samples a mark is lost (and in 5 one is cut) under "
        "fit crop · use --fit pad · `vipbench check own --visibility` compares the fits"
    ]
    lines = {
        line.id: line
        for line in files.read_lines(results.path / RESPONSES, ResponseLine)
        if line.style == "red_rectangle"
    }
    [lost], [cut] = lines["q1"].visibility or (), lines["q0"].visibility or ()
    assert (lost.share, lost.n_patches, lost.lost) == (0, None, True)
    assert 0 < cut.share < 1
    scores = files.read_lines(results.path / SCORES, ScoreLine)
    found = {(line.style, line.id): (line.n_marks_lost, line.n_marks_cut) for line in scores}
    assert found["red_rectangle", "q1"] == (1, 0)
    assert found["red_rectangle", "q0"] == (0, 1)
    assert found["none", "q0"] == (0, 0)
    again: list[str] = []
    run(settings(tmp_path, fit="crop", styles="red_rectangle,none"), console=Console(again.append))
    assert said[0] in again


def test_a_run_that_keeps_all_marks_says_nothing(tmp_path: Path) -> None:
    task_at_the_left(tmp_path)
    said: list[str] = []
    results = run(
        settings(tmp_path, fit="pad", styles="red_rectangle"), console=Console(said.append)
    )
    assert said == []
    assert {(row.n_marks_lost, row.n_marks_cut) for row in results.rows} == {(0, 0)}


def test_without_images_it_is_not_known(tmp_path: Path) -> None:
    task_at_the_left(tmp_path)
    results = run(settings(tmp_path, fit="crop", styles="red_rectangle", runner="constant"))
    path = results.path
    assert {line.visibility for line in files.read_lines(path / RESPONSES, ResponseLine)} == {None}
    lines = list(files.read_lines(path / SCORES, ScoreLine))
    assert {(line.n_marks_lost, line.n_marks_cut) for line in lines} == {(None, None)}


def test_a_joint_task_counts_the_marks_of_its_parts(tmp_path: Path) -> None:
    make_joint(tmp_path)
    for name in ("first", "second"):
        path = tmp_path / f"{name}.jsonl"
        lines = [
            json.loads(line) | {"box": [0, 4, 4, 20]} for line in path.read_text().splitlines()
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said: list[str] = []
    results = run(
        settings(tmp_path, tasks=("both",), fit="crop", styles="rectangle:red"),
        console=Console(said.append),
    )
    counts = {row.task: row.n_marks_lost for row in results.rows if row.group == ALL}
    assert counts == {"first": 12, "second": 12, "both": 12}
    assert [message.split()[0] for message in said] == ["first", "second"]
    line = next(
        line for line in files.read_lines(results.path / SCORES, ScoreLine) if line.task == "both"
    )
    assert (line.n_marks_lost, line.n_marks_cut) == (2, 0)


def test_the_leaderboard_lists_them_with_what_went_wrong(tmp_path: Path) -> None:
    task_at_the_left(tmp_path)
    results = run(settings(tmp_path, fit="crop", styles="red_rectangle"))
    leaderboard([results.path], tmp_path / "tables")
    text = (tmp_path / "tables" / "leaderboard.md").read_text(encoding="utf-8")
    [title] = [line for line in text.splitlines() if "lost and cut marks" in line]
    header, _, line = text.split(title)[1].split("\n\n")[1].splitlines()[:3]
    cells = dict(zip(header.split(" | "), line.split(" | "), strict=True))
    assert (cells["mark lost"], cells["mark cut"]) == ("5", "5")
    written = json.loads((tmp_path / "tables" / "leaderboard.json").read_text(encoding="utf-8"))
    assert [row["n_marks_lost"] for row in written] == [5]


def test_runs_of_earlier_versions_can_be_read(tmp_path: Path) -> None:
    task_at_the_left(tmp_path)
    results = run(settings(tmp_path, styles="red_rectangle"))
    path = results.path / SUMMARY
    rows = json.loads(path.read_text())
    for row in rows:
        del row["n_marks_lost"], row["n_marks_cut"]
    path.write_text(json.dumps(rows))
    bind_again(results.path)
    assert read_summary(results.path) == results.rows
