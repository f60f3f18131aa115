"""A request and its image give the pixels that the model sees."""

import hashlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from vipbench.errors import DataError
from vipbench.images.draw import footprint, render
from vipbench.images.fit import PAD_COLOR, fit
from vipbench.images.load import digest_pixels, load_measured, load_or_error, load_pixels
from vipbench.images.visibility import measure, view
from vipbench.schema import Fit, Region, Request, VisualPrompt

MODES: tuple[Fit, ...] = get_args(Fit)

MARK = VisualPrompt(
    region=Region(box=(10, 8, 50, 30)),
    shape="rectangle",
    color=(255, 0, 0),
    alpha=255,
    width=9,
    seed=0,
)


def request(image: str = "a/photo.png", *, blind: bool = False, how: Fit = "pad") -> Request:
    return Request(
        task="t", style="s", id="1", turns=("?",), image=image, visual_prompts=(MARK,),
        blind=blind, fit=how, max_new_tokens=1, key="k",
    )  # fmt: skip


@pytest.fixture
def photo(tmp_path: Path) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    (tmp_path / "a").mkdir()
    image = Image.fromarray(noise)
    image.save(tmp_path / "a" / "photo.png")
    return image


@pytest.mark.parametrize("how", MODES)
def test_marks_are_drawn_before_fitting(tmp_path: Path, photo: Image.Image, how: Fit) -> None:
    pixels = load_pixels(request(how=how), tmp_path, 32)
    assert np.array_equal(pixels, fit(render(photo, [MARK]), how, 32))
    assert pixels.flags.c_contiguous


def test_without_a_size_the_image_keeps_its_own(tmp_path: Path, photo: Image.Image) -> None:
    pixels = load_pixels(request(), tmp_path, None)
    assert np.array_equal(pixels, np.array(render(photo, [MARK])))
    assert (pixels != np.array(photo)).any()


def test_marks_are_drawn_on_the_turned_image(tmp_path: Path, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a" / "turned.png", exif=exif)
    upright = request("a/turned.png").model_copy(update={"exif": "apply"})
    for how in (request(), request(blind=True)):
        turned = how.model_copy(update={"image": upright.image, "exif": "apply"})
        pixels = load_pixels(turned, tmp_path, None)
        assert np.array_equal(pixels, load_pixels(how, tmp_path, None))


@pytest.mark.usefixtures("photo")
def test_what_is_left_of_each_mark_is_told(tmp_path: Path) -> None:
    found = footprint((64, 40), MARK)
    for how in MODES:
        loaded = load_measured(request(how=how), tmp_path, 32, 8)
        assert np.array_equal(loaded.pixels, load_pixels(request(how=how), tmp_path, 32))
        assert loaded.visibility == (measure(found, view((64, 40), how, 32, 8)),)
    assert load_measured(request(how="crop"), tmp_path, 32).visibility[0].n_patches is None
    [unfitted] = load_measured(request(how="crop"), tmp_path, None, 8).visibility
    assert (unfitted.share, unfitted.fitted_px) == (1, unfitted.n_px)
    assert load_measured(request(blind=True), tmp_path, 32, 8).visibility == ()


@pytest.mark.usefixtures("photo")
def test_blind_is_grey_everywhere_and_of_the_same_size(tmp_path: Path) -> None:
    for size, shape in ((None, (40, 64, 3)), (32, (32, 32, 3))):
        pixels = load_pixels(request(blind=True), tmp_path, size)
        assert pixels.dtype == np.uint8
        assert pixels.shape == shape
        assert (pixels == PAD_COLOR).all()


@pytest.mark.parametrize("how", get_args(Fit))
@pytest.mark.parametrize(
    "size_wh", [(40, 64), (32, 32), (333, 7), (1, 300), (4001, 2999), (10_001, 3)]
)
def test_fitting_makes_a_blank_image_of_a_blank_image(how: Fit, size_wh: tuple[int, int]) -> None:
    for size in (32, 336):
        assert (fit(Image.new("RGB", size_wh, PAD_COLOR), how, size) == PAD_COLOR).all()


@pytest.mark.usefixtures("photo")
def test_pixels_belong_to_the_caller(tmp_path: Path) -> None:
    for asked in (request(), request(blind=True)):
        before = load_pixels(asked, tmp_path, 32).copy()
        load_pixels(asked, tmp_path, 32)[:] = 0
        assert np.array_equal(load_pixels(asked, tmp_path, 32), before)


def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, photo: Image.Image) -> None:
    photo.save(tmp_path / "outside.png")
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match=r"\.\./outside\.png"):
        load_pixels(request("../outside.png"), tmp_path / "root", 32)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"photo\.png"):
        load_pixels(request(), tmp_path, 32)


