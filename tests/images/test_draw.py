import hashlib
import math
import os
import random
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vipbench.images import draw
from vipbench.images.shapes.registry import find_shape
from vipbench.images.shapes.strokes import Line
from vipbench.prompts.styles import SHAPES
from vipbench.schema import RGB, Box, Polygon, Region, Shape, VisualPrompt

GREY = (200, 200, 200)
HERE = Path(__file__).resolve().parent.parent
GOLDENS: dict[str, Any] = runpy.run_path(str(HERE / "make_goldens.py"))
PICTURES: dict[str, Image.Image] = GOLDENS["pixels"]()


def mark(
    shape: Shape,
    box: Box,
    polygons: tuple[Polygon, ...] = (),
    *,
    width: float | None = 3,
    seed: int = 0,
    color: RGB = (255, 0, 0),
    alpha: int = 128,
) -> VisualPrompt:
    region = Region(box=box, polygons=polygons)
    return VisualPrompt(
        region=region, shape=shape, color=color, alpha=alpha, width=width, seed=seed
    )


def test_opaque_ink_gives_what_its_table_gives_at_every_edge() -> None:
    # all values of a pixel across, all shares of an edge down
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0)
    image = Image.fromarray(np.repeat(ramp, 3, axis=2))
    edge = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, axis=1))
    for color in ((255, 0, 0), (1, 128, 254)):
        table, ink = image.copy(), image.copy()
        table.paste(image.point(draw._blend_table(color, 255)), (0, 0, 256, 256), edge)
        ink.paste(color, (0, 0, 256, 256), edge)
        assert np.array_equal(np.asarray(table), np.asarray(ink))


