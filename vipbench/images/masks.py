"""Masks to regions: run lengths as COCO writes them, and PNG files of labels.

An outline runs through the centres of a mask's outermost pixels, as Pillow fills polygons, so that
shape `mask` marks the pixels of the mask and no other, holes left out. Where a part has holes, its
outline goes to the edge of each and back along the same line, the shortest one that there is. These
are the `bridges` of the region, which shape `mask contour` leaves out.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vipbench.errors import DataError
from vipbench.images.decode import MAX_PIXELS, stored_levels
from vipbench.images.geometry import bounds
from vipbench.reading import BadRecord
from vipbench.schema import Polygon, Region
from vipbench.validation import shown

MAX_EDGES = 1_000_000
"""Edges between pixels of a mask and others, at most. Ours: an outline of a thing in an image of
`MAX_PIXELS` has a tenth of it; noise has more, and would fill the disk."""
MAX_LABELS = 256
"""Labels of a PNG that are regions, at most. Ours."""
LOSSLESS = (".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm")
"""What files of masks are called; others blur the edges of labels."""
DIGIT, LONGEST = 5, 7
"""Bits of a character of compressed run lengths, and characters of one that fits `MAX_PIXELS`."""

# Edges are numbered 4 * pixel + side. An edge is walked with its pixel on the right hand: the top
# one to the right, the right one down, and so on.
TOP, RIGHT, BOTTOM, LEFT = range(4)


# --- run lengths


def decode_rle(value: object, where: str) -> np.ndarray:
    """Return the mask that COCO's run lengths stand for: bool (height, width), rows first.

    Takes `{"size": [height, width], "counts": ...}`, where `counts` is a list of run lengths or
    their compressed text: pixels are counted down the columns, the first run is outside of the
    mask. Source of the text's form: pycocotools, `rleFrString` in maskApi.c.

    Raises:
        BadRecord: It is not that, its runs do not add up to its size, or it has over
            `MAX_PIXELS` pixels.
    """
    height, width = _size(value, where)
    counts = value.get("counts") if isinstance(value, dict) else None
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", errors="replace")
    if isinstance(counts, str):
        runs = _decompressed(counts, where)
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        runs = np.array([min(max(count, -1), MAX_PIXELS + 1) for count in counts], dtype=np.int64)
    else:
        raise _bad(
            f"{where}: counts {shown(counts)} · expected run lengths, as a list of whole numbers or"
            " as COCO's compressed text"
        )
    total = int(runs.sum())
    if (runs < 0).any() or total != height * width:
        negative = " with a negative one" if (runs < 0).any() else ""
        raise _bad(
            f"{where}: its {len(runs):,} run lengths{negative} add up to {total:,} · expected"
            f" {height:,} x {width:,} = {height * width:,} pixels, as its size says"
        )
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def _size(value: object, where: str) -> tuple[int, int]:
    """Return height and width that run lengths state."""
    if not isinstance(value, dict):
        raise _bad(f"{where}: {shown(value)} · expected run lengths, {{size: [h, w], counts: …}}")
    size = value.get("size")
    sides = size if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or any(type(side) is not int or side < 1 for side in sides):
        raise _bad(f"{where}: size {shown(size)} · expected [height, width] in px")
    height, width = sides
    if height * width > MAX_PIXELS:
        raise _bad(f"{where}: size {height} x {width} px · expected at most 100 megapixels")
    return height, width


def _decompressed(text: str, where: str) -> np.ndarray:
    """Return run lengths, int64 (n,), of COCO's compressed text.

    A character has five bits of a number, the lowest first, and a sixth where the number goes on;
    from the fourth number on, what is written is the difference to the last but one.
    """
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - ord("0")
    wrong = next((c for c in text if not "0" <= c <= "o"), None)
    if wrong is not None:
        raise _bad(
            f"{where}: counts hold {wrong!r} at character {text.index(wrong)} · expected COCO's"
            " compressed text, characters 0 to o"
        )
    ends = np.flatnonzero(codes & 32 == 0)
    if not len(codes) or ends[-1:] != len(codes) - 1:
        raise _bad(f"{where}: counts {shown(text[-20:])} end within a number · expected all of it")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > LONGEST:
        raise _bad(f"{where}: counts hold a number of {lengths.max()} characters · expected fewer")
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    runs = np.add.reduceat((codes & 31) << (DIGIT * places), starts)
    runs -= np.where(codes[ends] & 16, np.int64(1) << (DIGIT * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


# --- files


def read_mask(path: Path, where: str) -> np.ndarray:
    """Return the mask in a file: bool (height, width), all that is not 0.

    Raises BadRecord where it is no image of one channel without loss.
    """
    mask: np.ndarray = _levels(path, where) != 0
    return mask


def read_labels(path: Path, where: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each label of a file but 0, in their order, with its mask: bool (height, width).

    Raises BadRecord as `read_mask`, and where there are over `MAX_LABELS` labels.
    """
    levels = _levels(path, where)
    labels = [int(label) for label in np.unique(levels) if label != 0]
    if len(labels) > MAX_LABELS:
        raise _bad(
            f"{where}: {path.name} has {len(labels):,} labels · expected at most {MAX_LABELS}, one"
            " a region · if it is a picture, give the mask"
        )
    if not labels:
        raise _empty(where)
    for label in labels:
        yield label, levels == label


