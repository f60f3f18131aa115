"""Several marks on each region: what is drawn, in which order, and how texts speak of it."""

from typing import Any

import pytest

from tests.prompts.made import KNOWN, sample, task
from vipbench.errors import DataError, TaskError
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.marks import resolve, seed_of
from vipbench.prompts.parts import by_region, first_marks, in_order, read_settings, tag_text
from vipbench.prompts.request import build_request
from vipbench.prompts.styles import load_styles
from vipbench.prompts.tags import prompt_tags
from vipbench.schema import MarkPart, PromptStyle, Region, Request, Sample
from vipbench.trials.texts import TextWarnings

HEADLINE = PromptStyle(name="two", shapes=("rectangle",), colors=("red", "lime"), alpha=9)
POINTS = sample("Is <r0> near <r1>?", 2).model_copy(
    update={
        "regions": (
            Region(box=(10, 20, 10, 20), id="left"),
            Region(box=(60, 20, 60, 20), id="right", label="dog"),
        )
    }
)


def style(expression: str) -> PromptStyle:
    [parsed] = parse_styles(expression, KNOWN, HEADLINE)
    return parsed


def ask(expression: str, of: Sample = POINTS) -> Request:
    return build_request(of, style(expression), 0)


def question(expression: str, of: Sample = POINTS) -> str:
    return ask(expression, of).turns[0].partition("\n")[0]


def test_each_region_gets_all_marks_of_a_style_in_its_order() -> None:
    request = ask("marker:circle:red:radius=5:unit=px+tag:letter:place=below")
    drawn = [(p.shape, p.text, p.region.id) for p in request.visual_prompts]
    assert drawn == [
        ("marker", "", "left"),
        ("tag", "A", "left"),
        ("marker", "", "right"),
        ("tag", "B", "right"),
    ]
    marker, tag = request.visual_prompts[:2]
    assert marker.settings == {"kind": "circle", "radius": 5.0, "unit": "px"}
    assert tag.settings == {"radius": 5.0, "unit": "px", "anchor": "center", "place": "below"}
    assert tag.color == marker.color == (255, 0, 0)
    by_kind = ask("marker:red:order=kind+tag")
    assert [p.text for p in by_kind.visual_prompts] == ["", "", "1", "2"]


@pytest.mark.parametrize("order", ["region", "kind"])
def test_marks_are_found_again_by_region(order: Any) -> None:
    parsed = style("rectangle+tag+mask").model_copy(update={"order": order})
    marks = [("a0", "a1", "a2"), ("b0", "b1", "b2")]
    drawn = in_order(parsed, marks)
    assert by_region(parsed, drawn) == marks
    assert first_marks(parsed, drawn) == ("a0", "b0")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("rectangle:red+tag", "Is the object marked 1 near the dog marked 2?"),
        ("tag:letter", "Is the object marked A near the dog marked B?"),
        ("tag:id", "Is the object marked left near the dog marked right?"),
        ("tag:text=X", "Is the object marked X near the dog marked X?"),
        ("tag:letter:refer=point", "Is point A near point B?"),
        ("tag:refer=bracket", "Is [1] near [2]?"),
        (
            "marker:red:refer=by_marker",
            "Is the point marked by the red circle near the point marked by the lime circle?",
        ),
        ("marker:star:#010203:refer=by_marker", "Is the point marked by the star near"),
        ("marker:diamond:red", "Is the object marked by the red diamond near the dog marked by"),
        ("marker:red:refer=the {marked} {label}", "Is the circled object near the circled dog?"),
        ("rectangle:red:words=plain", "Is marked object 1 near marked dog 2?"),
        ("rectangle:red:words=none", "Is object 1 near dog 2?"),
        ("named", "Is the object within the red rectangle near the dog within the lime"),
    ],
)
def test_texts_refer_to_regions_as_the_style_says(expression: str, said: str) -> None:
    texts = {build_request(POINTS, style(expression), seed).turns[0] for seed in range(20)}
    assert any(text.startswith(said) for text in texts)


