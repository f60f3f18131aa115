"""The colour around a region."""

from pathlib import Path

import pytest
from PIL import Image

from vipbench.errors import DataError
from vipbench.images.surroundings import most_frequent, surroundings
from vipbench.schema import RGB, Region, Sample


def two_halves(left: RGB, right: RGB) -> Image.Image:
    image = Image.new("RGB", (100, 50), left)
    image.paste(right, (50, 0, 100, 50))
    return image


def test_it_is_the_most_frequent_one_in_steps_of_8_levels() -> None:
    image = two_halves((255, 0, 9), (10, 200, 0))
    assert most_frequent(image, (5, 5, 40, 40)) == (252, 4, 12)
    assert most_frequent(image, (60, 5, 90, 40)) == (12, 204, 4)
    # The rim is a tenth of the box: 40-70 becomes 37-73, of which 13 columns are left ones.
    assert most_frequent(image, (40, 5, 70, 40)) == (12, 204, 4)
    assert most_frequent(image, (35, 5, 61, 40)) == (252, 4, 12)


def test_noise_splits_no_surface() -> None:
    image = Image.new("RGB", (40, 40), (0, 0, 0))
    image.paste((200, 200, 200), (0, 0, 40, 14))
    for x in range(40):
        for y in range(14, 40):
            image.putpixel((x, y), (96 + x % 8, 160 + y % 8, 0))
    assert most_frequent(image, (4, 4, 36, 36)) == (100, 164, 4)


def test_of_equally_frequent_ones_the_darkest_counts() -> None:
    image = two_halves((255, 0, 0), (0, 255, 0))
    assert most_frequent(image, (40, 5, 60, 40)) == (4, 252, 4)


@pytest.mark.parametrize("box", [(-30, 10, -20, 20), (0, 0, 0, 0), (99, 49, 300, 300)])
def test_a_box_beyond_the_border_has_the_colour_there(box: tuple[int, int, int, int]) -> None:
    image = two_halves((255, 0, 0), (0, 255, 0))
    assert most_frequent(image, box) == ((4, 252, 4) if box[0] > 50 else (252, 4, 4))


def test_each_region_is_looked_at_in_its_image_at_the_size_that_is_drawn_on(
    tmp_path: Path,
) -> None:
    two_halves((255, 0, 0), (0, 255, 0)).save(tmp_path / "a.png")
    two_halves((0, 0, 255), (255, 255, 0)).save(tmp_path / "b.png")
    sample = Sample(
        id="1", image="a.png", images=("a.png", "b.png"), question="?", target="A", group="a",
        regions=(Region(box=(30, 5, 45, 20)), Region(box=(30, 5, 45, 20), image=1)),
    )  # fmt: skip
    assert surroundings(sample, tmp_path) == ((252, 4, 4), (4, 4, 252))
    halved = sample.model_copy(update={"draw_sizes": ((50, 25), (50, 25))})
    assert surroundings(halved, tmp_path) == ((4, 252, 4), (252, 252, 4))
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b\.png"):
        surroundings(sample, tmp_path)
