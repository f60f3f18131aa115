"""Write the golden files anew: `python tests/make_goldens.py`.

Tests compare them exactly. What changes them changes scores: it needs a raised task version.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from vipbench.draw import render
from vipbench.schema import Region, Shape, VisualPrompt

GOLDEN = Path(__file__).resolve().parent / "golden"
SHAPES: tuple[Shape, ...] = (
    "rectangle",
    "ellipse",
    "triangle",
    "point",
    "scribble",
    "mask contour",
    "mask",
    "arrow",
)


def pixels() -> dict[str, Image.Image]:
    """Return one picture a shape, by its file's name.

    Each has a mark on a region of two polygons in a width that is given, and one over it, from a
    box that reaches beyond the image, in a width that is drawn.
    """
    polygons = (
        ((30.0, 40.5), (110.25, 30.0), (120.0, 100.0), (75.0, 60.0), (35.5, 110.0)),
        ((130.0, 90.0), (165.0, 85.0), (150.0, 130.0)),
    )
    both = Region(box=(30.0, 30.0, 165.0, 130.0), polygons=polygons)
    beyond = Region(box=(100.4, 70.6, 259.5, 171.0))
    pictures = {}
    for i, shape in enumerate(SHAPES):
        marks = [
            VisualPrompt(region=both, shape=shape, color=(255, 0, 0), alpha=128, width=6, seed=i),
            VisualPrompt(
                region=beyond, shape=shape, color=(0, 255, 255), alpha=200, width=None, seed=i + 8
            ),
        ]
        pictures[f"{shape.replace(' ', '_')}.png"] = render(background(), marks)
    return pictures


def background() -> Image.Image:
    """Return an RGB image of 240 x 180 px with a smooth change of colour."""
    y, x = np.mgrid[0:180, 0:240]
    return Image.fromarray(np.stack([x, y, 255 - (x + y) // 2], axis=2).astype(np.uint8))


def write_pixels() -> None:
    """Replace all pictures in golden/pixels."""
    folder = GOLDEN / "pixels"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.png"):
        path.unlink()
    for name, picture in pixels().items():
        picture.save(folder / name, optimize=True)


def main() -> None:
    """Write all golden files."""
    write_pixels()


if __name__ == "__main__":
    main()