@pytest.mark.usefixtures("photo")
def test_an_image_comes_with_the_digest_of_its_pixels(tmp_path: Path) -> None:
    for size in (None, 32):
        loaded = load_measured(request(), tmp_path, size)
        assert loaded.digest == digest_pixels(loaded.pixels)


@pytest.mark.usefixtures("photo")
def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    good, bad = request(), request("a/none.png")
    images = {"t": tmp_path}
    ready = load_or_error(good, images, 32, 8)
    assert (ready.request, ready.error) == (good, None)
    assert ready.loaded is not None
    assert ready.loaded.digest == load_measured(good, tmp_path, 32, 8).digest
    assert ready.loaded.visibility == load_measured(good, tmp_path, 32, 8).visibility
    missing = load_or_error(bad, images, 32, 8)
    assert missing.loaded is None
    assert str(missing.error).startswith(f"image: {tmp_path / 'a' / 'none.png'}: ")


def test_digest_covers_shape_and_bytes() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert digest_pixels(pixels) == hashlib.sha256(b"uint8 2x2x3 " + bytes(range(12))).hexdigest()
    assert digest_pixels(pixels) == digest_pixels(np.asfortranarray(pixels))
    assert digest_pixels(pixels) != digest_pixels(pixels.reshape(1, 4, 3))


def test_an_image_that_is_asked_again_is_as_it_was(tmp_path: Path, photo: Image.Image) -> None:
    first = load_pixels(request(), tmp_path, None)
    assert np.array_equal(load_pixels(request(), tmp_path, None), first)
    bare = request().model_copy(update={"visual_prompts": ()})
    assert np.array_equal(load_pixels(bare, tmp_path, None), np.array(photo))


def test_a_file_that_has_changed_is_opened_again(tmp_path: Path, photo: Image.Image) -> None:
    load_pixels(request(), tmp_path, None)
    Image.new("RGB", (8, 9), "blue").save(tmp_path / "a" / "photo.png")
    assert load_pixels(request(), tmp_path, None).shape == (9, 8, 3)


def test_an_image_is_resized_before_anything_is_drawn(tmp_path: Path, photo: Image.Image) -> None:
    asked = request().model_copy(update={"draw_sizes": ((80, 50),)})
    small = photo.resize((80, 50), Image.Resampling.LANCZOS)
    assert np.array_equal(load_pixels(asked, tmp_path, None), np.asarray(render(small, [MARK])))
    assert asked.of_image(0) is asked
    blind = load_pixels(asked.model_copy(update={"blind": True}), tmp_path, None)
    assert blind.shape == (50, 80, 3)


def test_several_images_are_each_drawn_with_the_marks_that_lie_in_them(
    tmp_path: Path, photo: Image.Image
) -> None:
    Image.new("RGB", (30, 50), (0, 90, 0)).save(tmp_path / "a" / "green.png")
    second = MARK.model_copy(update={"region": Region(box=(5, 5, 20, 40), image=1)})
    asked = request().model_copy(
        update={"images": ("a/photo.png", "a/green.png"), "visual_prompts": (second, MARK)}
    )
    alone = request("a/green.png").model_copy(update={"visual_prompts": (second,)})
    for size in (32, None):
        parts = load_measured(request(), tmp_path, size), load_measured(alone, tmp_path, size)
        loaded = load_measured(asked, tmp_path, size)
        assert isinstance(loaded.shown, tuple)
        for shown, part in zip(loaded.shown, parts, strict=True):
            assert np.array_equal(shown, part.pixels)
        assert loaded.visibility == (*parts[1].visibility, *parts[0].visibility)
        joined = "".join(part.digest for part in parts)
        assert loaded.digest == hashlib.sha256(joined.encode()).hexdigest()
    blind = load_measured(asked.model_copy(update={"blind": True}), tmp_path, None)
    assert [each.shape for each in blind.shown] == [(40, 64, 3), (50, 30, 3)]
    assert all((each == PAD_COLOR).all() for each in blind.shown)
    assert blind.visibility == ()
    with pytest.raises(DataError, match="shows 2 images · expected one"):
        load_pixels(asked, tmp_path, 32)
    sizes = ((20, 10), (30, 50))
    resized = load_measured(asked.model_copy(update={"draw_sizes": sizes}), tmp_path, None)
    assert [each.shape for each in resized.shown] == [(10, 20, 3), (50, 30, 3)]
    missing = asked.model_copy(update={"images": ("a/photo.png", "a/none.png")})
    error = load_or_error(missing, {"t": tmp_path}, 32, None).error
    assert error is not None
    assert "none.png" in error
