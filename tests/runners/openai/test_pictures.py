import io

import numpy as np
import pytest
from PIL import Image

from vipbench.runners.openai.pictures import encode, shrink

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (30, 50, 3), dtype=np.uint8)


def test_png_is_what_was_drawn() -> None:
    image = encode(PIXELS, "png", "high")
    assert (image.mime, image.detail, image.n_pixels) == ("image/png", "high", 1500)
    assert (np.asarray(Image.open(io.BytesIO(image.data))) == PIXELS).all()
    assert encode(PIXELS.copy(), "png", "high").data == image.data


def test_jpeg_has_the_quality_that_is_asked_for() -> None:
    small, large = (encode(PIXELS, f"jpeg:{quality}", "low") for quality in (10, 95))
    assert small.mime == "image/jpeg"
    assert len(small.data) < len(large.data)
    assert Image.open(io.BytesIO(small.data)).size == (50, 30)


@pytest.mark.parametrize(
    ("max_side", "shape"), [(None, (30, 50)), (50, (30, 50)), (25, (15, 25)), (1, (1, 1))]
)
def test_only_what_is_too_large_is_shrunk(max_side: int | None, shape: tuple[int, int]) -> None:
    shrunk = shrink(PIXELS, max_side)
    assert shrunk.shape == (*shape, 3)
    assert (shrunk is PIXELS) == (shape == (30, 50))


def test_a_line_does_not_vanish_altogether() -> None:
    assert shrink(np.zeros((1, 400, 3), np.uint8), 20).shape == (1, 20, 3)
