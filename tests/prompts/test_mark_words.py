"""Phrases that speak of marks, and which marks that are drawn they may mean."""

import pytest

from vipbench.prompts.mark_words import mark_words, marks_in_text
from vipbench.prompts.styles import SHAPES
from vipbench.schema import RGB, Region, Shape, VisualPrompt

RED, AQUA, LIME = (255, 0, 0), (0, 255, 255), (0, 255, 0)


def drawn(shape: Shape, color: RGB) -> VisualPrompt:
    region = Region(box=(0, 0, 9, 9))
    return VisualPrompt(region=region, shape=shape, color=color, alpha=255, width=2, seed=0)


def test_phrases_come_with_noun_shape_and_colours() -> None:
    red, mask = mark_words("Is the apple in the RED and the Gray Boxes in the white mask?")
    assert (red.noun, red.shape, red.colors) == ("box", "rectangle", ("red", "grey"))
    assert (mask.words, mask.noun, mask.colors) == ("white mask", "mask", ("white",))
    [phrase] = mark_words("What is within the bounding  box?")
    assert (phrase.noun, phrase.shape, phrase.colors) == ("bounding box", "rectangle", ())


def test_every_shape_has_a_word_that_may_mean_it() -> None:
    for shape in SHAPES:
        assert any(words.may_mean(drawn(shape, RED)) for words in mark_words(f"the red {shape}"))


def test_shapes_and_colours_are_listed_once() -> None:
    assert marks_in_text("the red box or the red circle") == (("rectangle", "ellipse"), ("red",))


@pytest.mark.parametrize(
    ("text", "shape", "color"),
    [
        ("the red box", "rectangle", RED),
        ("the red box", "rectangle", (230, 20, 10)),
        ("the cyan box", "rectangle", AQUA),
        ("the green rectangle", "rectangle", LIME),
        ("the pink oval", "ellipse", (255, 0, 255)),
        ("the red circle", "point", RED),
        ("the red dot", "point", RED),
        ("the red outline", "rectangle", RED),
        ("the red mask", "mask contour", RED),
        ("within the rectangle", "rectangle", AQUA),
    ],
)
def test_a_mark_may_be_called_so(text: str, shape: Shape, color: RGB) -> None:
    [words] = mark_words(text)
    assert words.may_mean(drawn(shape, color))


@pytest.mark.parametrize(
    ("text", "shape", "color"),
    [
        ("the red box", "rectangle", AQUA),
        ("the red box", "ellipse", RED),
        ("the blue point", "rectangle", (0, 0, 255)),
        ("the red circle", "rectangle", RED),
        ("within the ellipse", "rectangle", RED),
    ],
)
def test_another_mark_is_not_called_so(text: str, shape: Shape, color: RGB) -> None:
    [words] = mark_words(text)
    assert not words.may_mean(drawn(shape, color))
