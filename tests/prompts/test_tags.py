from typing import Any

import pytest

from tests.prompts.made import sample, style
from vipbench.data.tasks import all_styles
from vipbench.prompts.request import build_request
from vipbench.prompts.tags import prompt_tags
from vipbench.schema import (
    Box,
    Region,
    Sample,
)


def tags(of: Sample, expression: str, choices: Any = None) -> dict[str, str]:
    chosen = style(expression)
    request = build_request(of, chosen, 0, choices)
    return {k: "|".join(v) for k, v in prompt_tags(of, chosen, request.visual_prompts).items()}


def test_a_group_is_what_all_marks_share() -> None:
    of = sample("?", 2)
    choices = {"colors": ["red", "red"], "shapes": ["point", "point"]}
    known = {"n_marks": "2", "size": "medium", "target_size": "medium"}
    red = known | {"target_color": "red", "width": "mixed", "alpha": "255"}
    same = {"shape": "point", "color": "red", "width": "16"}
    assert tags(of, "demo", choices) == red | same
    choices = {"colors": ["red", "blue"], "shapes": ["point", "arrow"]}
    assert tags(of, "demo", choices) == red | {"shape": "mixed", "color": "mixed"}
    assert tags(of, "none") == known
    assert tags(of, "coordinates") == known


def test_random_rgb_is_one_group_and_the_styles_own_colors_are_groups() -> None:
    of = sample("?", 2)
    assert tags(of, "official_points", {"colors": [[1, 2, 3], [4, 5, 6]]})["color"] == "unnamed"
    assert tags(of, "official_points", {"colors": [[1, 2, 3], "red"]})["color"] == "mixed"
    assert tags(sample("?"), "arrow:#1E90FF")["color"] == "#1e90ff"
    assert tags(sample("?"), "arrow:#FF0000")["color"] == "red"
    assert tags(sample("?", 9), "contours")["color"] == "mixed"
    known = all_styles()["contours"].model_copy(update={"colors": ("white=#ffffff",)})
    prompts = build_request(sample("?", 1), known, 0).visual_prompts
    assert prompt_tags(sample("?", 1), known, prompts)["color"] == ("white",)
    # No colour, whether it is the very string of the code or one that was read from a file.
    contrast = known.model_copy(update={"colors": ("".join("contrast"),)})
    unnamed = prompts[0].model_copy(update={"color": (1, 2, 3)})
    assert prompt_tags(sample("?", 1), contrast, [unnamed])["color"] == ("unnamed",)


@pytest.mark.parametrize(
    ("box", "size"),
    [((0, 0, 10, 9), "small"), ((0, 0, 10, 10), "medium"), ((0, 0, 50, 9), "medium"),
     ((0, 0, 50, 10), "large"), ((80, 40, 90, 49), "small"), ((45, 30, 95, 39), "medium"),
     ((-50, 0, 150, 50), "large"), ((5, 5, 5, 5), "small")],
)  # fmt: skip
def test_size_is_the_share_of_the_image_that_the_box_covers(box: Box, size: str) -> None:
    of = sample("?", regions=(Region(box=box),))
    assert tags(of, "demo")["size"] == size


def test_size_of_several_marks() -> None:
    regions = (Region(box=(0, 0, 5, 5)), Region(box=(0, 0, 90, 45)))
    of = sample("?", regions=regions, target_region=1)
    assert tags(of, "demo")["size"] == "mixed"
    assert tags(of, "arrow:red")["size"] == "large"
    assert "size" not in tags(of.model_copy(update={"image_size": None}), "demo")


def test_the_target_is_the_target_region_or_the_first_mentioned() -> None:
    regions = (Region(box=(0, 0, 5, 5)), Region(box=(0, 0, 90, 45)))
    choices = {"colors": ["red", "blue"], "shapes": ["point", "arrow"]}
    of = sample("?", regions=regions, target_region=1)
    found = tags(of, "demo", choices)
    assert (found["target_color"], found["target_size"]) == ("blue", "large")
    found = tags(sample("Is <r1> near <r0>?", regions=regions), "demo", choices)
    assert (found["target_color"], found["target_size"]) == ("blue", "large")


def test_the_position_is_the_letter_of_the_right_option() -> None:
    assert tags(sample("?", choices=("x", "y"), target="B"), "demo")["position"] == "B"
    assert "position" not in tags(sample("?", target="B"), "demo")


def test_tags_of_the_sample_stay_and_those_of_drawn_marks_win() -> None:
    of = sample("?", 1, tags={"kind": ("a", "b"), "shape": ("round",)})
    assert tags(of, "point:red") | {"size": "", "target_size": ""} == {
        "kind": "a|b", "shape": "point", "color": "red", "n_marks": "1", "size": "",
        "target_color": "red", "target_size": "", "width": "8", "alpha": "128",
    }  # fmt: skip
    assert tags(of, "official_training")["width"] == "drawn"
    marked = sample("?", 0, tags={"shape": ("rectangle",), "color": ("mixed",)})
    assert tags(marked, "given") == {"shape": "rectangle", "color": "mixed"}
