"""Samples: read by a task's reader, checked against its contract, and against their images."""

import math
from collections.abc import Iterable, Iterator, Sequence

from pydantic import ValidationError

from vipbench.data.box_tally import BoxTally
from vipbench.data.tasks import import_reader
from vipbench.data.units import box_text, from_xywh, in_frame, region_warnings, stated
from vipbench.errors import DataError, TaskError, first_mistake
from vipbench.files import SURROGATE, AmbiguousFile, writable
from vipbench.images.decode import MAX_PIXELS, image_header, safe_path
from vipbench.images.geometry import bounds, inside_image, intersects_image, is_inverted
from vipbench.prompts.mentions import LETTERS, mentioning, mentions
from vipbench.reading import BadRecord
from vipbench.schema import DataSource, Polygon, Problem, Region, Sample, TaskSpec
from vipbench.validation import shown

"""Half of a character, which JSON can spell and UTF-8 cannot."""
FARTHEST = 1_000_000
"""px from the origin that a coordinate may lie; marks that reach farther take minutes to draw."""
NOTHING_TO_ASK = (
    "the data hold the right answers alone, no questions and no pictures · expected the release"
    " with its pictures · answers that are there are scored by `vipbench import TASK=FILE`"
)
MOST_IMAGES = 64
"""Images that one sample may show: more are a broken file rather than a question."""
CONTRACT = "expected an iterator of Sample and Problem records"


def load_samples(
    spec: TaskSpec, source: DataSource, tally: BoxTally | None = None
) -> Iterator[Sample | Problem]:
    """Read a task's samples and check each; one that cannot be used is yielded as its problem.

    A warning Problem comes just before the sample that it is about. The boxes of all samples,
    usable or not, are counted in `tally`, which says at the end what they look like. Raises
    TaskError where the reader cannot be imported or breaks its contract, and DataError where a file
    as a whole is broken.
    """
    seen: set[str] = set()
    source = stated(spec, source)
    records = import_reader(spec)(source)
    if not isinstance(records, Iterable):
        raise TaskError(
            f"{spec.path}: reader {spec.reader!r} returned {shown(records)} · {CONTRACT}"
        )
    for record in _read(records, spec):
        if not isinstance(record, Sample | Problem):
            raise TaskError(
                f"{spec.path}: reader {spec.reader!r} gave {shown(record)} · {CONTRACT}"
            )
        fault = None
        if SURROGATE.search(record.id):
            record = record.model_copy(update={"id": ascii(record.id)})
            fault = ("bad_text", "the id holds half a character (a lone surrogate)")
        if isinstance(record, Problem):
            record = record.model_copy(update={"message": writable(record.message)})
            # Taken, so that the parts of a joint task give one id to one record, whatever each of
            # them needs of it.
            seen.update(() if record.warning else (record.id,))
            yield record
            continue
        units = record.box_units or source.boxes
        if units == "xywh":
            record = from_xywh(record)
        if tally is not None and record.box_units is None:
            for part in by_image(record):
                tally.add(part)
        fault = fault or _fault(record, spec)
        if fault is None and record.id in seen:
            fault = ("duplicate_id", "occurs more than once · expected one record an id")
        seen.add(record.id)
        if fault:
            yield Problem(id=record.id, code=fault[0], message=fault[1])
            continue
        regions, dropped = _usable_polygons(record.regions)
        if dropped:
            yield Problem(
                id=record.id,
                code="unusable_polygon",
                message=f"{dropped} polygons: fewer than 3 vertices, or one beyond {FARTHEST} px",
                warning=True,
            )
        yield from region_warnings(record, regions, units)
        yield record.model_copy(update={"task": spec, "regions": regions})


def _read(records: Iterable[object], spec: TaskSpec) -> Iterator[object]:
    try:
        yield from records
    except (BadRecord, ValidationError) as error:
        said = str(error) if isinstance(error, BadRecord) else first_mistake(error, error.title)
        raise TaskError(
            f"{spec.path}: reader {spec.reader!r} stopped at a record: {said:.200} · expected a"
            " Problem for a record that it cannot use, as reading.attempt yields one"
        ) from error


