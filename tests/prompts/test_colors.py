"""Colours by their names, and the one that stands out."""

from pathlib import Path

import pytest

from tests.prompts.made import KNOWN, sample, style
from vipbench.errors import TaskError
from vipbench.prompts.colors import COLORS, farthest
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.prompts.styles import load_styles
from vipbench.prompts.tags import prompt_tags


@pytest.mark.parametrize(
    ("around", "name"),
    [
        # L*a*b* of red is 53.2, 80.1, 67.2; of lime 87.7, -86.2, 83.2; of blue 32.3, 79.2, -107.9:
        # from red it is 170.6 to lime and 176.3 to blue.
        ((255, 0, 0), "blue"),
        ((0, 0, 255), "lime"),
        ((128, 128, 128), "blue"),
        ((0, 0, 0), "lime"),
        ((255, 255, 255), "blue"),
        ((30, 140, 40), "blue"),
    ],
)
def test_the_farthest_colour_is_that_of_cielab(around: tuple[int, int, int], name: str) -> None:
    assert farthest(around) == name


def test_what_is_taken_is_left_out_until_all_are() -> None:
    first = farthest((0, 0, 0))
    assert farthest((0, 0, 0), [first]) != first
    assert farthest((0, 0, 0), list(COLORS)) == first


def test_each_region_has_the_colour_that_stands_out_of_those_that_are_left() -> None:
    of = sample("<r0> or <r1>?", 2)
    seen = of.model_copy(update={"surroundings": ((255, 255, 255), (255, 255, 255))})
    contrasting = style("rectangle:contrast", "red_rectangle")
    request = build_request(seen, contrasting, 0)
    names = [next(n for n, rgb in COLORS.items() if rgb == p.color) for p in request.visual_prompts]
    assert names == [farthest((255, 255, 255)), farthest((255, 255, 255), ["blue"])]
    assert all(f"{name} rectangle" in request.turns[0] for name in names)
    assert prompt_tags(seen, contrasting, request.visual_prompts)["color"] == (names[0],)
    with pytest.raises(TaskError, match="contrast needs the pixels around 2 regions"):
        build_request(of, contrasting, 0)


def test_more_regions_than_colours_begin_once_more() -> None:
    of = sample(" ".join(f"<r{i}>" for i in range(10)), 10, image_size=(200, 50))
    seen = of.model_copy(update={"surroundings": ((255, 255, 255),) * 10})
    marks = build_request(seen, style("rectangle:contrast", "red_rectangle"), 0).visual_prompts
    assert len({mark.color for mark in marks[:9]}) == 9
    assert marks[9].color == marks[0].color


def test_it_stands_alone_and_is_of_the_first_mark() -> None:
    with pytest.raises(TaskError, match="is of a region's first mark"):
        parse_styles("rectangle:red+tag:contrast", KNOWN, KNOWN["red_rectangle"])
    [parsed] = parse_styles("rectangle:contrast+tag:letter", KNOWN, KNOWN["red_rectangle"])
    assert (parsed.colors, parsed.beside[0].color) == (("contrast",), "")


def test_a_styles_file_may_name_it_alone(tmp_path: Path) -> None:
    text = "away: {shapes: [rectangle], colors: [contrast]}\n"
    (tmp_path / "styles.yaml").write_text(text)
    assert load_styles([tmp_path])["away"].colors == ("contrast",)
    (tmp_path / "styles.yaml").write_text(text.replace("contrast", "contrast, red"))
    with pytest.raises(TaskError, match="color 'contrast' is one of several; it stands alone"):
        load_styles([tmp_path])