def grey(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def marked(image: Image.Image, *prompts: VisualPrompt) -> np.ndarray:
    """Where marks that are not grey change a grey image: bool (height, width)."""
    green = np.asarray(draw.render(image, prompts).getchannel("G"))
    changed: np.ndarray = green != GREY[1]
    return changed


def extent(where: np.ndarray) -> tuple[int, int, int, int]:
    """First and last column and row, as x0, y0, x1, y1 with x1 and y1 included."""
    rows, columns = np.nonzero(where)
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def corners(box: Box) -> Polygon:
    x0, y0, x1, y1 = box
    return (x0, y0), (x0, y1), (x1, y1), (x1, y0)


# What is not random: known pixels.


def test_rectangle_pixels() -> None:
    pixels = np.asarray(draw.render(grey(500, 400), [mark("rectangle", (100, 50, 200, 150))]))
    expected = np.full((400, 500, 3), 200)
    expected[50:151, 100:201] = (228, 100, 100)  # red at 128/255 over grey 200
    expected[54:147, 104:197] = 200  # int(3 * 500 / 336) = 4 px, growing inwards
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize(
    ("long_side", "width"), [(500, 4), (640, 5), (1000, 8), (1920, 17), (100, 1)]
)
def test_width_grows_with_the_long_side(long_side: int, width: int) -> None:
    for size in [(long_side, 90), (90, long_side)]:
        where = marked(grey(*size), mark("rectangle", (10, 10, 80, 80)))
        assert where[45].sum() == 2 * width
        assert where[45, 10 : 10 + width].all()


@pytest.mark.parametrize(
    ("long_side", "radius"), [(500, 11), (640, 15), (1000, 23), (1920, 45), (30, 1)]
)
def test_point_is_a_disc_in_the_middle_of_a_box(long_side: int, radius: int) -> None:
    middle = long_side // 2
    box = (middle - 9, middle - 3, middle + 9, middle + 3)
    where = marked(grey(long_side, long_side - 2), mark("point", box, width=8))
    assert extent(where) == (middle - radius,) * 2 + (middle + radius,) * 2
    assert abs(int(where.sum()) - math.pi * (radius + 0.5) ** 2) < 2 * radius + 3


def test_fractions_are_cut_and_parts_outside_are_left_out() -> None:
    where = marked(grey(336, 336), mark("rectangle", (-10.5, 20.9, 30.9, 400.0), width=1))
    expected = np.zeros((336, 336), bool)
    expected[20, :31] = True
    expected[20:, 30] = True
    assert np.array_equal(where, expected)


def test_mask_fills_polygons_once() -> None:
    first, second = corners((10, 10, 40, 40)), corners((30, 30, 60, 50))
    image = draw.render(grey(100, 80), [mark("mask", (10, 10, 60, 50), (first, second))])
    expected = np.full((80, 100, 3), 200)
    expected[10:41, 10:41] = (228, 100, 100)
    expected[30:51, 30:61] = (228, 100, 100)
    assert np.array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("shape", ["mask", "mask contour"])
def test_a_box_stands_in_for_missing_polygons(shape: Shape) -> None:
    box = (10.5, 20.0, 70.0, 60.25)
    alone = draw.render(grey(100, 80), [mark(shape, box)])
    given = draw.render(grey(100, 80), [mark(shape, (0, 0, 1, 1), (corners(box),))])
    assert alone.tobytes() == given.tobytes()
    assert marked(grey(100, 80), mark(shape, box)).any()


def test_contour_is_two_widths_and_one_pixel_thick() -> None:
    where = marked(grey(336, 336), mark("mask contour", (50, 60, 150, 200), width=2))
    expected = np.zeros((336, 336), bool)
    expected[58:203, 48:153] = True
    expected[63:198, 53:148] = False
    assert np.array_equal(where, expected)


def test_contour_is_the_outline_at_every_shift() -> None:
    rng = random.Random(0)
    for i in range(25):
        low = rng.choice([0, -4, -60])
        polygons = tuple(
            tuple((rng.uniform(low, 130), rng.uniform(low, 100)) for _ in range(rng.randint(3, 7)))
            for _ in range(rng.randint(1, 2))
        )
        width = rng.randint(1, 4)
        image = grey(120, 90)
        plain = ImageDraw.Draw(image)
        for polygon in polygons:
            for dx in range(-width, width + 1):
                for dy in range(-width, width + 1):
                    plain.polygon([(x + dx, y + dy) for x, y in polygon], outline=(255, 0, 0))
        prompt = mark("mask contour", (0, 0, 1, 1), polygons, width=width * 2.85, alpha=255)
        assert draw.render(grey(120, 90), [prompt]).tobytes() == image.tobytes(), i


def test_scribble_is_a_bezier_curve_in_short_segments() -> None:
    for seed, size in enumerate([(336, 300), (500, 200), (90, 100)]):
        rng = random.Random(seed)
        p = [(rng.uniform(10, 80), rng.uniform(20, 70)) for _ in range(4)]
        n = int(1000 * max(size) / 336)
        curve = []
        for t in (i / (n - 1) for i in range(n)):
            weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
            curve.append(
                tuple(sum(w * q[k] for w, q in zip(weights, p, strict=True)) for k in (0, 1))
            )
        image = grey(*size)
        plain = ImageDraw.Draw(image)
        for start, end in pairwise(curve):
            plain.line([start, end], fill=(255, 0, 0), width=max(int(5 * max(size) / 336), 1))
        prompt = mark("scribble", (10, 20, 80, 70), width=5, seed=seed, alpha=255)
        assert draw.render(grey(*size), [prompt]).tobytes() == image.tobytes()


# Blending.


def test_marks_are_blended_one_after_another() -> None:
    rng = random.Random(0)
    image = GOLDENS["background"]()
    layers = image.convert("RGBA")
    prompts = []
    for alpha in (1, 48, 128, 200, 254):
        color = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        box = (rng.randrange(100), rng.randrange(90), 150, 120)
        prompts.append(mark("mask", box, color=color, alpha=alpha))
        layer = Image.new("RGBA", image.size)
        ImageDraw.Draw(layer).rectangle(box, fill=(*color, alpha))
        layers = Image.alpha_composite(layers, layer)
    expected = layers.convert("RGB").tobytes()
    assert draw.render(image, prompts).tobytes() == expected
    assert draw.render(image, prompts[::-1]).tobytes() != expected


def test_opacity_ends() -> None:
    image = GOLDENS["background"]()
    box = (20, 20, 90, 90)
    assert draw.render(image, [mark("mask", box, alpha=0)]).tobytes() == image.tobytes()
    opaque = np.asarray(draw.render(image, [mark("mask", box, alpha=255)]))
    assert (opaque[20:91, 20:91] == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1"])
def test_input_is_left_as_it_is(mode: str) -> None:
    image = GOLDENS["background"]().convert(mode)
    before = image.tobytes()
    result = draw.render(image, [mark("mask", (0, 0, 100, 100))])
    assert (result.mode, result.size) == ("RGB", image.size)
    assert (image.mode, image.tobytes()) == (mode, before)
    unmarked = draw.render(image, [])
    assert unmarked is not image
    assert unmarked.tobytes() == image.convert("RGB").tobytes()


# Same record, same pixels.


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_goldens(name: str) -> None:
    picture = PICTURES[name]
    golden = Image.open(HERE / "golden" / "pixels" / name)
    difference = (np.asarray(picture) != np.asarray(golden)).any(axis=2)
    assert difference.sum() == 0, f"{name} differs from its golden · see tests/make_goldens.py"


def test_every_shape_has_a_golden_and_none_is_left_over() -> None:
    names = {path.name for path in (HERE / "golden" / "pixels").iterdir()}
    assert names == PICTURES.keys()
    assert names > {f"{shape.replace(' ', '_')}.png" for shape in SHAPES}


def test_same_pixels_in_another_process() -> None:
    program = (
        "import hashlib, runpy, sys\n"
        "pictures = runpy.run_path(sys.argv[1])['pixels']()\n"
        "data = b''.join(pictures[name].tobytes() for name in sorted(pictures))\n"
        "print(hashlib.sha256(data).hexdigest())"
    )
    here = hashlib.sha256(b"".join(PICTURES[name].tobytes() for name in sorted(PICTURES)))
    for hash_seed in ("1", "4242"):
        there = subprocess.run(
            [sys.executable, "-c", program, str(HERE / "make_goldens.py")],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        assert there.stdout.strip() == here.hexdigest()


@pytest.mark.parametrize("shape", ["ellipse", "triangle", "point", "scribble", "arrow"])
def test_only_the_seed_decides(shape: Shape) -> None:
    box = (60, 50, 260, 200)
    prompts = [mark(shape, box, (corners(box),), seed=seed) for seed in (1, 1, 2)]
    random.seed(7)
    first = draw.render(grey(400, 300), prompts[:1]).tobytes()
    np.random.default_rng(1)
    random.seed(8)
    assert draw.render(grey(400, 300), prompts[1:2]).tobytes() == first
    assert draw.render(grey(400, 300), prompts[2:]).tobytes() != first
    # A mark looks the same whatever was drawn before it.
    alone = marked(grey(400, 300), prompts[2])
    after = marked(grey(400, 300), prompts[0], prompts[2])
    assert np.array_equal(after, alone | marked(grey(400, 300), prompts[0]))


def test_a_seed_stands_for_one_geometry_whatever_the_width() -> None:
    for seed in range(5):
        extents = {
            extent(marked(grey(336, 336), mark("ellipse", (90, 90, 240, 180), width=w, seed=seed)))
            for w in (None, 1, 8)
        }
        assert len(extents) == 1


# What is random: the distributions of the official code, under fixed seeds.


def stroke(shape: Shape, width: float | None, seed: int) -> int:
    """Thickness in px of the left side of an upright shape, in an image with a 336-px side."""
    where = marked(grey(336, 300), mark(shape, (100, 100, 239, 199), width=width, seed=seed))
    x0 = extent(where)[0]
    row = where[150, x0:]
    return int(np.argmin(row))


@pytest.mark.parametrize(
    ("shape", "low", "high"), [("rectangle", 2, 8), ("ellipse", 2, 8), ("mask contour", 1, 2)]
)
def test_training_widths(shape: Shape, low: int, high: int) -> None:
    measured = [stroke(shape, None, seed) for seed in range(350)]
    widths = [(m - 1) // 2 for m in measured] if shape == "mask contour" else measured
    counts = {w: widths.count(w) for w in set(widths)}
    assert set(counts) == set(range(low, high + 1))
    expected = 350 / (high - low + 1)
    assert all(abs(count - expected) < 4 * expected**0.5 for count in counts.values())


@pytest.mark.parametrize(
    ("shape", "low", "high"), [("triangle", 2, 8), ("scribble", 2, 12), ("arrow", 1, 6)]
)
def test_training_widths_of_lines(shape: Shape, low: int, high: int) -> None:
    widths = []
    for seed in range(400):
        prompt = mark(shape, (100, 100, 239, 199), width=None, seed=seed)
        line = next(iter(find_shape(shape).strokes(prompt.region, prompt, (336, 300))))
        assert isinstance(line, Line)
        widths.append(line.width)
    counts = {width: widths.count(width) for width in set(widths)}
    assert set(counts) == set(range(low, high + 1))
    expected = 400 / (high - low + 1)
    assert all(abs(count - expected) < 4 * expected**0.5 for count in counts.values())


def test_training_points() -> None:
    heights, ratios = [], []
    for seed in range(400):
        where = marked(grey(336, 336), mark("point", (160, 160, 176, 176), width=None, seed=seed))
        x0, y0, x1, y1 = extent(where)
        heights.append((y1 - y0) / 2)
        ratios.append((x1 - x0) / (y1 - y0))
    circles = [h for h, r in zip(heights, ratios, strict=True) if r == 1]
    assert 160 < len(circles) < 240
    assert set(circles) == set(range(5, 21))
    ovals = [r for r in ratios if r != 1]
    # Aspect U(0.5, 2) stretches one way and shrinks the other, so the ratio is its square.
    assert 0.2 < min(ovals) < 0.4
    assert 3.4 < max(ovals) < 4.3
    assert 0.55 < sum(r > 1 for r in ovals) / len(ovals) < 0.78  # 2 in 3


def test_ellipse_is_up_to_half_as_large_again() -> None:
    ratios = []
    for seed in range(200):
        x0, y0, x1, y1 = extent(
            marked(grey(600, 600), mark("ellipse", (200, 250, 400, 350), seed=seed))
        )
        assert (x0 + x1) / 2 == pytest.approx(300, abs=1)
        assert (y0 + y1) / 2 == pytest.approx(300, abs=1)
        assert (y1 - y0) / 100 == pytest.approx((x1 - x0) / 200, abs=0.02)
        ratios.append((x1 - x0) / 200)
    assert 0.99 < min(ratios) < 1.03
    assert 1.47 < max(ratios) < 1.51
    assert sum(ratios) / 200 == pytest.approx(1.25, abs=0.035)


def test_ellipse_surrounds_all_polygons() -> None:
    polygons = (corners((100, 100, 150, 150)), corners((300, 200, 350, 260)))
    image = grey(500, 400)
    around_polygons = marked(image, mark("ellipse", (0, 0, 9, 9), polygons, seed=3))
    around_box = marked(image, mark("ellipse", (100, 100, 350, 260), seed=3))
    assert np.array_equal(around_polygons, around_box)


def point_centers(polygons: tuple[Polygon, ...], n: int) -> np.ndarray:
    centers = []
    for seed in range(n):
        x0, y0, x1, y1 = extent(
            marked(grey(600, 600), mark("point", (0, 0, 9, 9), polygons, seed=seed))
        )
        centers.append(((x0 + x1) / 2, (y0 + y1) / 2))
    return np.array(centers)


def test_point_jitter_has_an_eighth_of_the_size_as_variance() -> None:
    centers = point_centers((corners((200, 150, 400, 450)),), 600)
    # Cutting fractions off shifts by half a pixel.
    assert centers.mean(axis=0) == pytest.approx([299.5, 299.5], abs=0.8)
    assert centers.std(axis=0) == pytest.approx([(200 / 8) ** 0.5, (300 / 8) ** 0.5], rel=0.1)


def test_point_lies_on_one_polygon_at_random() -> None:
    centers = point_centers((corners((100, 100, 180, 180)), corners((400, 400, 480, 480))), 200)
    on_first = centers[:, 0] < 300
    assert 70 < on_first.sum() < 130
    assert centers[on_first].mean(axis=0) == pytest.approx([139.5, 139.5], abs=2)
    assert centers[~on_first].mean(axis=0) == pytest.approx([439.5, 439.5], abs=2)


def test_point_seeks_the_inside_of_a_polygon() -> None:
    # The left half of the bounds is outside but for a thin line.
    wedge = ((200, 200), (400, 199), (400, 401), (300, 401), (300, 202))
    centers = point_centers((wedge,), 200)
    assert (centers[:, 0] >= 299).mean() > 0.97


def widest_angle(points: list[tuple[float, float]]) -> float:
    angles = []
    for a, b, c in (points, points[1:] + points[:1], points[2:] + points[:2]):
        u, v = np.subtract(a, b), np.subtract(c, b)
        angles.append(abs(math.degrees(math.atan2(u[0] * v[1] - u[1] * v[0], u @ v))))
    return max(angles)


def test_triangle_has_no_angle_over_150_degrees() -> None:
    redrawn = 0
    for seed in range(40):
        rng = random.Random(seed)
        points = [(rng.uniform(10, 320), rng.uniform(40, 60)) for _ in range(3)]
        while widest_angle(points) > 150:
            points = [(rng.uniform(10, 320), rng.uniform(40, 60)) for _ in range(3)]
            redrawn += 1
        image = grey(336, 100)
        ImageDraw.Draw(image).line([*points, points[0]], fill=(255, 0, 0), width=6, joint="curve")
        prompt = mark("triangle", (10, 40, 320, 60), width=6, seed=seed, alpha=255)
        assert draw.render(grey(336, 100), [prompt]).tobytes() == image.tobytes()
    assert redrawn > 40


@pytest.mark.parametrize("shape", ["triangle", "scribble"])
def test_points_come_from_inside_the_polygons(shape: Shape) -> None:
    # Two corners of the bounds: a line between them crosses the middle, the others stay empty.
    polygons = (corners((20, 20, 120, 120)), corners((220, 220, 320, 320)))
    crossing = 0
    for seed in range(60):
        where = marked(grey(336, 336), mark(shape, (0, 0, 9, 9), polygons, width=1, seed=seed))
        assert not where[:118, 222:].any()
        assert not where[222:, :118].any()
        crossing += bool(where[125:215, 125:215].any())
    if shape == "scribble":  # stays in one polygon
        assert crossing == 0
    else:  # three points, one of two polygons each: 3 in 4 have points in both
        assert 35 < crossing < 55


def test_scribble_fills_its_box_and_stays_in_it() -> None:
    lengths = []
    seen = np.zeros((336, 336), bool)
    for seed in range(200):
        where = marked(grey(336, 336), mark("scribble", (50, 80, 250, 180), width=1, seed=seed))
        lengths.append(int(where.sum()))
        seen |= where
    assert extent(seen)[0] >= 50
    assert extent(seen)[1] >= 80
    assert extent(seen)[2] <= 250
    assert extent(seen)[3] <= 180
    assert seen[80:181, 50:251].mean() > 0.5
    assert min(lengths) > 10


def test_arrow_reach_and_direction() -> None:
    offsets = []
    for seed in range(300):
        # 0.8 * 40 <= length <= 50; the tip lies within (20, 10) of the middle.
        where = marked(grey(336, 336), mark("arrow", (128, 148, 208, 188), width=1, seed=seed))
        rows, columns = np.nonzero(where)
        reach = np.hypot(columns - 168, rows - 168).max()
        assert reach < 50 + np.hypot(20, 10) + 5
        assert np.hypot(*np.ptp(np.nonzero(where), axis=1)) > 10
        offsets.append((columns.mean() - 168, rows.mean() - 168))
    spread = np.array(offsets)
    assert np.abs(spread.mean(axis=0)).max() < 3.5
    # Uniform angles: the arrow points from every side.
    quadrants = [
        ((spread[:, 0] > 0) == a) & ((spread[:, 1] > 0) == b) for a in (0, 1) for b in (0, 1)
    ]
    assert all(45 < q.sum() < 105 for q in quadrants)


# Odd regions.


@pytest.mark.parametrize("width", [None, 0.01, 3, 60])
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_regions_do_no_harm(shape: Shape, width: float | None) -> None:
    boxes: list[Box] = [
        (5, 5, 5, 5),
        (5.5, 5, 5.5, 60),
        (5, 9, 80, 9),
        (-90, -90, -40, -40),
        (1e6, 1e6, 1e6, 1e6),
        (-500, -500, 900, 900),
    ]
    flat: list[tuple[Polygon, ...]] = [
        (),
        (((0, 0), (60, 40), (30, 20)),),
        (((7, 7), (7, 7), (7, 7)),),
        (((-50, -50), (-20, -50), (-20, -20)), ((3, 3), (4, 3), (4, 4))),
    ]
    for size in [(1, 1), (100, 60), (1, 300)]:
        for box in boxes:
            for polygons in flat:
                result = draw.render(grey(*size), [mark(shape, box, polygons, width=width)])
                assert (result.mode, result.size) == ("RGB", size)


@pytest.mark.parametrize("box", [(10, 20, 60, 20), (10, 20, 10, 60)])
def test_the_outline_of_a_flat_region_is_drawn_around_it(box: Box) -> None:
    x0, y0, x1, y1 = map(int, box)
    expected = np.zeros((80, 100), bool)
    expected[y0 - 1 : y1 + 2, x0 - 1 : x1 + 2] = True
    for polygons in ((), (((x0, y0), (x1, y1), (x0, y0)),)):
        prompt = mark("mask contour", box, polygons, width=4)  # 1 px of an image this small
        assert np.array_equal(marked(grey(100, 80), prompt), expected)


@pytest.mark.parametrize("box", [(10, 20, 60, 20), (10, 20, 10, 60)])
def test_a_triangle_without_extent_joins_the_first_three_points(box: Box) -> None:
    """All its triangles are flat, so that none is drawn again: the line is not by chance longer."""
    x0, y0, x1, y1 = box
    for seed in range(9):
        rng = random.Random(seed)
        points = [(rng.uniform(x0, x1), rng.uniform(y0, y1)) for _ in range(3)]
        image = grey(100, 80)
        ImageDraw.Draw(image).line([*points, points[0]], fill=(255, 0, 0), width=1, joint="curve")
        prompt = mark("triangle", box, seed=seed, alpha=255)
        assert draw.render(grey(100, 80), [prompt]).tobytes() == image.tobytes()


@pytest.mark.parametrize("shape", ["rectangle", "mask", "mask contour", "scribble", "triangle"])
def test_nothing_is_drawn_far_outside(shape: Shape) -> None:
    assert not marked(grey(100, 100), mark(shape, (300, 300, 400, 400))).any()


def test_an_inverted_rectangle_is_refused() -> None:
    with pytest.raises(ValueError, match="x1 must be greater"):
        draw.render(grey(100, 100), [mark("rectangle", (50, 10, 20, 30))])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_footprint_is_what_drawing_changes(shape: Shape) -> None:
    rng = random.Random(shape)
    for seed in range(6):
        x0, y0 = rng.uniform(-30, 60), rng.uniform(-30, 50)
        box = (x0, y0, x0 + rng.uniform(20, 70), y0 + rng.uniform(20, 70))
        prompt = mark(shape, box, width=None if seed % 2 else 9, seed=seed, alpha=255)
        image = grey(90, 70)
        where = marked(image, prompt)
        found = draw.draw_mark(image, prompt)
        assert np.array_equal(np.asarray(image), np.asarray(draw.render(grey(90, 70), [prompt])))
        whole = np.zeros((70, 90), bool)
        if found is not None:
            x0, y0, x1, y1 = found.box
            whole[y0:y1, x0:x1] = np.asarray(found.mask) == 255
            assert extent(whole) == (x0, y0, x1 - 1, y1 - 1)
        assert np.array_equal(whole, where)
        faint = draw.footprint((90, 70), prompt.model_copy(update={"alpha": 0}))
        assert (faint and faint.box) == (found and found.box)


def test_a_mark_beyond_the_image_has_no_footprint() -> None:
    image = grey(40, 30)
    assert draw.draw_mark(image, mark("rectangle", (50, 5, 60, 9))) is None
    assert image.tobytes() == grey(40, 30).tobytes()
