import random
import subprocess
import sys
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageFilter

from vipbench.images.fit import PAD_COLOR, fit, fit_box, fitted_frame
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


# --- long and thin images


STRIPS = [(900, 1), (1, 900), (1500, 37), (37, 1500), (2, 700), (700, 3), (30, 20), (299, 300)]


def blocks(width: int, height: int) -> Image.Image:
    """Black and white blocks of 9 px, at whose edges bicubic resizing overshoots."""
    rng = np.random.default_rng(width + height)
    small = rng.integers(0, 2, (height // 9 + 1, width // 9 + 1), np.uint8) * 255
    pixels = small.repeat(9, axis=0).repeat(9, axis=1)[:height, :width]
    return Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2))


@pytest.mark.parametrize("make", [noise, blocks])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("image_wh", STRIPS)
def test_a_strip_becomes_the_same_without_a_large_image_on_the_way(
    make: Callable[[int, int], Image.Image],
    mode: Fit,
    image_wh: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = make(*image_wh)
    plain = fit(image, mode, 96).astype(int)
    monkeypatch.setattr("vipbench.images.fit.MAX_PIXELS", 1)
    without = fit(image, mode, 96)
    assert without.shape == (96, 96, 3)
    assert without.dtype == np.uint8
    assert abs(without - plain).max() <= 2
    assert abs(without - plain).mean() < 0.01


@pytest.mark.parametrize("mode", ["pad", "squash"])
@pytest.mark.parametrize("upright", [False, True])
def test_pixels_of_very_long_sides_are_averaged_first(
    mode: Fit, upright: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(20_000, 3).filter(ImageFilter.BoxBlur(9))
    image = image.transpose(Image.Transpose.TRANSPOSE) if upright else image
    plain = fit(image, mode, 16).astype(int)
    monkeypatch.setattr("vipbench.images.fit.MAX_PIXELS", 1)
    monkeypatch.setattr("vipbench.images.fit.MAX_SIDE", 4_000)
    assert abs(fit(image, mode, 16) - plain).max() <= 2


def test_the_longest_strips_fit_into_little_memory() -> None:
    program = (
        "import resource, sys\n"
        "from PIL import Image\n"
        "from vipbench.images.fit import fit, PAD_COLOR\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 ** 30, 2 ** 30))\n"
        "for size in ((60_000, 1), (1, 60_000), (3_000_000, 1), (1, 3_000_000), (20_000, 9)):\n"
        "    image = Image.new('RGB', size, (255, 0, 0))\n"
        "    for mode in ('squash', 'crop'):\n"
        "        assert (fit(image, mode, 336) == (255, 0, 0)).all(), (size, mode)\n"
        "    padded = fit(image, 'pad', 336)\n"
        "    thin = min(size) * 336 / max(size)\n"
        "    assert abs(padded.astype(int) - PAD_COLOR).max() <= 140 * thin + 1, size\n"
        "print('done')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr[-2000:]


@pytest.mark.parametrize("mode", MODES)
def test_the_frame_is_where_the_pixels_go(mode: Fit) -> None:
    rng = random.Random(mode)
    for _ in range(20):
        image_wh = rng.randint(20, 400), rng.randint(20, 400)
        ramp_x = np.tile(np.linspace(0, 255, image_wh[0]), (image_wh[1], 1))
        ramp_y = np.tile(np.linspace(0, 255, image_wh[1]), (image_wh[0], 1)).T
        levels = np.stack([ramp_x, ramp_y, ramp_x], axis=2).round().astype(np.uint8)
        pixels = fit(Image.fromarray(levels), mode, 96).astype(float)
        frame = fitted_frame(image_wh, mode, 96)
        # The middle of the image, whose level is 127.5, wherever it went.
        for channel, axis, length in ((0, frame.x, image_wh[0]), (1, frame.y, image_wh[1])):
            at = (length / 2 * axis.times + axis.plus) / axis.over
            line = pixels[48, :, channel] if channel == 0 else pixels[:, 48, channel]
            step = 255 / (length - 1) / (axis.times / axis.over)
            assert np.interp(at, np.arange(96) + 0.5, line) == pytest.approx(127.5, abs=step + 1)


def test_the_frame_of_a_photo() -> None:
    assert fitted_frame((640, 480), "pad", 336) == ((336, 0, 640), (336, 80 * 336, 640))
    assert fitted_frame((640, 480), "squash", 336) == ((336, 0, 640), (336, 0, 480))
    assert fitted_frame((640, 480), "crop", 336) == ((448, -56 * 640, 640), (336, 0, 480))
    # 448.9 px are cut to 448, and an odd pixel of the border goes to the bottom.
    assert fitted_frame((501, 375), "crop", 336) == ((448, -56 * 501, 501), (336, 0, 375))
    assert fitted_frame((64, 47), "pad", 64) == ((64, 0, 64), (64, 8 * 64, 64))
