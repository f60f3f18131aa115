"""What all boxes of a data file together look like, where nobody has stated what they are.

One box says little: [0.2, 0.3, 0.5, 0.6] may be px, and [20, 30, 50, 60] may be thousandths of the
image, or x, y, width and height. A whole file says much. The rules are ours:

- All boxes, or nearly all, within 0 to 1: an error, however few they are.
- x, y, width, height: a quarter of the boxes or more is inverted, and taken so, they lie within
  their images, but for 2 in 100. An error from 20 boxes on. If none is inverted, but 10 different
  ones, and all others, lie within their images: a warning (if they are corners, each has one chance
  in four of that).
- Thousandths: all boxes lie within 0 to 1000, and the farthest reaches beyond 700. If far edges lie
  anywhere in an image, that none is beyond 1000 has the odds (side / 1000) to 1 in favour of
  thousandths, for each edge: in images that are smaller, against them. An edge outside of its image
  counts as 20 to 1. A warning from 20 to 1 on; an error from 1,000 to 1 and 20 boxes on.
- Other copies of the images: as for thousandths, but the square that all boxes lie within is
  the smallest that holds them, with a quarter on each side to spare. A warning from 1,000 to 1 and
  20 different boxes on.
- A tenth of the boxes or more reaches beyond the images, and as y, x, y, x they fit: an error. A
  quarter does, and they do not: a warning, since they may be of larger copies. From 20 boxes on.
  Images that EXIF lays on their side do not count where nothing is stated of them: each of them
  is reported.
- No box has a side of 2 px: a warning.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vipbench.data.units import box_text, stated, where_to_state
from vipbench.errors import DataError
from vipbench.images.decode import SIDEWAYS, image_header, safe_path
from vipbench.images.geometry import bounds
from vipbench.schema import Box, BoxUnits, DataSource, Problem, Region, Sample, TaskSpec

WITHIN_1 = (-0.5, 1.5)
"""Coordinates that are those of fractions, which may lie a little outside; as px they would all be
within the first pixels of the image."""
NEARLY_ALL = 0.9
MANY = 20
"""Boxes from which on a suspicion is an error."""
QUARTER = 0.25
"""Boxes that are inverted, at least, where they are x, y, width, height: more than half are, if
objects lie anywhere; if they are corners, none is but for mistakes."""
FEW = 3
"""Boxes below which nothing is said of widths."""
MISFIT = 0.02
"""Boxes that do not lie within their image as x, y, width and height, at most, if they are that."""
DISTINCT = 10
FAR = 700
OUTSIDE = math.log(20)
SUSPECTED, CONVINCED = math.log(20), math.log(1000)
ABSURD = -math.log(20_000)
"""Evidence at which no further image is looked at."""
KEPT = 256
"""Records spread over a file whose images may be looked at; up to twice as many."""
SHOWN = 3


SPARE = 1.25
"""What boxes of other copies may leave free at the far sides: in px, few files leave a fifth."""
BEYOND = 1.02
"""Part of the image's side from which on a box reaches beyond the image, and not by rounding."""
TENTH = 0.1
"""Boxes that reach beyond their images, at least, where they are y, x, y, x: of 4:3, a fifth do."""
SETTLED = 18
"""Boxes of which none reaches beyond its image, if a fifth does, in 2 cases of 100."""


CODES = (
    "boxes_within_1",
    "boxes_xywh",
    "boxes_within_1000",
    "boxes_tiny",
    "boxes_yxyx",
    "boxes_beyond",
    "boxes_of_copies",
)
"""Of the problems that `BoxTally` finds."""


def refuse_file(task: str, problems: Sequence[Problem]) -> None:
    """Raise DataError for what `BoxTally` finds, where it is an error."""
    errors = [f"{problem.id}: {problem.message}" for problem in problems if not problem.warning]
    if errors:
        raise DataError(f"{task}: {' · '.join(errors)}")


class _Kept(NamedTuple):
    """The boxes of one record, to be held against its image."""

    image: str
    boxes: tuple[Box, ...]
    are_corners: bool
    """Of points or around outlines, so that they are never x, y, width, height."""


class _Suspicion(NamedTuple):
    """What boxes look like that are not what they should be."""

    code: str
    message: str
    is_error: bool


