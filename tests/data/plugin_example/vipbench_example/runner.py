"""A runner without a network: it finds the mark on the image and looks at the colour beneath."""

from collections.abc import Sequence

import numpy as np

from vipbench.schema import Request, Response


class ReadsPixels:
    """Answers which of two colours surrounds the mark, which must be black."""

    image_size = None
    """Images come as they are, marks drawn."""

    def __init__(self, model: str | None = None) -> None:
        """Take the text of `--model`, which this runner does not need."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Return one response a request, in order."""
        return [Response(text=self._answer(image), n_new_tokens=1) for image in images]

    def _answer(self, image: np.ndarray) -> str:
        """Look at the left neighbour of the leftmost black pixel; `image` is (height, width, 3)."""
        rows, columns = np.nonzero((image == 0).all(axis=2))
        if not len(columns):
            return "none"
        first = columns.argmin()
        red, _, blue = image[rows[first], columns[first] - 1]
        return "red" if red > blue else "blue"
