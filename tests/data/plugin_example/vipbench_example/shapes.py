"""A shape: the corners of the box, as a camera's viewfinder shows them."""

from collections.abc import Iterator

from pydantic import Field

from vipbench.images.shapes.settings import pixels, settings_of
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Line, Stroke
from vipbench.schema import Record, Region, ShapeWords, VisualPrompt


class CornerSettings(Record):
    """What a style may say of it besides colour, opacity and width."""

    part: float = Field(default=0.25, gt=0, le=0.5)
    """Length of a corner's arms, as a part of the box's sides."""


def _corners(region: Region, mark: VisualPrompt, size_wh: tuple[int, int]) -> Iterator[Stroke]:
    """Yield a line of two arms for each corner; the same mark gives the same strokes."""
    part = settings_of(mark, CornerSettings).part
    width = max(pixels(mark.width or 2, "relative", size_wh), 1)
    x0, y0, x1, y1 = region.box
    for x, y, dx, dy in (
        (x0, y0, x1 - x0, y1 - y0),
        (x1, y0, x0 - x1, y1 - y0),
        (x1, y1, x0 - x1, y0 - y1),
        (x0, y1, x1 - x0, y0 - y1),
    ):
        yield Line([(x + part * dx, y), (x, y), (x, y + part * dy)], width)


CORNERS = ShapeSpec(
    _corners,
    words=ShapeWords("within", "viewfinder frame"),
    settings=CornerSettings,
)
