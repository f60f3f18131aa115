"""What texts call the marks of each shape, joined to the shapes by name."""

from vipbench.images.shapes.registry import BUILT_IN, find_shape
from vipbench.images.shapes.settings import MarkerSettings
from vipbench.schema import Shape, ShapeWords, VisualPrompt

WORDS: dict[Shape, ShapeWords] = {
    "rectangle": ShapeWords("within", "rectangle"),
    "ellipse": ShapeWords("within", "ellipse"),
    "triangle": ShapeWords("with", "triangle"),
    "point": ShapeWords("at", "point"),
    "scribble": ShapeWords("with", "scribble"),
    "mask contour": ShapeWords("with", "mask contour"),
    "mask": ShapeWords("with", "mask"),
    "arrow": ShapeWords("pointed to by", "arrow"),
    "marker": ShapeWords("marked by", "marker", participle="marked"),
    "tag": ShapeWords("marked by", "tag", participle="labeled"),
}
"""Preposition and noun of each built-in shape. ViP-LLaVA, visual_prompt_generator.py, lines 23-32;
those of marker and tag are ours."""
MARKERS: dict[str, ShapeWords] = {
    "circle": ShapeWords("marked by", "circle", participle="circled"),
    "dot": ShapeWords("marked by", "dot", participle="dotted"),
    "square": ShapeWords("marked by", "square", participle="squared"),
    "diamond": ShapeWords("marked by", "diamond", participle="diamonded"),
    "triangle": ShapeWords("marked by", "triangle", participle="triangled"),
    "cross": ShapeWords("marked by", "cross", "crosses", participle="crossed"),
    "star": ShapeWords("marked by", "star", participle="starred"),
}
"""What markers are called by their kind. VPBench, benchmark_executor.py, has the nouns and the
participles of circle, square, diamond and triangle; the others are ours."""


def words_for(mark: VisualPrompt) -> ShapeWords:
    """Return what texts call a mark: a marker by its kind, others by their shape.

    Raises:
        TaskError: There is no such shape.
    """
    if mark.shape == "marker":
        return MARKERS[MarkerSettings.model_validate(dict(mark.settings)).kind]
    return words_of(mark.shape)


def plural(words: ShapeWords) -> str:
    """Return what several marks are called."""
    return words.plural or f"{words.noun}s"


def words_of(shape: Shape) -> ShapeWords:
    """Return what texts call marks of a shape; of a plugin without words, `with` and its name.

    Raises:
        TaskError: There is no such shape.
    """
    if shape in BUILT_IN:
        return WORDS[shape]
    return find_shape(shape).words or ShapeWords("with", shape)
