"""Controls that change the sample before it is asked: what is left when the marks mislead?

They take a sample and return another one; the text mentions the same regions as before.
"""

import itertools
from collections.abc import Callable, Sequence

from vipbench.errors import DataError
from vipbench.prompts.marks import keyed, seed_of
from vipbench.prompts.mentions import LETTERS
from vipbench.schema import Box, PromptStyle, Region, Sample, StyleKind

CHANGING: tuple[StyleKind, ...] = ("wrong", "shuffled", "permuted")
"""Kinds of styles that ask about another sample than that of the data."""
GRID = 9
"""Positions across and down that a lone mark may be moved to. Ours; it finds a free corner."""
MOST_DRAWS = 1000
"""Samples that are looked at for the regions of one; a task without any would be searched for ever.
"""


def change(
    sample: Sample, style: PromptStyle, seed: int, other: Callable[[int], Sample | None]
) -> Sample:
    """Return the sample that a style asks about; the sample itself under all but the controls.

    Args:
        sample: with its image's size.
        style: its kind says what is changed.
        seed: of the run; with the sample's id it keys every draw.
        other: gives a sample of the same task by a random number; None where that one is unusable.

    Raises:
        DataError: the image's size is unknown, or there is no other sample with a region.
    """
    if style.kind == "wrong":
        return wrong(sample, seed)
    if style.kind == "shuffled":
        return shuffled(sample, seed, other)
    if style.kind == "permuted":
        return permuted(sample, seed, style.shift)
    return sample


def wrong(sample: Sample, seed: int) -> Sample:
    """Exchange the marks cyclically among a question's regions, so that each marks another thing.

    A lone mark goes to a box of its size elsewhere in the image: the position in a GRID x GRID
    raster that overlaps its own least, the first of these by seed. Of several images, this is done
    in each, so that a text that names the image of a mark stays true of it.
    """
    others: dict[int, Region] = {}
    for indices in _by_image(sample.regions).values():
        if len(indices) == 1:
            others[indices[0]] = _elsewhere(sample, sample.regions[indices[0]], seed)
            continue
        for index, next_one in zip(indices, [*indices[1:], indices[0]], strict=True):
            others[index] = sample.regions[next_one]
    return _with_regions(sample, [others[index] for index in sorted(others)])


def shuffled(sample: Sample, seed: int, other: Callable[[int], Sample | None]) -> Sample:
    """Put the marks where other samples have theirs, in images of another group, to scale.

    Samples are drawn by seed and id until there are as many regions as the question has. Each of
    several images borrows regions from other images that are shown in its place: the second image
    from second ones.
    """
    wanted = _by_image(sample.regions)
    borrowed: dict[int, list[Region]] = {image: [] for image in wanted}
    for number in range(MOST_DRAWS):
        if all(len(borrowed[image]) >= len(indices) for image, indices in wanted.items()):
            taken = {image: iter(regions) for image, regions in borrowed.items()}
            return _with_regions(sample, [next(taken[each.image]) for each in sample.regions])
        drawn = other(seed_of(seed, sample.id, "shuffled", number))
        if drawn is None or drawn.group == sample.group or not drawn.image_size:
            continue
        for region in drawn.regions:
            is_shown = drawn.all_images[region.image] in sample.images
            if region.image in borrowed and not is_shown:
                borrowed[region.image].append(_to_scale(region, drawn, sample))
    raise _nothing_borrowed(sample)


def _nothing_borrowed(sample: Sample) -> DataError:
    found = f"sample {sample.id!r}: found no regions of other images"
    if not sample.images:
        return DataError(
            f"{found} in {MOST_DRAWS} draws · style shuffled needs a task with several images that"
            " hold regions"
        )
    places = ", ".join(str(image + 1) for image in sorted(_by_image(sample.regions)))
    return DataError(
        f"{found} in the place of image {places} in {MOST_DRAWS} draws · style shuffled needs other"
        " questions that hold regions there, in other images"
    )


def permuted(sample: Sample, seed: int, shift: int | None) -> Sample:
    """Put the options into another order, keyed by seed and id, or `shift` positions on.

    Marks stay where they are, and each option keeps its own; the target is the new letter.
    """
    n = len(sample.choices)
    if not n:
        return sample
    order = list(range(n))
    if shift is None:
        keyed(seed, sample.id, "options").shuffle(order)
    else:
        order = [(index - shift) % n for index in order]
    right = LETTERS.index(sample.target)
    ids = sample.choice_ids
    return sample.model_copy(
        update={
            "choices": tuple(sample.choices[index] for index in order),
            "choice_ids": tuple(ids[index] for index in order) if ids else (),
            "target": LETTERS[order.index(right)],
        }
    )


def _with_regions(sample: Sample, others: Sequence[Region]) -> Sample:
    """Return the sample with other regions, which take over the labels of its own."""
    regions = tuple(
        other.model_copy(update={"label": region.label})
        for region, other in zip(sample.regions, others, strict=True)
    )
    return sample.model_copy(update={"regions": regions})


def _by_image(regions: Sequence[Region]) -> dict[int, list[int]]:
    """Return the indices of the regions that lie in each image that has any."""
    by_image: dict[int, list[int]] = {}
    for index, region in enumerate(regions):
        by_image.setdefault(region.image, []).append(index)
    return by_image


def _elsewhere(sample: Sample, region: Region, seed: int) -> Region:
    width, height = _size(sample, region)
    x0, y0, x1, y1 = region.box
    raster = [
        (column * (width - (x1 - x0)) / (GRID - 1), row * (height - (y1 - y0)) / (GRID - 1))
        for row, column in itertools.product(range(GRID), repeat=2)
    ]
    purpose = f"wrong in image {region.image}" if region.image else "wrong"
    keyed(seed, sample.id, purpose).shuffle(raster)
    left, top = min(raster, key=lambda corner: _overlap(region.box, *corner))
    return _moved(region, left - x0, top - y0)


def _overlap(box: Box, left: float, top: float) -> float:
    """Return the area in px that a box shares with itself moved to another corner."""
    x0, y0, x1, y1 = box
    across = (x1 - x0) - abs(left - x0)
    down = (y1 - y0) - abs(top - y0)
    return max(0.0, across) * max(0.0, down)


def _moved(region: Region, dx: float, dy: float) -> Region:
    x0, y0, x1, y1 = region.box
    return region.model_copy(
        update={
            "box": (x0 + dx, y0 + dy, x1 + dx, y1 + dy),
            "polygons": tuple(
                tuple((x + dx, y + dy) for x, y in polygon) for polygon in region.polygons
            ),
        }
    )


def _to_scale(region: Region, drawn: Sample, sample: Sample) -> Region:
    """Lay a region of another sample on the image of this one that is shown in the same place."""
    (width, height), (drawn_width, drawn_height) = _size(sample, region), _size(drawn, region)
    across, down = width / drawn_width, height / drawn_height
    x0, y0, x1, y1 = region.box
    return region.model_copy(
        update={
            "box": (x0 * across, y0 * down, x1 * across, y1 * down),
            "polygons": tuple(
                tuple((x * across, y * down) for x, y in polygon) for polygon in region.polygons
            ),
        }
    )


def _size(sample: Sample, region: Region) -> tuple[int, int]:
    """Return the size of the image of a sample that a region lies in."""
    size = sample.size_of(region)
    if size is None:
        raise DataError(
            f"sample {sample.id!r}: the image's size is unknown · pass the sample through "
            "`vipbench.data.samples.inspect_image`"
        )
    return size