def _levels(path: Path, where: str) -> np.ndarray:
    if path.suffix.lower() not in LOSSLESS:
        raise _bad(f"{where}: {path.name} · expected a PNG, which keeps labels as they are")
    try:
        return stored_levels(path)
    except DataError as error:
        raise _bad(f"{where}: {error}") from error


# --- regions


def mask_region(mask: np.ndarray, where: str, label: str = "object") -> Region:
    """Return a mask, bool (height, width), as a region: outlines, and the box around them.

    The box goes through the centres of the outermost pixels, as the outlines do. Parts that touch
    at corners only are one.

    Raises:
        BadRecord: No pixel is in the mask, or it is noise of over `MAX_EDGES` edges.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise _empty(where)
    top, left = int(rows[0]), int(columns[0])
    padded = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    outlines = _Outlines(padded, where)
    polygons: list[Polygon] = []
    bridges: list[tuple[int, int]] = []
    shift = np.array([left - 1, top - 1])
    for points, steps in outlines.joined():
        polygon, edges = _polygon(points + shift, steps)
        bridges += [(len(polygons), edge) for edge in edges]
        polygons.append(polygon)
    return Region(
        box=bounds(polygons), polygons=tuple(polygons), bridges=tuple(bridges), label=label
    )


class _Bridge(NamedTuple):
    """A way between two outlines along pixels of the mask."""

    length: int
    edge: int
    """Index of an edge of a hole."""
    other: int
    """Index of the edge that is met."""


class _Outlines:
    """All closed outlines of a mask that has a free margin of one pixel."""

    def __init__(self, mask: np.ndarray, where: str) -> None:
        self.flat, self.width = mask.ravel(), mask.shape[1]
        out = (-self.width, 1, self.width, -1)
        ahead = (1, self.width, -1, -self.width)
        edges, following = [], []
        for side in range(4):
            # The margin is free, so that nothing comes in at the other end.
            pixels = np.flatnonzero(self.flat & ~np.roll(self.flat, -out[side]))
            diagonal = pixels + ahead[side] + out[side]
            straight = pixels + ahead[side]
            turned = np.where(self.flat[straight], 4 * straight + side, 4 * pixels + (side + 1) % 4)
            edges.append(4 * pixels + side)
            following.append(np.where(self.flat[diagonal], 4 * diagonal + (side - 1) % 4, turned))
        numbers = np.concatenate(edges)
        if len(numbers) > MAX_EDGES:
            raise _bad(
                f"{where}: its outline has {len(numbers):,} edges of pixels · expected at most"
                f" {MAX_EDGES:,}, the mask of a thing and not noise"
            )
        order = np.argsort(numbers)
        self.edges = numbers[order]
        following_edges = np.concatenate(following)[order]
        self._walk(np.searchsorted(self.edges, following_edges).tolist())

    def _walk(self, following: list[int]) -> None:
        """Follow the edges around: `cycles` of indices, and `owner`, the cycle of each edge."""
        self.owner = [-1] * len(following)
        self.cycles: list[list[int]] = []
        for start in range(len(following)):
            if self.owner[start] >= 0:
                continue
            cycle, edge = [], start
            while self.owner[edge] < 0:
                self.owner[edge] = len(self.cycles)
                cycle.append(edge)
                edge = following[edge]
            self.cycles.append(cycle)

    def _is_hole(self, cycle: list[int]) -> bool:
        """Tell holes from outlines by the sign of the area that is walked around."""
        edges = self.edges[cycle]
        x = edges // 4 % self.width
        sides = edges % 4
        return bool((x[sides == RIGHT] + 1).sum() < x[sides == LEFT].sum())

    def joined(self) -> Iterator[tuple[np.ndarray, list[int]]]:
        """Yield an outline for each part, its holes joined to it: int (n, 2), x and y in px.

        Beside it stand the indices of the points from which it goes over a bridge.
        """
        holes = [self._is_hole(cycle) for cycle in self.cycles]
        ends = self._bridges(holes) if any(holes) else {}
        for index, cycle in enumerate(self.cycles):
            if not holes[index]:
                walked, steps = self._around(cycle, ends)
                pixels = self.edges[walked] // 4
                yield np.stack([pixels % self.width, pixels // self.width], axis=1), steps

    def _bridges(self, holes: list[bool]) -> dict[int, list[int]]:
        """Choose the shortest bridges that join all holes: edge -> edges at the other ends.

        Each hole has four to choose from, straight on from its farthest edges. Those to the left
        alone lead to an outline, whatever is between.
        """
        found = sorted(
            bridge
            for cycle, is_hole in zip(self.cycles, holes, strict=True)
            if is_hole
            for bridge in self._ways(cycle)
        )
        root = list(range(len(holes)))

        def find(index: int) -> int:
            while root[index] != index:
                root[index] = index = root[root[index]]
            return index

        ends: dict[int, list[int]] = defaultdict(list)
        for bridge in found:
            one, other = find(self.owner[bridge.edge]), find(self.owner[bridge.other])
            if one != other:
                root[one] = other
                ends[bridge.edge].append(bridge.other)
                ends[bridge.other].append(bridge.edge)
        return ends

    def _ways(self, cycle: list[int]) -> Iterator[_Bridge]:
        """Yield the bridges of a hole to the left, the right, up and down."""
        sides = self.edges[cycle] % 4
        pixels = self.edges[cycle] // 4
        # The pixel to the left of a hole has the hole at its right side, and so on.
        for side, back, step in (
            (RIGHT, LEFT, -1),
            (LEFT, RIGHT, 1),
            (BOTTOM, TOP, -self.width),
            (TOP, BOTTOM, self.width),
        ):
            at = pixels[sides == side]
            along = at % self.width if abs(step) == 1 else at // self.width
            start = int(at[np.argmax(along if step > 0 else -along)])
            pixel = start
            while self.flat[pixel + step]:
                pixel += step
            yield _Bridge(
                abs(pixel - start) // abs(step),
                int(np.searchsorted(self.edges, 4 * start + side)),
                int(np.searchsorted(self.edges, 4 * pixel + back)),
            )

    def _around(self, cycle: list[int], ends: dict[int, list[int]]) -> tuple[list[int], list[int]]:
        """Return the edges around an outline, with those of its holes where bridges lead there.

        Also return the indices of the edges from which the next one is reached over a bridge.
        """
        visited = {self.owner[cycle[0]]}
        walked: list[int] = []
        steps: list[int] = []
        # Edges still to be walked, the next one last; negative (~edge): reached over a bridge.
        ahead = cycle[::-1]
        while ahead:
            edge = ahead.pop()
            if edge < 0:
                edge = ~edge
                steps.append(len(walked) - 1)
            walked.append(edge)
            for other in ends.get(edge, ()):
                if self.owner[other] in visited:
                    continue
                visited.add(self.owner[other])
                hole = self.cycles[self.owner[other]]
                at = hole.index(other)
                around = [~other, *hole[at + 1 :], *hole[:at], other]
                ahead += [~edge, *reversed(around)]
        return walked, steps


def _polygon(points: np.ndarray, steps: list[int]) -> tuple[Polygon, list[int]]:
    """Leave out the points of an outline, int (n, 2), that lie on a straight way.

    Also return the edges of the polygon that are bridges, which those from the points `steps` to
    the next are.
    """
    is_new = (points != np.roll(points, 1, axis=0)).any(axis=1)
    is_new[0] |= not is_new.any()  # a single pixel
    kept = points[is_new]
    place = np.cumsum(is_new) - 1  # of each point among those that are kept; -1: the last
    is_bridge = np.zeros(len(kept), dtype=bool)
    for step in steps:
        if is_new[step + 1]:  # else both outlines meet in one pixel
            is_bridge[place[step]] = True
    before, after = kept - np.roll(kept, 1, axis=0), np.roll(kept, -1, axis=0) - kept
    bend = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    straight = (bend == 0) & ((before * after).sum(axis=1) > 0)
    straight &= ~(is_bridge | np.roll(is_bridge, 1))
    vertices = [(float(x), float(y)) for x, y in kept[~straight].tolist()]
    # A polygon has three vertices at least, that of a pixel or a line too.
    vertices += vertices[-1:] * (3 - len(vertices))
    return tuple(vertices), np.flatnonzero(is_bridge[~straight]).tolist()


def _bad(message: str) -> BadRecord:
    return BadRecord(message, "bad_mask")


def _empty(where: str) -> BadRecord:
    return BadRecord(
        f"{where}: no pixel is in the mask · expected a region · leave it out, or mask it again",
        "empty_mask",
    )