class _Evidence:
    """What boxes say that were held against their images."""

    def __init__(self, highest: float) -> None:
        """Take the farthest edge of all boxes of the file."""
        self.n = 0
        self.square = SPARE * max(highest, 1.0)
        self.copies = 0.0
        """Natural log of the odds for boxes in a common square of this side."""
        self.all: set[Box] = set()
        self.n_beyond = 0
        self.n_beyond_swapped = 0
        """As y, x, y, x."""
        self.n_for_thousandths = 0
        self.thousandths = 0.0
        """Natural log of the odds for thousandths."""
        self.n_fit = 0
        """Boxes within their images as x, y, width, height."""
        self.n_misfit = 0
        self.distinct: set[Box] = set()
        """Different ones of `n_fit` that are other boxes if they are corners."""
        self.largest = (0, 0)

    @property
    def fit_swapped(self) -> bool:
        """Say whether boxes lie within their images as y0, x0, y1, x1."""
        return self.n_beyond_swapped <= MISFIT * self.n

    @property
    def are_beyond(self) -> bool:
        """Say whether so many boxes reach beyond their images that it is no mistake."""
        return self.n_beyond >= (TENTH if self.fit_swapped else QUARTER) * self.n

    @property
    def are_of_copies(self) -> bool:
        """Say whether boxes keep within a square, as those of other copies of the images do."""
        return self.copies >= CONVINCED and len(self.all) >= MANY

    def add(self, kept: _Kept, size_wh: tuple[int, int], *, is_turned: bool) -> None:
        width, height = size_wh
        self.largest = max(self.largest, size_wh, key=math.prod)
        for box in kept.boxes:
            x0, y0, x1, y1 = box
            far_x, far_y = max(x0, x1), max(y0, y1)
            odds = _odds(far_x, width) + _odds(far_y, height)
            self.n += 1
            self.thousandths += odds
            self.n_for_thousandths += odds > 0
            if not is_turned:
                self.n_beyond += far_x > BEYOND * width or far_y > BEYOND * height
                self.n_beyond_swapped += far_y > BEYOND * width or far_x > BEYOND * height
            self.copies += math.log(width / self.square) + math.log(height / self.square)
            self.all.add(box)
            if kept.are_corners:
                continue
            if x0 + x1 <= width + 1 and y0 + y1 <= height + 1:
                self.n_fit += 1
                if x0 >= 1 and y0 >= 1:
                    self.distinct.add(box)
            else:
                self.n_misfit += 1


def _odds(far: float, side: int) -> float:
    """Return the log of the odds that a far edge in 0 to 1000 is in thousandths and not in px."""
    return OUTSIDE if far > side * 1.02 else math.log(side / 1000)


