"""What is around the regions is taken away."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.prompts.made import KNOWN, sample
from vipbench.errors import DataError, TaskError
from vipbench.images.draw import Footprint, render
from vipbench.images.load import draw_request, load_measured
from vipbench.images.surround import crop_box, cut, subdue
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request, request_key
from vipbench.prompts.styles import load_styles
from vipbench.schema import Polygon, PromptStyle, Region, Request, Sample, Surround
from vipbench.trials.visibility import _footprints

HEADLINE = KNOWN["red_rectangle"]
TRIANGLE: Polygon = ((10, 10), (30, 10), (10, 30))
SIZE = (100, 80)


def noise() -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8))


def style(name: str) -> PromptStyle:
    [parsed] = parse_styles(name, KNOWN, HEADLINE)
    return parsed


def marked(*regions: Region) -> Sample:
    return sample("<r0>?").model_copy(
        update={"regions": regions, "image_size": SIZE, "image": "a.png"}
    )


def ask(name: str, *regions: Region) -> Request:
    return build_request(marked(*regions), style(name), 0)


def around(kind: str, *regions: Region, amount: float = 1, least: int = 56) -> Surround:
    return Surround.model_validate(
        {"kind": kind, "amount": amount, "least": least, "regions": regions}
    )


def test_a_spotlight_leaves_the_pixels_of_boxes_and_outlines() -> None:
    box = Region(box=(40.5, 20, 60, 41))
    shape = Region(box=(10, 10, 30, 30), polygons=(TRIANGLE,))
    image = noise()
    seen = np.asarray(subdue(image, around("spotlight", box, shape)))
    before, grey = np.asarray(image), np.asarray(image.convert("L"))
    inside = np.zeros(SIZE[::-1], bool)
    inside[20:41, 41:60] = True
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    inside |= (columns >= 10) & (rows >= 10) & (columns + rows <= 40)
    assert (seen[inside] == before[inside]).all()
    assert (seen[~inside] == grey[~inside][:, None]).all()


def test_a_blur_leaves_the_regions_and_smooths_the_rest() -> None:
    region = Region(box=(40, 20, 60, 41))
    image = noise()
    seen, before = (
        np.asarray(each).astype(int)
        for each in (subdue(image, around("blur", region, amount=0.02)), image)
    )
    assert (seen[20:41, 40:60] == before[20:41, 40:60]).all()
    assert seen[:15].std() < before[:15].std() / 2


@pytest.mark.parametrize(
    ("boxes", "least", "box"),
    [
        ([(40, 30, 60, 50)], 10, (20, 10, 80, 70)),
        ([(40, 30, 60, 50)], 24, (14, 4, 86, 76)),
        ([(0, 0, 10, 20)], 1, (0, 0, 20, 40)),
        ([(40, 30, 45, 35), (55, 45, 60, 50)], 1, (20, 10, 80, 70)),
        ([(50, 40, 50, 40)], 2, (47, 37, 53, 43)),
    ],
)
def test_a_crop_is_so_many_times_as_large_as_the_regions(
    boxes: list[tuple[float, float, float, float]], least: int, box: tuple[int, ...]
) -> None:
    regions = [Region(box=each) for each in boxes]
    assert crop_box(SIZE, around("crop", *regions, amount=3, least=least)) == box


def test_a_crop_shows_what_was_drawn_and_says_what_it_cuts_off(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.png")
    region = Region(box=(40, 30, 60, 50))
    request = ask("crop", region)
    whole = render(noise(), request.visual_prompts)
    image, *_ = draw_request(noise(), request)
    assert image.tobytes() == whole.crop((0, 0, 100, 80)).tobytes()
    tight = request.model_copy(update={"surround": around("crop", region, amount=0.5, least=1)})
    image, [mark], _ = draw_request(noise(), tight)
    assert image.tobytes() == whole.crop((45, 35, 55, 45)).tobytes()
    assert mark is None
    half = Region(box=(50, 30, 70, 50))
    beside = request.model_copy(update={"surround": around("crop", half, amount=1, least=1)})
    loaded = load_measured(beside, tmp_path, None)
    assert loaded.pixels.shape == (20, 20, 3)
    [seen] = loaded.visibility
    assert 0 < seen.share < 1
    [mark], [n_whole], seen_wh = _footprints(SIZE, beside)
    assert mark is not None
    assert (n_whole, seen_wh) == (seen.n_px, (20, 20))


def test_marks_are_drawn_over_what_is_left_and_named_as_in_the_headline_style() -> None:
    region = Region(box=(40, 30, 60, 50))
    plain, spot = ask("red_rectangle", region), ask("spotlight", region)
    assert spot.turns == plain.turns
    assert spot.visual_prompts == plain.visual_prompts
    image, *_ = draw_request(noise(), spot)
    assert image.tobytes() != draw_request(noise(), plain)[0].tobytes()
    expected = render(subdue(noise(), around("spotlight", region)), plain.visual_prompts)
    assert image.tobytes() == expected.tobytes()


def test_what_is_taken_away_is_in_the_key() -> None:
    region = Region(box=(40, 30, 60, 50))
    keys = {ask(name, region).key for name in ("red_rectangle", "spotlight", "blur", "crop")}
    assert len(keys) == 4
    request = ask("crop", region)
    assert request_key(request, 0, "") == request.key


def test_regions_are_needed_and_have_an_extent() -> None:
    point = Region(box=(40, 30, 40, 30))
    with pytest.raises(DataError, match="keeps what is inside the regions, but they are points"):
        ask("spotlight", point)
    assert ask("crop", point).surround is not None
    with pytest.raises(DataError, match="keeps the regions, but there are none"):
        build_request(marked().model_copy(update={"question": "?"}), style("crop"), 0)
    outside = ask("crop", Region(box=(400, 300, 410, 310)))
    with pytest.raises(DataError, match="no part of it lies in the image of 100 x 80 px"):
        draw_request(noise(), outside)


@pytest.mark.parametrize("name", ["spotlight", "blur", "crop"])
def test_of_several_images_those_without_regions_stay_as_they_are(
    tmp_path: Path, name: str
) -> None:
    region = Region(box=(40, 30, 60, 50))
    for file in ("a.png", "b.png"):
        noise().save(tmp_path / file)
    alone = load_measured(ask(name, region), tmp_path, None)
    there = marked(region.model_copy(update={"image": 1})).model_copy(
        update={"images": ("b.png", "a.png"), "image_sizes": (SIZE, SIZE)}
    )
    loaded = load_measured(build_request(there, style(name), 0), tmp_path, None)
    assert (loaded.each[0] == np.asarray(noise())).all()
    assert np.array_equal(loaded.each[1], alone.pixels)
    assert loaded.visibility == alone.visibility


def test_crop_and_full_are_two_images_with_the_marks_of_each(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.png")
    sample = marked(Region(box=(10, 10, 30, 30), polygons=(TRIANGLE,)))
    full = build_request(sample, HEADLINE, 0)
    small: dict[str, Any] = {"kind": "crop", "amount": 1.2, "least": 1}
    both, crop = (
        build_request(sample, style(name).model_copy(update={"surround": Surround(**fields)}), 0)
        for name, fields in (("crop+full", small | {"full": True}), ("crop", small))
    )
    assert both.images == ("a.png", "a.png")
    assert both.turns == crop.turns == full.turns
    loaded, cropped, whole = (load_measured(each, tmp_path, None) for each in (both, crop, full))
    assert cropped.pixels.shape != whole.pixels.shape
    assert np.array_equal(loaded.each[0], cropped.pixels)
    assert np.array_equal(loaded.each[1], whole.pixels)
    assert loaded.visibility == (*cropped.visibility, *whole.visibility)
    assert Request.model_validate(both.model_dump(mode="json")) == both


def test_crop_and_full_is_asked_with_the_digest_of_its_file_twice() -> None:
    region = Region(box=(40, 30, 60, 50))
    of_files = [
        build_request(marked(region), style("crop+full"), 0, image_digest=digest)
        for digest in ("a" * 64, ["a" * 64], "b" * 64)
    ]
    assert of_files[0] == of_files[1]
    assert len({each.key for each in (*of_files, ask("crop", region))}) == 3
    assert of_files[0].key == request_key(of_files[0], 0, ["a" * 64] * 2)


def test_crop_and_full_is_for_questions_about_one_image() -> None:
    pair = marked(Region(box=(40, 30, 60, 50))).model_copy(
        update={"images": ("a.png", "b.png"), "image_sizes": (SIZE, SIZE)}
    )
    with pytest.raises(DataError, match=r"shows 2 images · style 'crop\+full' shows one .* crop,"):
        build_request(pair, style("crop+full"), 0)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{kind: surround}", "expected kind 'surround' and the key 'surround' together"),
        ("{surround: {kind: crop, amount: 3}}", "expected kind 'surround' and the key"),
        (
            "{kind: surround, surround: {kind: crop, amount: 0}}",
            "amount = 0 · expected a number above",
        ),
        ("{kind: surround, surround: {kind: cut, amount: 1}}", "kind = 'cut' · expected"),
    ],
)
def test_mistakes_in_a_styles_file(tmp_path: Path, entry: str, said: str) -> None:
    (tmp_path / "styles.yaml").write_text(f"bad: {entry}\n")
    with pytest.raises(TaskError) as caught:
        load_styles((tmp_path,))
    assert said in str(caught.value)


def test_what_a_crop_leaves_of_a_mark_lies_where_it_did() -> None:
    # An L, whose left bar is below the crop: what is left begins further to the right.
    mask = Image.new("L", (20, 20))
    mask.paste(255, (9, 0, 20, 20))
    mask.paste(255, (0, 15, 9, 20))
    left = cut(Footprint((15, 10, 35, 30), mask), (10, 5, 60, 24))
    assert left is not None
    assert left.box == (14, 5, 25, 19)
    assert left.mask.getextrema() == (255, 255)
