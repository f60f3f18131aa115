"""Small scenes of coloured figures: drawn as images, each figure with its box and polygon."""

import math
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

from vipbench.images.geometry import bounds
from vipbench.schema import RGB, Box, Polygon

SIDE = 128
"""Width and height of a scene in px; a model of 64 px sees it at half size."""
CELL = SIDE // 2
"""A scene has two by two cells with at most one figure each."""
MARGIN = 4
"""px between a figure's outline and its box, so that a mark on the box hides little of it."""

FIGURES = ("circle", "square", "diamond", "cross", "star")
COLORS: dict[str, RGB] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "brown": (125, 65, 10),
    "pink": (255, 150, 185),
    "green": (0, 115, 55),
    "violet": (140, 110, 200),
}
"""Chosen to differ from each other and from the nine colours of marks."""


class Figure(NamedTuple):
    """One figure of a scene, in px of the scene."""

    shape: str
    color: str
    cell: int
    """0 top left, 1 top right, 2 bottom left, 3 bottom right."""
    polygon: Polygon
    box: Box

    @property
    def name(self) -> str:
        """Say what it is: `brown star`."""
        return f"{self.color} {self.shape}"


def make_scene(kinds: list[tuple[str, str]], rng: Random) -> list[Figure]:
    """Place figures of the given (shape, colour) in cells of their own, jittered, of two sizes."""
    cells = rng.sample(range(4), len(kinds))
    return [
        _place(shape, color, cell, rng) for (shape, color), cell in zip(kinds, cells, strict=True)
    ]


def _place(shape: str, color: str, cell: int, rng: Random) -> Figure:
    radius = rng.choice((15, 20))
    slack = CELL / 2 - radius - MARGIN - 2
    x = CELL * (cell % 2) + CELL / 2 + rng.uniform(-slack, slack)
    y = CELL * (cell // 2) + CELL / 2 + rng.uniform(-slack, slack)
    polygon = tuple(
        (round(x + radius * px, 1), round(y + radius * py, 1)) for px, py in _outline(shape)
    )
    x0, y0, x1, y1 = bounds([polygon])
    box = tuple(float(round(v)) for v in (x0 - MARGIN, y0 - MARGIN, x1 + MARGIN, y1 + MARGIN))
    return Figure(shape, color, cell, polygon, box)  # type: ignore[arg-type]  # four values


def _outline(shape: str) -> list[tuple[float, float]]:
    """Return the corners of a figure of radius 1 around the origin, clockwise on the screen."""
    if shape == "circle":
        return [_on_circle(1, k / 24) for k in range(24)]
    if shape == "square":
        return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    if shape == "diamond":
        return [(0, -1), (0.75, 0), (0, 1), (-0.75, 0)]
    if shape == "cross":
        a, b = 0.32, 1.0
        quarter = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)]
        return quarter + [(-px, -py) for px, py in quarter]
    return [_on_circle(1 if k % 2 == 0 else 0.4, k / 10) for k in range(10)]  # star


def _on_circle(radius: float, turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn - math.pi / 2
    return radius * math.cos(angle), radius * math.sin(angle)


def draw_scene(figures: list[Figure], rng: Random) -> Image.Image:
    """Draw a scene as an RGB image of SIDE x SIDE px on a grey ground that varies a little."""
    grey = rng.randint(155, 180)
    ground = (grey + rng.randint(-8, 8), grey + rng.randint(-8, 8), grey + rng.randint(-8, 8))
    scale = 4  # drawn larger and reduced, for smooth edges
    image = Image.new("RGB", (SIDE * scale, SIDE * scale), ground)
    canvas = ImageDraw.Draw(image)
    for figure in figures:
        outline = [(x * scale, y * scale) for x, y in figure.polygon]
        canvas.polygon(outline, fill=COLORS[figure.color])
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)
