"""Placeholders of the formats of the field, and ordinary texts that look a little like them."""

import pytest

from vipbench.prompts.placeholders import foreign_placeholders


@pytest.mark.parametrize(
    "text",
    [
        *("<obj>", "<obj1>", "<OBJ>", "<region1>", "<Region 1>", "<region_1>", "<Prompt0>", "<vp>"),
        *("<R0>", "< r0 >", "<r 0>", "<r-1>", "<mask>", "<mask1>", "<point>", "<bbox>", "<roi>"),
        *("<image>", "<img>", "<image_1>", "<image-0>", "<__image__>", "<ImageHere>", "<0>", "<s>"),
        *("<|box_start|>", "<|image_pad|>", "<|im_end|>", "<spi_feat>", "<loc0123>", "</s>"),
        *("<bounding box 1>", "\uff1cobj\uff1e", "[0]", "[3]", "[SEG]", "[INST]", "[region1]"),
        *("[person1]", "[IMG]", "{r0}", "{{obj}}", "{region}", "%s", "%(obj)s", "@region1"),
    ],
)
def test_a_placeholder_is_found_alone_and_within_a_sentence(text: str) -> None:
    assert foreign_placeholders(text) == (text,)
    assert foreign_placeholders(f"What is {text}?") == (text,)
    assert foreign_placeholders(f"Is ({text}) red") == (text,)


def test_all_of_a_text_are_listed_once() -> None:
    text = "<ref>dog</ref><box>[[1, 2, 30, 40]]</box> and <ref>cat</ref>"
    assert foreign_placeholders(text) == ("<ref>", "</ref>", "<box>", "</box>")
    assert foreign_placeholders("the dog<mask>and<mask>") == ("<mask>",)
    assert foreign_placeholders("[1] beside [2]") == ("[1]", "[2]")


def test_a_mention_that_lost_a_bracket_is_found() -> None:
    assert foreign_placeholders("What is <r0?") == ("<r0",)
    assert foreign_placeholders("What is r0>?") == ("r0>",)


@pytest.mark.parametrize(
    "text",
    [
        *("I <3 you", "he said [sic]", "a < b and c > d", "if a<b and c>d", "2 < 3 > 1", "x<y"),
        *("<b>bold</b>", "a<br/>b", "x<sup>2</sup>", "<p>", r"\frac{ab}{cd}", "x^{ab}", "a[0]"),
        *("see [here](page)", "50% sure", "R2>0.9", "[1, 2]", "[0.083, 0.250, 0.292, 0.500]"),
        *("{1, 2}", "-> left <- right", "List<String>", "<http://a.b>", "<a@b.c>", "[laughs]"),
        *("A => B", "under <= 3 or < 5 cm", "Why is object 1 red?", "He's #1", "C:\\new", ""),
    ],
)
def test_ordinary_text_holds_none(text: str) -> None:
    assert foreign_placeholders(text) == ()
