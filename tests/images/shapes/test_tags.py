from typing import Any

import numpy as np
import pytest
from PIL import Image

from vipbench.errors import DataError, TaskError
from vipbench.images.draw import footprint, render
from vipbench.images.shapes import tags
from vipbench.schema import RGB, Box, Region, Setting, VisualPrompt

VPBENCH: dict[str, Any] = {
    "place": "below",
    "offset": (0, -25),
    "font": "hershey",
    "size": 0.5,
    "ink": "white",
    "box_color": "black",
    "padding": (2, 2, 0, 2),
    "clamp": "top",
    "anchor": "point",
    "unit": "px",
    "radius": 5,
}
"""Its default label; TonyLianLong/VPBench @ 3610467, evaluation/config.py."""
GREY: RGB = (128, 128, 128)


def tag(
    text: str = "A", at: Box = (60, 60, 60, 60), color: RGB = (255, 0, 0), **settings: Setting
) -> VisualPrompt:
    return VisualPrompt(
        region=Region(box=at),
        shape="tag",
        color=color,
        alpha=255,
        width=None,
        seed=0,
        text=text,
        settings=settings,
    )


def drawn(mark: VisualPrompt, size_wh: tuple[int, int] = (240, 180)) -> np.ndarray:
    return np.asarray(render(Image.new("RGB", size_wh, GREY), [mark]))


def place(mark: VisualPrompt, size_wh: tuple[int, int] = (240, 180)) -> tuple[int, ...] | None:
    found = footprint(size_wh, mark)
    return found.box if found else None


@pytest.mark.parametrize(
    ("point", "box"),
    [
        # (tw, th) = (10, 12): left = x - 5, top = y - 25; a column more to the right, three rows
        ((60, 60), (53, 33, 66, 50)),
        ((60.9, 25.2), (53, 0, 66, 15)),
        ((60, 24), (53, 32, 66, 49)),  # above the image: 10 px below the point
        ((0, 0), (0, 8, 6, 25)),  # nothing else is moved: half of it is lost
        ((239, 100), (232, 73, 240, 90)),
    ],
)
def test_the_label_of_vpbench_lies_where_it_lies_there(
    point: tuple[float, float], box: tuple[int, ...]
) -> None:
    assert place(tag("A", (*point, *point), **VPBENCH)) == box


def test_the_label_of_vpbench_has_two_colors_and_no_smooth_edge() -> None:
    pixels = drawn(tag("REF", **VPBENCH))
    assert {tuple(rgb) for rgb in pixels.reshape(-1, 3).tolist()} == {
        GREY,
        (0, 0, 0),
        (255, 255, 255),
    }


@pytest.mark.parametrize(
    ("where", "beyond"),
    [
        ("above", lambda box: box[3] <= 40),
        ("below", lambda box: box[1] > 80),
        ("left", lambda box: box[2] <= 50),
        ("right", lambda box: box[0] > 150),
        ("inside", lambda box: box[0] == 50 and box[1] == 40),
        ("center", lambda box: abs(box[0] + box[2] - 200) <= 2 and abs(box[1] + box[3] - 120) <= 3),
    ],
)
def test_a_tag_keeps_clear_of_its_region(where: str, beyond: object) -> None:
    box = place(tag("B7", (50, 40, 150, 80), place=where, unit="px"))
    assert callable(beyond)
    assert beyond(box)


def test_a_tag_keeps_clear_of_its_marker() -> None:
    near, far = (place(tag(radius=radius, unit="px")) for radius in (0, 12))
    assert near is not None
    assert far is not None
    assert near[3] - far[3] == 12


def test_the_tag_of_set_of_mark_covers_what_it_covers_there() -> None:
    """A digit of 18 points at 100 dpi: its box is 18 x 27 px (microsoft/SoM @ 130438d)."""
    settings: dict[str, Any] = {
        "place": "below",
        "offset": (2, -6),
        "size": 25,
        "padding": (1, 1, 0, 7),
        "anchor": "mask",
        "unit": "px",
    }
    corners = ((30.0, 20.0), (89.0, 20.0), (89.0, 79.0), (30.0, 79.0))
    mark = tag("1", (30, 20, 90, 80), **settings)
    mark = mark.model_copy(
        update={"region": Region(box=(30, 20, 90, 80), polygons=(corners,)), "alpha": 204}
    )
    # 60 x 60 px: four pixels are deepest, the third is (59, 50)
    assert place(mark) == (52, 43, 70, 70)


