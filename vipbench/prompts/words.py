"""What texts call the marks of each shape, joined to the shapes by name."""

from vipbench.images.shapes.registry import BUILT_IN, find_shape
from vipbench.schema import Shape, ShapeWords

WORDS: dict[Shape, ShapeWords] = {
    "rectangle": ShapeWords("within", "rectangle"),
    "ellipse": ShapeWords("within", "ellipse"),
    "triangle": ShapeWords("with", "triangle"),
    "point": ShapeWords("at", "point"),
    "scribble": ShapeWords("with", "scribble"),
    "mask contour": ShapeWords("with", "mask contour"),
    "mask": ShapeWords("with", "mask"),
    "arrow": ShapeWords("pointed to by", "arrow"),
    "marker": ShapeWords("at", "marker"),
    "tag": ShapeWords("with", "tag"),
}
"""Preposition and noun of each built-in shape. ViP-LLaVA, visual_prompt_generator.py, lines 23-32.
"""


def words_of(shape: Shape) -> ShapeWords:
    """Return what texts call marks of a shape; of a plugin without words, `with` and its name.

    Raises:
        TaskError: There is no such shape.
    """
    if shape in BUILT_IN:
        return WORDS[shape]
    return find_shape(shape).words or ShapeWords("with", shape)
