"""What tells styles of the same shapes apart, and the order in which tables list it."""

import pytest

from tests.prompts.made import sample, style
from vipbench.prompts.request import build_request
from vipbench.prompts.tags import prompt_tags
from vipbench.prompts.variants import TAGGED, rank, tagged, variant, varied


def test_shapes_without_settings_have_no_variant() -> None:
    assert variant(style("point:red"), "point") == {}


def test_samples_are_tagged_with_lines_that_are_not_plain() -> None:
    """Runs that know of no other lines keep their tags, and with them their identity."""
    assert variant(style("ellipse:red"), "ellipse") == {"line": "solid", "nested": "1"}
    assert tagged(style("ellipse:red"), "ellipse") == {}
    assert tagged(style("ellipse:red:dashed"), "ellipse") == {"line": "dashed"}
    assert varied([style("ellipse:red"), style("rectangle:red:dashed")]) == ("line",)


def test_defaults_are_filled_in_and_lengths_in_px_say_so() -> None:
    found = variant(style("marker:dot:red:radius=2.5:unit=px+tag:letter:offset=0/-25"), "marker")
    known = {"marker": "dot", "marker_radius": "2.5 px", "marker_thickness": "usual"}
    known |= {"tag": "letter", "tag_place": "above", "tag_offset": "0/-25", "tag_size": "usual"}
    assert known.items() <= found.items()
    assert not {"tag_radius", "tag_unit", "marker_unit"} & found.keys()
    found = variant(style("tag:red:below"), "tag")
    assert (found["tag"], found["tag_place"]) == ("number", "below")


def test_two_marks_of_one_shape_stand_side_by_side() -> None:
    found = variant(style("marker:red:circle+marker:dot+tag:text=REF"), "marker")
    assert (found["marker"], found["tag"]) == ("circle+dot", "REF")


def test_samples_are_tagged_with_what_a_breakdown_may_list() -> None:
    chosen = style("rectangle:red+marker:cross:radius=3+tag:id:box_color=blue")
    assert set(tagged(chosen, "rectangle")) == {*TAGGED} - {"line", "nested"}
    assert "tag_box_color" in variant(chosen, "rectangle")
    of = sample("Is <r0> left of <r1>?", 2)
    chosen = style("marker:star:red+tag:letter")
    tags = prompt_tags(of, chosen, build_request(of, chosen, 0).visual_prompts)
    assert (tags["shape"], tags["marker"], tags["tag"]) == (("marker+tag",), ("star",), ("letter",))
    assert tags["n_marks"] == ("2",)


def test_what_varies_between_styles_is_an_axis() -> None:
    one, two = style("marker:red:radius=5"), style("marker:dot:red")
    assert varied([one, two]) == ("marker", "marker_radius")
    assert varied([one, one, style("rectangle:red"), style("none")]) == ()
    assert varied([style("tag:red:number"), style("tag:red:letter")]) == ("tag",)
    assert varied([style("rectangle:red"), style("rectangle:red:words=plain")]) == ("words",)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("shape", ["rectangle", "ellipse", "arrow", "marker", "marker+tag", "tag", "other"]),
        ("marker", ["circle", "dot", "square", "star"]),
        ("tag", ["number", "letter", "id", "REF"]),
        ("words", ["full", "plain", "none"]),
        ("color", ["red", "lime", "#123456"]),
    ],
)
def test_values_in_the_order_of_tables(axis: str, values: list[str]) -> None:
    assert sorted(values, key=lambda value: (rank(axis, value), value)) == values
    assert rank(None, "all") == rank("unknown", "x") == 0