def _texts(sample: Sample) -> Iterator[str]:
    """Yield every text of a sample that reaches a model, a file or a table."""
    yield from mentioning(sample)
    yield from (sample.given_target, *sample.choice_ids)
    yield from (*sample.all_images, sample.target, sample.group)
    yield from (region.label for region in sample.regions)
    for axis, values in sample.tags.items():
        yield from (axis, *values)


def _fault(sample: Sample, spec: TaskSpec) -> tuple[str, str] | None:
    """Return code and message of the first thing that makes a sample unusable."""
    letters = LETTERS[: len(sample.choices)]
    if not sample.id:
        return "no_id", "has an empty id · expected a name of its own"
    for text in _texts(sample):
        if SURROGATE.search(text):
            return "bad_text", f"{shown(text)} holds half a character (a lone surrogate)"
    if (spec.kind == "choice" and len(sample.choices) < 2) or len(sample.choices) > len(LETTERS):
        return "choices", f"has {len(sample.choices)} choices · expected 2 to {len(LETTERS)}"
    if spec.kind == "choice" and sample.target not in tuple(letters):
        return (
            "answer_not_in_options",
            f"target {sample.target!r} is not one of the choice letters {', '.join(letters)}",
        )
    if not sample.target.strip():
        return "no_target", "has an empty target · expected the right answer as text"
    for index in mentions(sample):
        if index >= len(sample.regions):
            return "mention", f"mentions <r{index}>, but has {len(sample.regions)} regions"
    if sample.target_region is not None and not 0 <= sample.target_region < len(sample.regions):
        return "mention", f"target_region {sample.target_region} is not one of its regions"
    if fault := _images_fault(sample):
        return fault
    faults = map(_box_fault, sample.regions)
    return next((fault for fault in faults if fault), None)


def _images_fault(sample: Sample) -> tuple[str, str] | None:
    """Return what is wrong with the images of a sample, and with the regions' indices of them."""
    n = len(sample.all_images)
    if sample.images and (n < 2 or sample.images[0] != sample.image):
        return "images", f"images {list(sample.images)} · expected two or more, `image` the first"
    if n > MOST_IMAGES:
        return "images", f"shows {n} images · expected at most {MOST_IMAGES}"
    sizes = sample.draw_sizes
    if sizes and len(sizes) != n:
        return "draw_size", f"has {len(sizes)} sizes to draw at, but shows {n} images"
    for width, height in sizes:
        if min(width, height) < 1 or width * height > MAX_PIXELS:
            return "draw_size", (
                f"is drawn at {width} x {height} px · expected 1 px or more, at most 100 megapixels"
            )
    for index, region in enumerate(sample.regions):
        if region.image >= n:
            return "no_such_image", (
                f"region {index} lies in image {region.image}, but there are {n} · expected an "
                f"index from 0 to {n - 1}"
            )
    return None


def _box_fault(region: Region) -> tuple[str, str] | None:
    box = box_text(region.box)
    if not all(map(math.isfinite, region.box)):
        return "box_not_finite", f"box {box} holds no finite numbers"
    if max(map(abs, region.box)) > FARTHEST:
        return "box_too_far", f"box {box} reaches beyond {FARTHEST:,} px"
    if is_inverted(region.box):
        return "box_inverted", f"box {box} is inverted · expected x0 <= x1, y0 <= y1"
    return None


def _usable_polygons(regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], int]:
    """Leave out polygons that cannot be drawn, and count them."""
    dropped = 0
    kept = []
    for region in regions:
        polygons = tuple(
            polygon
            for polygon in region.polygons
            if len(polygon) >= 3 and all(abs(v) <= FARTHEST for point in polygon for v in point)
        )
        if len(polygons) < len(region.polygons):
            dropped += len(region.polygons) - len(polygons)
            region = region.model_copy(update={"polygons": polygons, "bridges": ()})
        kept.append(region)
    return tuple(kept), dropped


