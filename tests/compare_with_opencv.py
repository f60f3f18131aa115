"""Draw at random with OpenCV 4 and by our own rules, and count what is not equal.

    pip install 'opencv-python-headless==4.12.0.88' && python -m tests.compare_with_opencv 20000

Lines, circles, polygons and texts of many sizes in small images, inside, at the border and beyond.
OpenCV is no requirement of ours: the tests compare what it has drawn once, by `DIGEST`. Version 5
draws texts in another font.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np

from vipbench.images.shapes import hershey, raster
from vipbench.images.shapes.raster import Pixel, Run

N_DIGESTED = 600
DIGEST = "8f40e3ce4477644c88b0c3b4a4aa71a4fa4e0108ea86156bccc39a8c293d14c7"
"""sha256 of the first N_DIGESTED pictures, as OpenCV 4.12.0 draws them."""
RADII = (1, 2, 3, 4, 5, 8, 9, 10, 14, 15, 20, 33, 60)


class Drawing(NamedTuple):
    """What is drawn on an image of a size."""

    kind: str
    size_wh: Pixel
    points: list[Pixel]
    """The centre of a circle, the left end of a text's base line."""
    radius: int
    thickness: int
    text: str
    scale: float


def drawings(n: int) -> Iterator[Drawing]:
    """Yield things to draw, always the same ones."""
    rng = Random(0)
    for _ in range(n):
        kind, size_wh = (
            rng.choice(("circle", "outline", "line", "area", "text")),
            (
                rng.randint(1, 90),
                rng.randint(1, 90),
            ),
        )
        x, y = rng.randint(-30, size_wh[0] + 30), rng.randint(-30, size_wh[1] + 30)
        radius, thickness = rng.choice(RADII), rng.choice((1, 2, 2, 2, 3, 4, 5, 8))
        points = [(x, y)]
        if kind in ("outline", "line", "area"):
            points = [
                (x + rng.randint(-radius, radius), y + rng.randint(-radius, radius))
                for _ in range(2 if kind == "line" else 3)
            ]
        if kind == "circle":
            thickness = rng.choice((0, thickness))
        text = "".join(rng.choices([*hershey.LETTERS], k=rng.randint(1, 3)))
        yield Drawing(kind, size_wh, points, radius, thickness, text, rng.random())


def by_our_rules(what: Drawing) -> np.ndarray:
    """Return what our rules draw: uint8 (height, width), 255 or 0."""
    runs: Iterable[Run]
    if what.kind == "circle":
        runs = raster.circle(what.points[0], what.radius, what.thickness, what.size_wh)
    elif what.kind == "text":
        runs = hershey.text_runs(what.text, what.scale, what.points[0], what.size_wh)
    elif what.kind == "area":
        runs = raster.convex_area(what.points, what.size_wh)
    else:
        closed = what.kind == "outline"
        runs = raster.outline(what.points, what.thickness, what.size_wh, closed=closed)
    canvas = np.zeros(what.size_wh[::-1], np.uint8)
    for bitmap in raster.bitmap(runs, what.size_wh):
        (left, top), (width, height) = bitmap.corner, bitmap.size_wh
        drawn = np.frombuffer(bitmap.pixels, np.uint8).reshape(height, width)
        canvas[top : top + height, left : left + width] = drawn
    return canvas


def by_opencv(what: Drawing) -> np.ndarray:
    """Return what OpenCV draws; all of it, where a text has another size for it."""
    import cv2

    canvas: Any = np.zeros(what.size_wh[::-1], np.uint8)
    points, font = np.array(what.points), cv2.FONT_HERSHEY_SIMPLEX
    if what.kind == "circle":
        cv2.circle(canvas, what.points[0], what.radius, 255, what.thickness or -1)
    elif what.kind == "text":
        size = tuple(cv2.getTextSize(what.text, font, what.scale, 1)[0])
        if size != hershey.text_size(what.text, what.scale):
            return np.full(what.size_wh[::-1], 128, np.uint8)
        cv2.putText(canvas, what.text, what.points[0], font, what.scale, 255, 1, cv2.LINE_8)
    elif what.kind == "area":
        cv2.fillConvexPoly(canvas, points, 255)
    elif what.kind == "outline":
        cv2.polylines(canvas, [points], True, 255, what.thickness)
    else:
        cv2.line(canvas, *what.points, 255, what.thickness)
    drawn: np.ndarray = canvas
    return drawn


def digest(draw: Callable[[Drawing], np.ndarray]) -> str:
    """Return the sha256 of the first pictures as drawn by one of the two."""
    state = hashlib.sha256()
    for what in drawings(N_DIGESTED):
        state.update(draw(what).tobytes())
    return state.hexdigest()


def main() -> None:
    import cv2

    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    drawn: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for what in drawings(n):
        drawn[what.kind] += 1
        other[what.kind] += not np.array_equal(by_opencv(what), by_our_rules(what))
    for kind in sorted(drawn):
        sys.stdout.write(f"{kind}: {other[kind]} of {drawn[kind]} are not equal\n")
    sys.stdout.write(f"OpenCV {cv2.__version__}: {digest(by_opencv)}, here {DIGEST}\n")
    sys.exit(1 if other.total() or digest(by_opencv) != DIGEST else 0)


if __name__ == "__main__":
    main()