def test_a_tag_is_moved_into_the_image_or_runs_out_of_it() -> None:
    at_the_corner = (238, 1, 238, 1)
    inside = place(tag("B", at_the_corner, unit="px"))
    whole = place(tag("B", (100, 90, 100, 90), unit="px"))
    assert inside is not None
    assert whole is not None
    assert (inside[2] - inside[0], inside[3] - inside[1]) == (
        whole[2] - whole[0],
        whole[3] - whole[1],
    )
    assert inside[2] == 240
    assert inside[1] == 0


def test_a_region_beyond_the_image_has_no_tag_in_it() -> None:
    assert place(tag("B", (-90, 50, -60, 80))) is None


@pytest.mark.parametrize(
    ("settings", "colors"),
    [
        ({}, {(255, 215, 0), (0, 0, 0)}),  # gold is light: black letters
        ({"box_color": "navy"}, {(0, 0, 128), (255, 255, 255)}),
        ({"ink": "mark", "box_color": "black"}, {(255, 215, 0), (0, 0, 0)}),
        ({"box": "none"}, {(255, 215, 0)}),
    ],
)
def test_colors(settings: dict[str, Any], colors: set[RGB]) -> None:
    pixels = drawn(tag("B", color=(255, 215, 0), font="hershey", **settings))
    found = {tuple(rgb) for rgb in pixels.reshape(-1, 3).tolist()}
    assert found == colors | {GREY}


def test_the_box_has_an_opacity_of_its_own() -> None:
    pixels = drawn(tag("B", color=(0, 0, 0), font="hershey", ink="white", box_alpha=128))
    assert {tuple(rgb) for rgb in pixels.reshape(-1, 3).tolist()} == {
        GREY,
        (64, 64, 64),
        (255, 255, 255),
    }


def test_a_round_box_lacks_its_corners() -> None:
    rectangle = footprint((240, 180), tag("B", unit="px", size=30))
    rounded = footprint((240, 180), tag("B", unit="px", size=30, box="round"))
    assert rectangle is not None
    assert rounded is not None
    assert rectangle.box == rounded.box
    assert np.asarray(rectangle.mask).all()
    assert np.asarray(rounded.mask)[0, 0] == 0


def test_sizes_grow_with_the_image_unless_they_are_px() -> None:
    for font in ("sans", "hershey"):
        small, large, in_px = (
            footprint((side, side), tag("B", font=font, unit=unit))
            for side, unit in ((336, "relative"), (1344, "relative"), (1344, "px"))
        )
        assert small is not None
        assert large is not None
        assert in_px is not None
        assert in_px.mask.size == small.mask.size
        assert large.mask.height > 3.5 * small.mask.height


@pytest.mark.parametrize(
    ("mark", "error", "said"),
    [
        (tag("A", size=900, unit="px"), DataError, "is larger than the image of 240 x 180 px"),
        (tag("A", place="inside"), DataError, "'inside' needs an extent, but this is a point"),
        (
            tag("A", (1, 1, 9, 9), anchor="point"),
            DataError,
            "anchor is 'point', which needs points",
        ),
        (tag(""), TaskError, "it says nothing · expected a text"),
        (tag("a", font="hershey"), TaskError, "font hershey has no 'a' · expected capitals"),
        (tag("A", plce="above"), TaskError, "unknown key 'plce'"),
    ],
)
def test_what_cannot_be_drawn_is_named(
    mark: VisualPrompt, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        drawn(mark)


def test_a_longer_text_may_have_an_offset_of_its_own() -> None:
    settings = {**VPBENCH, "offset": (-18, -7), "long_offset": (-27, -7)}
    plain = {**VPBENCH, "offset": (-18, -7)}
    point = (60, 60, 60, 60)
    assert place(tag("A", point, **settings)) == place(tag("A", point, **plain))
    usual, own = place(tag("REF", point, **plain)), place(tag("REF", point, **settings))
    assert usual is not None
    assert own == (usual[0] - 9, usual[1], usual[2] - 9, usual[3])


@pytest.mark.parametrize(
    ("color", "ink"),
    [
        ((255, 255, 0), tags.BLACK),
        ((0, 0, 255), tags.WHITE),
        # Each of the three decides in its turn.
        ((0, 200, 255), tags.BLACK),
        ((0, 200, 0), tags.WHITE),
        ((200, 100, 90), tags.BLACK),
        ((190, 100, 90), tags.WHITE),
        ((120, 150, 50), tags.BLACK),
        ((120, 140, 50), tags.WHITE),
    ],
)
def test_ink_that_stands_out_is_chosen_by_lightness(color: RGB, ink: RGB) -> None:
    assert tags._standing_out(color) == ink
