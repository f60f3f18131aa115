import random
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from vipbench.fit import PAD_COLOR, fit, fit_box
from vipbench.schema import Fit

MODES: tuple[Fit, ...] = get_args(Fit)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "size", [(640, 480), (480, 640), (333, 500), (17, 400), (336, 336), (1, 1)]
)
def test_result_is_a_square_of_bytes(mode: Fit, size: tuple[int, int]) -> None:
    image = noise(*size)
    before = image.tobytes()
    pixels = fit(image, mode, 336)
    assert pixels.shape == (336, 336, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", MODES)
def test_the_wanted_size_is_not_resampled(mode: Fit) -> None:
    image = noise(64, 64)
    assert np.array_equal(fit(image, mode, 64), np.asarray(image))


def test_pad_centres_on_the_mean_color() -> None:
    image = noise(64, 47)
    pixels = fit(image, "pad", 64)
    # 17 rows of border: 8 above, 9 below.
    assert np.array_equal(pixels[8:55], np.asarray(image))
    assert (pixels[:8] == PAD_COLOR).all()
    assert (pixels[55:] == PAD_COLOR).all()
    upright = fit(image.transpose(Image.Transpose.TRANSPOSE), "pad", 64)
    assert np.array_equal(upright, pixels.transpose(1, 0, 2))
    assert tuple(int(m * 255) for m in (0.48145466, 0.4578275, 0.40821073)) == PAD_COLOR


def test_pad_pads_before_it_resizes() -> None:
    square = Image.new("RGB", (500, 500), (122, 116, 104))
    square.paste(noise(500, 375), (0, 62))
    expected = square.resize((336, 336), Image.Resampling.BICUBIC)
    assert np.array_equal(fit(noise(500, 375), "pad", 336), np.asarray(expected))


def test_squash_is_pillows_plain_resize() -> None:
    image = noise(500, 375)
    assert np.array_equal(fit(image, "squash", 336), np.asarray(image.resize((336, 336))))


@pytest.mark.parametrize(
    ("size", "resized", "corner"),
    [
        ((500, 375), (448, 336), (56, 0)),
        ((375, 500), (336, 448), (0, 56)),
        ((501, 375), (448, 336), (56, 0)),  # 448.9 is cut to 448
        ((503, 375), (450, 336), (57, 0)),
        ((337, 336), (337, 336), (0, 0)),
    ],
)
def test_crop_keeps_the_middle(
    size: tuple[int, int], resized: tuple[int, int], corner: tuple[int, int]
) -> None:
    image = noise(*size)
    whole = np.asarray(image.resize(resized, Image.Resampling.BICUBIC))
    left, top = corner
    assert np.array_equal(fit(image, "crop", 336), whole[top : top + 336, left : left + 336])


def test_fit_box() -> None:
    box = (100.0, 50.0, 300.0, 450.0)
    assert fit_box(box, (1000, 500), "squash") == (0.1, 0.1, 0.3, 0.9)
    assert fit_box(box, (1000, 500), "pad") == (0.1, 0.3, 0.3, 0.7)
    assert fit_box(box, (1000, 500), "crop") == (-0.3, 0.1, 0.1, 0.9)
    assert fit_box((0, 0, 10, 13), (10, 13), "pad") == (1 / 13, 0, 11 / 13, 1)


@pytest.mark.parametrize("mode", MODES)
def test_fit_box_is_where_the_pixels_go(mode: Fit) -> None:
    rng = random.Random(1)
    seen = 0
    for _ in range(30):
        width, height = rng.randint(300, 900), rng.randint(300, 900)
        x0, y0 = rng.randrange(width - 60), rng.randrange(height - 60)
        x1, y1 = rng.randrange(x0 + 40, width), rng.randrange(y0 + 40, height)
        image = Image.new("RGB", (width, height))
        image.paste((255, 255, 255), (x0, y0, x1, y1))
        white = (fit(image, mode, 336) > 180).all(axis=2)
        expected = [min(max(f, 0), 1) * 336 for f in fit_box((x0, y0, x1, y1), image.size, mode)]
        if expected[2] - expected[0] < 5 or expected[3] - expected[1] < 5:
            continue  # cropped away
        seen += 1
        rows, columns = np.nonzero(white)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found == pytest.approx(expected, abs=1.6)
    assert seen > 15