def inspect_image(sample: Sample, source: DataSource) -> tuple[Sample | None, list[Problem]]:
    """Read the header of a sample's image and hold its boxes against the image's size.

    Returns the sample with `image_size` and its boxes in px of the frame that marks are drawn in,
    or None where it cannot be used, and its problems: an image that is missing or unreadable, one
    of another size than the annotation says, or a box wholly outside, is an error; a box partly
    outside, drawn as given, and an EXIF orientation that nothing is stated of are warnings.
    """

    def problem(code: str, message: str, *, warning: bool = False) -> Problem:
        return Problem(id=sample.id, code=code, message=message, warning=warning)

    if sample.answer_only:
        return None, [problem("answer_only", NOTHING_TO_ASK)]
    if sample.images:
        return _inspect_several(sample, source)
    try:
        path = safe_path(source.image_roots, sample.image)
    except DataError as error:
        return None, [problem(_code(error, "unsafe_path"), str(error))]
    try:
        header = image_header(path)
    except DataError as error:
        return None, [problem(_code(error, "bad_image"), str(error))]
    sample, problems = in_frame(sample, header, source)
    if any(not found.warning for found in problems):
        return None, problems
    size = sample.image_size or header.size
    for region in sample.regions:
        box = f"box {box_text(region.box)}"
        if not intersects_image(region.box, size):
            where = f"{box} is wholly outside the image of {size[0]} x {size[1]} px"
            return None, [problem("box_outside", where)]
        if region.polygons and not _reaches(region.polygons, size):
            where = f"no polygon reaches into the image of {size[0]} x {size[1]} px"
            return None, [problem("polygon_outside", where)]
        if not inside_image(region.box, size):
            where = f"{box} is partly outside {size[0]} x {size[1]} px"
            problems.append(problem("box_partly_outside", f"{where}; drawn as given", warning=True))
    return sample, problems


def by_image(sample: Sample) -> Iterator[Sample]:
    """Yield a sample once for each of its images, with that alone and the regions in it."""
    if not sample.images:
        yield sample
    for index, image in enumerate(sample.images):
        regions = tuple(each for each in sample.regions if each.image == index)
        sizes = sample.draw_sizes[index : index + 1]
        alone = {"image": image, "images": (), "regions": regions, "draw_sizes": sizes}
        yield sample.model_copy(update=alone)


def _inspect_several(sample: Sample, source: DataSource) -> tuple[Sample | None, list[Problem]]:
    """Do as `inspect_image` for each image, with the regions that lie in it."""
    parts: list[Sample] = []
    problems: list[Problem] = []
    for alone in by_image(sample):
        part, found = inspect_image(alone, source)
        problems += found
        if part is None:
            return None, problems
        parts.append(part)
    framed = [iter(part.regions) for part in parts]
    exif = "apply" if any(part.exif for part in parts) else None
    update = {
        "regions": tuple(next(framed[region.image]) for region in sample.regions),
        "image_size": parts[0].image_size,
        "image_sizes": tuple(part.image_size for part in parts),
        "exif": exif,
    }
    return sample.model_copy(update=update), problems


def _code(error: DataError, other: str) -> str:
    if isinstance(error, AmbiguousFile):
        return "ambiguous_image"
    missing = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
    return "missing_image" if missing else other


def _reaches(polygons: Sequence[Polygon], size_wh: tuple[int, int]) -> bool:
    """Say whether anything of a mark along these polygons can be seen."""
    width, height = size_wh
    corners = (corner for polygon in polygons for corner in polygon)
    if any(0 <= x <= width and 0 <= y <= height for x, y in corners):
        return True
    return any(intersects_image(bounds([polygon]), size_wh) for polygon in polygons)
