"""What a shape says of itself: the record of a built-in shape, and of one of another package."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from vipbench.images.shapes.strokes import Stroke
from vipbench.schema import Record, Region, ShapeWords, VisualPrompt

ToStrokes = Callable[[Region, VisualPrompt, tuple[int, int]], Iterable[Stroke]]
"""Region, mark, and width and height of the image in px -> strokes in the order of drawing.

Pure: what is random is drawn from a generator of its own, `Random(mark.seed)`."""


class ShapeSpec(NamedTuple):
    """A shape that marks can have."""

    strokes: ToStrokes
    words: ShapeWords | None = None
    """What texts call it; None of a built-in shape, whose words stand in prompts/words.py."""
    settings: type[Record] | None = None
    """Checks `VisualPrompt.settings`: what a style may say of the shape besides colour, opacity and
    width, each field with a default and a range. None: nothing."""
    bare: str = ""
    """The field of `settings` that a word alone sets: `kind` makes `marker:circle` a circle."""
