"""Draw at random with OpenCV 4 and by our own rules, and count what is not equal.

    pip install 'opencv-python-headless==4.12.0.88' && python tests/compare_with_opencv.py 20000

Lines, circles, polygons and texts of many sizes in small images, inside, at the border and beyond.
OpenCV 5 draws texts in another font. No test runs this: OpenCV is no requirement of ours.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any

import cv2
import numpy as np

from vipbench.images.shapes import hershey, raster
from vipbench.images.shapes.raster import Pixel, Run

KINDS = ("circle", "outline", "line", "area", "text")
RADII = (1, 2, 3, 4, 5, 8, 9, 10, 14, 15, 20, 33, 60)


def painted(runs: Iterable[Run], size_wh: Pixel) -> np.ndarray:
    """Return what runs draw on an image of this size: uint8 (height, width), 255 or 0."""
    canvas = np.zeros(size_wh[::-1], np.uint8)
    for row, first, last in runs:
        if 0 <= row < size_wh[1] and last >= 0:
            canvas[row, max(first, 0) : last + 1] = 255
    return canvas


def both(kind: str, rng: Random, size_wh: Pixel) -> tuple[np.ndarray, np.ndarray]:
    """Draw one thing by both ways."""
    canvas: Any = np.zeros(size_wh[::-1], np.uint8)
    width, height = size_wh
    center = rng.randint(-30, width + 30), rng.randint(-30, height + 30)
    radius, thickness = rng.choice(RADII), rng.choice((1, 2, 2, 2, 3, 4, 5, 8))
    if kind == "circle":
        thickness = rng.choice((0, thickness))
        cv2.circle(canvas, center, radius, 255, thickness or -1)
        return canvas, painted(raster.circle(center, radius, thickness, size_wh), size_wh)
    if kind == "text":
        text, scale = "".join(rng.choices([*hershey.LETTERS], k=rng.randint(1, 3))), rng.random()
        size = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0]
        if tuple(size) != hershey.text_size(text, scale):
            return canvas, canvas + 1
        cv2.putText(canvas, text, center, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1, cv2.LINE_8)
        return canvas, painted(hershey.text_runs(text, scale, center, size_wh), size_wh)
    points = [
        (center[0] + rng.randint(-radius, radius), center[1] + rng.randint(-radius, radius))
        for _ in range(2 if kind == "line" else 3)
    ]
    if kind == "line":
        cv2.line(canvas, *points, 255, thickness)
        return canvas, painted(raster.outline(points, thickness, size_wh, closed=False), size_wh)
    if kind == "outline":
        cv2.polylines(canvas, [np.array(points)], True, 255, thickness)
        return canvas, painted(raster.outline(points, thickness, size_wh), size_wh)
    cv2.fillConvexPoly(canvas, np.array(points), 255)
    return canvas, painted(raster.convex_area(points, size_wh), size_wh)


def main() -> None:
    if int(cv2.__version__.split(".")[0]) != 4:
        sys.exit(f"OpenCV is {cv2.__version__} · expected version 4")
    n, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, Random(0)
    drawn: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for _ in range(n):
        kind, size_wh = rng.choice(KINDS), (rng.randint(1, 90), rng.randint(1, 90))
        theirs, ours = both(kind, rng, size_wh)
        drawn[kind] += 1
        other[kind] += not np.array_equal(theirs, ours)
    for kind in KINDS:
        sys.stdout.write(f"{kind}: {other[kind]} of {drawn[kind]} are not equal\n")
    sys.exit(1 if other.total() else 0)


if __name__ == "__main__":
    main()
