"""The words by which a text speaks of marks: "the red box", and which drawn marks they may mean."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vipbench.prompts.colors import COLORS
from vipbench.prompts.words import words_for
from vipbench.schema import RGB, Shape, VisualPrompt

SHAPE_WORDS: dict[Shape, tuple[str, ...]] = {
    "rectangle": ("bounding box", "bbox", "rectangle", "box", "square", "frame"),
    "ellipse": ("ellipse", "oval", "circle"),
    "triangle": ("triangle",),
    "point": ("point", "dot"),
    "scribble": ("scribble", "squiggle", "doodle", "curve", "stroke", "line"),
    "mask contour": ("mask contour", "mask outline", "contour", "outline", "boundary"),
    "mask": ("mask",),
    "arrow": ("arrow",),
}
"""Shape -> what the questions may call it; the hand-drawn circles count as ellipses."""
COLOR_WORDS = (
    *("red", "lime", "green", "blue", "yellow", "fuchsia", "magenta", "pink", "purple", "violet"),
    *("aqua", "cyan", "turquoise", "teal", "orange", "gold", "brown", "black", "white", "grey"),
    *("gray", "silver", "maroon", "navy", "olive", "beige"),
)
TECHNICAL = frozenset(
    {"bounding box", "bbox", "rectangle", "ellipse", "mask contour", "mask outline", "scribble"}
)
"""What hardly anything in a picture is called, unlike "box", "frame" or "line"."""

_ANY_SHAPE = frozenset({"frame", "outline", "boundary", "contour", "line", "stroke", "curve"})
"""Words for the line that a mark is drawn with, whatever its shape."""
_ALSO: dict[Shape, frozenset[str]] = {
    "point": frozenset({"circle"}),
    "ellipse": frozenset({"curve"}),
    "mask": frozenset(SHAPE_WORDS["mask contour"]),
    "mask contour": frozenset({"mask"}),
}
"""Shape -> words of other shapes that it may be called all the same."""
_RGB: dict[str, RGB] = COLORS | {
    "green": (0, 128, 0),
    "pink": (255, 192, 203),
    "violet": (238, 130, 238),
    "turquoise": (64, 224, 208),
    "teal": (0, 128, 128),
    "brown": (165, 42, 42),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "maroon": (128, 0, 0),
    "navy": (0, 0, 128),
    "olive": (128, 128, 0),
    "beige": (245, 245, 220),
}
"""Source: CSS Color Module Level 4, named colors."""
_ALIKE = tuple(
    frozenset(names.split())
    for names in (
        "lime green olive",
        "blue navy",
        "yellow gold",
        "orange gold",
        "red maroon",
        "brown maroon",
        "fuchsia magenta pink violet",
        "fuchsia magenta purple violet",
        "aqua cyan turquoise teal",
        "grey silver",
        "white beige",
    )
)
"""Words that two people may choose for one colour."""


class MarkWords(NamedTuple):
    """One phrase that speaks of a mark, or of several of one shape."""

    words: str
    """As they stand in the text: `the red and the blue dots`."""
    noun: str
    """In lower case and in the singular: `dot`."""
    shape: Shape
    colors: tuple[str, ...]
    """In lower case; grey for gray."""

    def may_mean(self, prompt: VisualPrompt) -> bool:
        """Say whether somebody may call a drawn mark so."""
        usual = SHAPE_WORDS.get(prompt.shape) or (words_for(prompt).noun,)
        names = _ANY_SHAPE | {*usual} | _ALSO.get(prompt.shape, frozenset())
        if self.noun not in names:
            return False
        return not self.colors or any(_alike(color, prompt.color) for color in self.colors)


def mark_words(text: str) -> list[MarkWords]:
    """List the phrases of a text that speak of marks, in the order of the text.

    A word such as "rectangle" or "dot" counts as a mark where a colour belongs to it ("the red and
    the blue dot", "the arrow in red"); in a text without any such phrase, also after "within",
    "inside", "with", "by" or "at" and an article.
    """
    found = list(_COLORED.finditer(text))
    if found:
        return [_phrase(match[0], match["shape"] or match["shape2"]) for match in found]
    return [_phrase(match[0], match["shape"], ()) for match in _UNCOLORED.finditer(text)]


def marks_in_text(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read from a question's wording which marks it refers to, as `mark_words` does.

    Returns:
        Shapes by vipbench's names, and colours (grey for gray), each once and in order of the text.
    """
    marks = mark_words(text)
    shapes = dict.fromkeys(mark.shape for mark in marks)
    colors = dict.fromkeys(color for mark in marks for color in mark.colors)
    return tuple(shapes), tuple(colors)


def _phrase(words: str, noun: str, colors: tuple[str, ...] | None = None) -> MarkWords:
    noun = re.sub(r"[\s-]+", " ", noun.lower())
    if colors is None:
        found = re.findall(_COLOR, words, re.IGNORECASE)
        colors = tuple(color.lower().replace("gray", "grey") for color in found)
    return MarkWords(words, noun, _shape(noun), colors)


def _shape(noun: str) -> Shape:
    return next(shape for shape, words in SHAPE_WORDS.items() if noun in words)


def _alike(word: str, rgb: RGB) -> bool:
    """Say whether a word fits a colour: it is the nearest by name, or one that means the same."""

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(_RGB[name], rgb, strict=True))

    nearest = min(_RGB, key=distance)
    return word == nearest or any({word, nearest} <= names for names in _ALIKE)


def _either(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in longest_first)


def _all_nouns() -> Iterator[str]:
    for words in SHAPE_WORDS.values():
        yield from words


_COLOR = rf"\b(?:{_either(COLOR_WORDS)})\b"
_SHAPE = rf"\b(?P<shape>{_either(_all_nouns())})(?:e?s)?\b"
_COLORED = re.compile(
    rf"{_COLOR}(?:[\s,/&]+(?:(?:and|or)\s+)?(?:the\s+|an?\s+)?{_COLOR})*"
    rf"[\s-]*(?:colou?red[\s-]+)?(?:hand[\s-]drawn\s+)?{_SHAPE}"
    rf"|{_SHAPE.replace('<shape>', '<shape2>')}\s+(?:colou?red\s+|in\s+){_COLOR}",
    re.IGNORECASE,
)
_UNCOLORED = re.compile(
    rf"\b(?:within|inside|with|by|at)\s+(?:(?:the|an?|this|that|each)\s+)?{_SHAPE}",
    re.IGNORECASE,
)