class BoxTally:
    """Counts the boxes of a whole data file, record by record, whatever samples are asked."""

    def __init__(self) -> None:
        self.n = 0
        self._n_points = 0
        self._n_within_1 = 0
        self._n_fractions = 0
        """Of them, those that have an area and are no whole numbers."""
        self._n_inverted = 0
        self._n_tiny = 0
        """Boxes without a side of 2 px, points left out."""
        self._low, self._high = math.inf, -math.inf
        self._first: dict[str, list[str]] = {}
        """Kind -> the first boxes of it, with the ids of their samples."""
        self._kept: list[_Kept] = []
        self._n_records, self._stride = 0, 1

    def add(self, sample: Sample) -> None:
        """Count the boxes of one record, usable or not, before they are scaled."""
        # Called for every box of a file: what is usual is decided by the fewest comparisons.
        regions = [region for region in sample.regions if math.isfinite(sum(region.box))]
        for region in regions:
            self._count(sample.id, region.box, is_point=sample.are_points)
        if not regions:
            return
        if self._n_records % self._stride == 0:
            self._keep(sample.image, regions, are_points=sample.are_points)
        self._n_records += 1

    def _count(self, sample_id: str, box: Box, *, is_point: bool) -> None:
        x0, y0, x1, y1 = box
        low, high = min(box), max(box)
        self.n += 1
        self._n_points += is_point
        if low < self._low:
            self._low = low
        if high > self._high:
            self._high = high
        if high <= WITHIN_1[1] and low >= WITHIN_1[0]:
            self._n_within_1 += 1
            if (is_point or (x1 > x0 and y1 > y0)) and any(value % 1 for value in box):
                self._n_fractions += 1
                self._show("fractions", sample_id, box)
        if x1 < x0 or y1 < y0:
            self._n_inverted += 1
            self._show("inverted", sample_id, box)
        elif x1 - x0 < 2 and y1 - y0 < 2 and not is_point:
            self._n_tiny += 1
        if self.n <= SHOWN:
            self._show("any", sample_id, box)

    def _show(self, kind: str, sample_id: str, box: Box) -> None:
        shown = self._first.setdefault(kind, [])
        if len(shown) < SHOWN:
            shown.append(f"{box_text(box)} of {sample_id}")

    def _keep(self, image: str, regions: Sequence[Region], *, are_points: bool) -> None:
        """Keep every record of a short file, and of a long one some that are spread over it."""
        are_corners = are_points or any(
            region.polygons and region.box == bounds(region.polygons) for region in regions
        )
        self._kept.append(_Kept(image, tuple(region.box for region in regions), are_corners))
        if len(self._kept) == 2 * KEPT:
            del self._kept[1::2]
            self._stride *= 2

    def problems(self, spec: TaskSpec, source: DataSource) -> list[Problem]:
        """Say what all boxes together look like, where that is not what is stated.

        Opens the headers of a few images; of none where the numbers alone settle it.
        """
        source = stated(spec, source)
        if source.boxes in ("pixels", "fractions") or not self.n:
            return []
        where = where_to_state(spec)
        suspicions = list(self._small_numbers(source.boxes, where))
        if source.boxes is None and not any(each.is_error for each in suspicions):
            suspicions += self._other_units(self._hold_against_images(source), where)
        return [
            Problem(
                id=source.questions.name,
                code=each.code,
                message=f"{each.message}; if not, `boxes: pixels`",
                warning=not each.is_error,
            )
            for each in suspicions
        ]

    def _small_numbers(self, units: BoxUnits | None, where: str) -> Iterator[_Suspicion]:
        """Find fractions, and boxes that are too small to be seen."""
        are_fractions = self._n_within_1 >= NEARLY_ALL * self.n
        if are_fractions or self._n_fractions:
            n = self._n_within_1 if are_fractions else self._n_fractions
            shown = self._shown("any" if are_fractions else "fractions")
            yield _Suspicion(
                "boxes_within_1",
                f"{n:,} of {self.n:,} boxes lie within 0 to 1, such as {shown} · expected "
                f"{f'`boxes: {units}`' if units else 'px of the image'} · if they are x0, y0, x1, "
                f"y1 as fractions of its width and height, write `boxes: fractions` {where}",
                is_error=are_fractions,
            )
        n_boxes = self.n - self._n_points
        if not are_fractions and units is None and n_boxes and self._n_tiny == n_boxes:
            yield _Suspicion(
                "boxes_tiny",
                f"none of {n_boxes:,} boxes has a side of 2 px, such as {self._shown('any')} · "
                f"expected x0, y0, x1, y1 in px · if they are not, write what they are as `boxes` "
                f"{where}",
                is_error=False,
            )

    def _other_units(self, evidence: _Evidence, where: str) -> Iterator[_Suspicion]:
        """Find x, y, width and height, and thousandths of the image."""
        thousandths = self._may_be_thousandths() and evidence.thousandths >= SUSPECTED
        n = self.n - self._n_points
        # Small numbers in a large image fit as width and height, whatever they are.
        if self._looks_like_xywh(evidence) and (self._is_inverted() or not thousandths):
            shown = self._shown("inverted" if self._n_inverted else "any")
            n_held = evidence.n_fit + evidence.n_misfit
            may_be_copies = evidence.are_of_copies and not self._n_inverted
            also = f"; if {self._copies()}" if may_be_copies else ""
            yield _Suspicion(
                "boxes_xywh",
                f"{self._n_inverted:,} of {n:,} boxes are inverted as x0, y0, x1, y1, and as x, y, "
                f"width, height, {evidence.n_fit:,} of {n_held:,} that were looked at lie within "
                f"their images, such as {shown} · expected x0, y0, x1, y1 · if they are x, y, "
                f"width, height in px, write `boxes: xywh` {where}{also}",
                is_error=n >= MANY and self._is_inverted(),
            )
        elif thousandths:
            width, height = evidence.largest
            n = round(self.n * evidence.n_for_thousandths / evidence.n)
            yield _Suspicion(
                "boxes_within_1000",
                f"all {self.n:,} boxes lie within 0 to 1000, whatever the size of their images "
                f"(up to {width} x {height} px), such as {self._shown('any')} · expected px of the "
                "image · if they are thousandths of its width and height, write `boxes: "
                f"thousandths` {where}",
                is_error=n >= MANY and evidence.thousandths >= CONVINCED,
            )
        elif evidence.n >= MANY and evidence.are_beyond:
            yield self._beyond(evidence)
        elif evidence.are_of_copies:
            yield self._of_copies(evidence)

    def _beyond(self, evidence: _Evidence) -> _Suspicion:
        """Find y, x, y, x, or boxes of larger copies of the images."""
        swapped = evidence.fit_swapped
        meant = (
            "as y0, x0, y1, x1 they do not · expected x0, y0, x1, y1 · rewrite them in that order,"
            " or find out whether the images were turned after they were annotated"
            if swapped
            else "expected px of the image · if they are of larger copies of the images, scale them"
        )
        return _Suspicion(
            "boxes_yxyx" if swapped else "boxes_beyond",
            f"{evidence.n_beyond:,} of {evidence.n:,} boxes that were looked at reach beyond their "
            f"images, such as {self._shown('any')} · {meant}",
            is_error=swapped,
        )

    def _of_copies(self, evidence: _Evidence) -> _Suspicion:
        """Find boxes of smaller or square copies of the images, among them percent."""
        width, height = evidence.largest
        return _Suspicion(
            "boxes_of_copies",
            f"none of {self.n:,} boxes reaches beyond {self._high:g}, whatever the size of their "
            f"images (up to {width} x {height} px), such as {self._shown('any')} · expected px of "
            f"the image · if they are {self._copies()}",
            is_error=False,
        )

    def _copies(self) -> str:
        """Say what boxes within a small square may be, and what to do then."""
        if self._high <= 101:
            return "percent of its width and height, divide by 100 and write `boxes: fractions`"
        return "px of other copies of the images, scale them"

    def _shown(self, kind: str) -> str:
        return ", ".join(self._first.get(kind, ()))

    def _is_inverted(self) -> bool:
        n = self.n - self._n_points
        return self._n_inverted > 0 and self._n_inverted >= QUARTER * n

    def _may_be_thousandths(self) -> bool:
        return self._low >= -1 and FAR <= self._high <= 1001

    def _looks_like_xywh(self, evidence: _Evidence) -> bool:
        n_held = evidence.n_fit + evidence.n_misfit
        if n_held < FEW:
            return False
        if self._is_inverted():
            return evidence.n_misfit <= MISFIT * n_held
        return not self._n_inverted and not evidence.n_misfit and len(evidence.distinct) >= DISTINCT

    def _hold_against_images(self, source: DataSource) -> _Evidence:
        """Hold boxes against their images, until they are neither thousandths nor widths."""
        evidence = _Evidence(self._high)
        most = MISFIT * sum(len(kept.boxes) for kept in self._kept) if self._is_inverted() else 0
        for index in range(len(self._kept)):
            # Far from each other at first: files are often sorted by the size of the images.
            kept = self._kept[(index * 7919) % len(self._kept)]
            try:
                header = image_header(safe_path(source.image_roots, kept.image))
            except DataError:
                continue
            size = header.turned_size if source.exif == "apply" else header.size
            unstated = header.orientation in SIDEWAYS and source.exif is None
            evidence.add(kept, size, is_turned=unstated)
            no_thousandths = not self._may_be_thousandths() or evidence.thousandths < ABSURD
            none_beyond = evidence.n >= SETTLED and not evidence.n_beyond
            no_copies = evidence.n >= SETTLED and evidence.copies < 0
            if no_thousandths and evidence.n_misfit > most and none_beyond and no_copies:
                break
        return evidence