def test_one_plain_mark_is_the_marked_object() -> None:
    one = sample("What is <r0>?")
    assert question("rectangle:red:words=plain", one) == "What is the marked object?"


def test_named_marks_are_not_drawn() -> None:
    request = ask("named")
    assert request.visual_prompts == ()
    assert not request.blind
    assert prompt_tags(POINTS, style("named"), ()).keys() == {
        "n_marks",
        "size",
        "target_size",
    }


def test_marks_and_words_are_told_apart_by_tags() -> None:
    parsed = style("marker:circle:red:words=none+tag:number")
    tags = prompt_tags(POINTS, parsed, build_request(POINTS, parsed, 0).visual_prompts)
    assert (tags["shape"], tags["marker"], tags["words"]) == (
        ("marker+tag",),
        ("circle",),
        ("none",),
    )


def test_a_template_may_speak_of_the_marks() -> None:
    template = "{tags}: {markers}, {colored}, {marked}, {color0}, {tag1}. {choices_in_brackets}"
    of = POINTS.model_copy(
        update={
            "question": "",
            "choices": ("<r0> is closer", "<r1> is closer"),
            "target": "A",
            "task": task(
                template="{question}",
                templates={
                    "marker+tag": template,
                    "tag": "{tags}? {choices}",
                    "marker": "{marker}? {tag}",
                },
            ),
        }
    )
    text = ask("marker:square:red:refer=tag+tag:number", of).turns[0]
    assert (
        text == "1 and 2: squares, red-squared, squared, red, 2. (A) 1 is closer\n(B) 2 is closer"
    )
    assert ask("tag:letter:refer=tag", of).turns[0] == "A and B? A. A is closer\nB. B is closer"
    with pytest.raises(TaskError, match=r"needs {tag} for its text, but style 'marker:red' has"):
        ask("marker:red", of)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("tag:nummer", "'nummer' is unknown · did you mean"),
        ("tag:refer=braket", "refer 'braket' is unknown · did you mean 'bracket'?"),
        ("tag:refer=the {labl}", "refer holds {labl} · did you mean 'label'?"),
        ("tag:long_offset=3", "long_offset has one number · expected two"),
        ("marker:radius=0", "radius = '0' · expected a number above 0"),
        ("marker:radios=5", "marker takes no 'radios' · did you mean 'radius'?"),
        ("marker:sqare", "'sqare' is unknown"),
        ("rectangle+", "'' is unknown"),
        ("rectangle+red", "expected a shape behind '+'"),
        ("rectangle+tag:words=none", "words=none concerns all marks"),
        ("tag:number:letter", "'letter' is a second text"),
        ("rectangle:words=some", "words = 'some' · expected 'full', 'plain' or 'none'"),
        ("mask:radius=5", "unknown key 'radius'"),
    ],
)
def test_what_cannot_be_read_is_named(expression: str, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        parse_styles(expression, KNOWN, HEADLINE)
    assert said in str(caught.value)


def test_a_tag_needs_something_to_say() -> None:
    nameless = sample("<r0>")
    with pytest.raises(DataError, match="region 1 has no id of its own"):
        ask("tag:id", nameless)
    crowd = sample("<r0>", 27)
    with pytest.raises(DataError, match="region 27 has no letter"):
        ask("tag:letter", crowd)
    assert ask("tag:number", crowd).visual_prompts[26].text == "27"


def test_a_reference_in_brackets_is_no_placeholder_of_another_format() -> None:
    found = TextWarnings().add(POINTS, style("tag:refer=bracket"), ask("tag:refer=bracket"))
    assert [problem.code for problem in found] == []
    strange = POINTS.model_copy(update={"question": "Is <r0> [7]?"})
    parsed = style("tag:refer=bracket")
    found = TextWarnings().add(strange, parsed, build_request(strange, parsed, 0))
    assert "foreign_placeholder" in [problem.code for problem in found]


def test_a_styles_file_has_the_same_marks(tmp_path: Any) -> None:
    (tmp_path / "styles.yaml").write_text(
        """
circles:
  shapes: [marker]
  colors: [red]
  alpha: 255
  settings: {kind: circle, radius: 5, unit: px}
  beside:
    - {shape: tag, text: letter, settings: {offset: [0, -25], ink: white, box_color: black}}
  refer: tag
wrong:
  shapes: [marker]
  colors: [red]
  settings: {kind: circel}
"""
    )
    with pytest.raises(TaskError, match=r"wrong.*kind = 'circel' · expected 'circle'"):
        load_styles((tmp_path,))
    path = tmp_path / "styles.yaml"
    path.write_text(path.read_text().partition("wrong:")[0])
    [parsed] = load_styles((tmp_path,)).values()
    request = build_request(POINTS, parsed, 0)
    assert request.turns[0].startswith("Is A near B?")
    assert request.visual_prompts[1].settings["ink"] == "#ffffff"


def test_colors_in_the_order_of_the_regions_and_with_words_of_their_own() -> None:
    listed = PromptStyle(
        name="listed",
        shapes=("marker",),
        colors=("green=#00ff00", "red"),
        listed=True,
        refer="by_marker",
    )
    for seed in range(5):
        request = build_request(POINTS, listed, seed)
        assert request.turns[0].startswith("Is the point marked by the green circle near the point")
        assert [p.color for p in request.visual_prompts] == [(0, 255, 0), (255, 0, 0)]


def test_the_styles_of_vpbench_are_a_sweep() -> None:
    styles = parse_styles("vpbench_variants", KNOWN)
    assert len(styles) == 17
    assert all(parsed.beside and parsed.alpha == 255 for parsed in styles)


@pytest.mark.parametrize("shape", ["rectangle", "triangle"])
def test_an_outline_beside_a_marker_keeps_its_own_settings(shape: str) -> None:
    expression = f"marker:circle:red:radius=5+{shape}:dashed"
    [parsed] = parse_styles(expression, KNOWN, KNOWN["red_rectangle"])
    of = sample("<r0>?")
    _, outline = build_request(of, parsed, 0).visual_prompts
    assert (outline.shape, outline.settings) == (shape, {"line": "dashed"})


def test_of_several_unknown_settings_the_first_is_named() -> None:
    with pytest.raises(TaskError, match="marker takes no 'radios'"):
        read_settings("marker", {"radios": "5", "unti": "px"}, "style")


def test_a_tag_says_the_data_s_own_letter_where_it_is_asked_to() -> None:
    region = Region(box=(0, 0, 5, 5), id="C")
    said = {rule: tag_text(rule, 0, region) for rule in ("number", "letter", "id", "id_number")}
    assert said == {"number": "1", "letter": "A", "id": "C", "id_number": "3"}
    assert tag_text("REF", 0, region) == "REF"


def test_the_first_mark_beside_another_is_drawn_by_number_1() -> None:
    [parsed] = parse_styles("rectangle:red+arrow", KNOWN, KNOWN["red_rectangle"])
    _, arrow = build_request(sample("<r0>?"), parsed, 7).visual_prompts
    assert arrow.seed == seed_of(7, "1", 0, 1, "geometry")


def test_a_tag_changes_no_colour_where_there_are_enough() -> None:
    many = KNOWN["demo"].model_copy(update={"shapes": ("rectangle",)})
    tagged = many.model_copy(update={"beside": (MarkPart(shape="tag", text="letter"),)})
    for seed in range(5):
        plain, both = (resolve(POINTS.regions, each, seed, "1") for each in (many, tagged))
        assert [m.prompt.color for m in plain] == [m.prompt.color for m in both]
