"""What a style may say of a shape besides colour, opacity and width: `VisualPrompt.settings`.

Lengths under `unit: px` are those of the image that is drawn on, under `relative` px at a 336-px
long side, as widths are; both are cut to whole px. Coordinates are cut towards zero.
"""

import re
from functools import lru_cache
from typing import Annotated, Literal, Self, TypeVar, cast

from pydantic import AfterValidator, Field, model_validator

from vipbench.errors import nearest
from vipbench.images.shapes.draws import ANCHOR
from vipbench.schema import Level, Record, Setting, Shape, VisualPrompt
from vipbench.validation import checked

Unit = Literal["px", "relative"]
Anchor = Literal["center", "mask", "point"]
"""The middle of the box; the pixel of the outline that is farthest from its edge (of the box, where
there is no outline); the region itself, which has to be a point."""
Length = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]
Shift = Annotated[float, Field(ge=-10_000, le=10_000, allow_inf_nan=False)]


def _hex_color(paint: str) -> str:
    """Turn a colour's name in CSS into `#rrggbb`, which is kept in the record."""
    lower = paint.lower()
    if lower in ("mark", "auto") or re.fullmatch("#[0-9a-f]{6}", lower):
        return lower
    from PIL.ImageColor import colormap, getrgb

    if lower not in colormap:
        known = [*colormap, "mark", "auto"]
        raise ValueError(f"should be a color{nearest(lower, known)} (or #rrggbb)")
    return "#{:02x}{:02x}{:02x}".format(*getrgb(lower))


Paint = Annotated[str, AfterValidator(_hex_color)]
"""`#rrggbb` or a name of CSS; `mark`: the colour of the mark; `auto`: of a text black or white,
whichever stands out more from its box; of a box the colour of the mark."""
SettingsT = TypeVar("SettingsT", bound=Record)


class ShaftSettings(Record):
    """Of an arrow, whose head stays as it is."""

    line: Literal["solid", "dashed", "double"] = "solid"


class LineSettings(ShaftSettings):
    """Of a shape that is an outline."""

    nested: int = Field(default=1, ge=1, le=10)
    """How many outlines, one within the other, as far apart as the line is wide; fewer where the
    region is too small for them."""


class MarkerSettings(Record):
    """Of a sign at a point."""

    kind: Literal["circle", "dot", "square", "diamond", "triangle", "cross", "star"] = "circle"
    radius: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 8
    thickness: Length | None = None
    """Of its line; 0: filled; None: the width of the mark, else 2. A dot is always filled."""
    unit: Unit = "relative"
    anchor: Anchor = "center"

    @model_validator(mode="after")
    def _has_area(self) -> Self:
        if self.kind == "cross" and self.thickness == 0:
            raise ValueError("thickness = 0 fills a marker, but a cross has no area")
        return self


class TagSettings(Record):
    """Of a text beside a region or in it."""

    place: Literal["center", "above", "below", "left", "right", "inside"] = "above"
    """Of the text to its anchor; `inside`: at the top left of the region's box."""
    offset: tuple[Shift, ...] = Field(default=(0, 0), min_length=2, max_length=2)
    """To the right and down, from there."""
    long_offset: tuple[Shift, ...] = Field(default=(), max_length=2)
    """`offset` of a text of two characters or more; empty: the same."""
    font: Literal["sans", "hershey"] = "sans"
    """DejaVu Sans, smooth; Hershey Simplex as OpenCV 4 writes it, not smoothed, capitals and digits
    only."""
    size: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] | None = None
    """Height of `sans`, None: 16; scale of `hershey`, None: 0.5, at which capitals are 10 px high.
    """
    ink: Paint = "auto"
    """Colour of the text; without a box, `auto` is that of the mark."""
    box: Literal["none", "rectangle", "round"] = "rectangle"
    box_color: Paint = "mark"
    box_alpha: Level | None = None
    """Opacity; None: that of the mark."""
    padding: tuple[Length, ...] = Field(default=(2, 2, 2, 2), min_length=4, max_length=4)
    """From the text to the box's border, left, top, right, bottom."""
    clamp: Literal["none", "top", "image"] = "image"
    """`none`: the tag may run out of the image; `top`: one whose text would begin above the image
    goes below the anchor by `radius` and 5 px; `image`: the tag is moved into the image."""
    anchor: Anchor | Literal["box"] = "box"
    """`box`: the region's box, `radius` px larger on each side."""
    unit: Unit = "relative"
    radius: Length = 0
    """Of the marker that the tag belongs to; 0: there is none."""

    @model_validator(mode="after")
    def _is_pair(self) -> Self:
        if len(self.long_offset) == 1:
            raise ValueError("long_offset has one number · expected two: to the right, and down")
        return self

    def offset_of(self, text: str) -> tuple[float, ...]:
        """Return the offset of a text."""
        return self.long_offset or self.offset if len(text) > 1 else self.offset


def settings_of(mark: VisualPrompt, kind: type[SettingsT]) -> SettingsT:
    """Return the settings of a mark, checked; TaskError names every mistake."""
    return cast(SettingsT, _checked(kind, mark.shape, tuple(mark.settings.items())))


@lru_cache(maxsize=256)
def _checked(kind: type[Record], shape: Shape, items: tuple[tuple[str, Setting], ...]) -> Record:
    """Check settings once: a run has few, and a mark for every sample."""
    return checked(kind, dict(items), f"shape {shape!r}")


def pixels(length: float, unit: Unit, size_wh: tuple[int, int]) -> int:
    """Return a length or a shift in whole px of an image of this size."""
    return int(length if unit == "px" else length * max(size_wh) / ANCHOR)
