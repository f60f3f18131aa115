"""Units and frames: what the numbers of a data file's boxes are, as stated and as they look.

Statements stand in the task file or beside the paths of the data (`DataSource`), which go first.
Where nothing is stated, boxes are px of the image as stored; each is held against its image here,
and all of a file together in `box_tally`.
"""

from collections.abc import Callable, Iterator, Sequence

from vipbench.data.tasks import task_folders
from vipbench.images.decode import SIDEWAYS, ImageHeader
from vipbench.images.geometry import bounds
from vipbench.schema import (
    Box,
    BoxUnits,
    DataSource,
    ExifRule,
    Polygon,
    Problem,
    Region,
    Sample,
    TaskSpec,
)

UNIT = {"fractions": 1.0, "thousandths": 1000.0}
"""What the right and bottom edges of the image are in units that are relative to it."""


def stated(spec: TaskSpec | None, source: DataSource) -> DataSource:
    """Return a source with what is stated of its boxes and images: by itself, else by the task."""
    if spec is None:
        return source
    return source._replace(boxes=source.boxes or spec.boxes, exif=source.exif or spec.exif)


def rule_of(spec: TaskSpec | None, source: DataSource) -> ExifRule | None:
    """Return what is stated of EXIF orientations."""
    return stated(spec, source).exif


def where_to_state(spec: TaskSpec | None) -> str:
    """Say where whoever knows units and frames of the data writes them down."""
    if spec is None or spec.path is None:
        return "in the task file"
    if spec.path.parent.resolve() == task_folders()[0].resolve():
        return f"beside the paths of {spec.data} in a YAML file for --data"
    return f"in {spec.path.name}"


def box_text(box: Box) -> str:
    """Write a box as a message shows it."""
    return "[" + ", ".join(f"{value:g}" for value in box) + "]"


# --- as stated


def from_xywh(sample: Sample) -> Sample:
    """Return a sample, whose boxes are stated to be x, y, width, height, with their corners.

    Boxes around outlines and points, which readers make, are corners already.
    """
    if sample.are_points:
        return sample
    regions = tuple(
        region
        if region.polygons and region.box == bounds(region.polygons)
        else region.model_copy(update={"box": _corners(region.box)})
        for region in sample.regions
    )
    return sample.model_copy(update={"regions": regions})


def _corners(box: Box) -> Box:
    x, y, width, height = box
    return x, y, x + width, y + height


def in_frame(
    sample: Sample, header: ImageHeader, source: DataSource
) -> tuple[Sample, list[Problem]]:
    """Lay a sample's regions on its image as it is stated that they lie there.

    Returns the sample with `image_size` and `exif`, its regions in px of the image as marks are
    drawn on it, at `draw_sizes` where there are some, and the problems of its frame: boxes that are
    not in the units stated, or an annotation of an image of another size, are errors.
    """
    source = stated(sample.task, source)
    source = source._replace(boxes=sample.box_units or source.boxes)
    turned = header.orientation != 1 and source.exif == "apply"
    size = header.turned_size if turned else header.size
    framed = sample.model_copy(update={"image_size": size, "exif": "apply" if turned else None})
    problems = [
        *_size_problems(framed, header, source),
        *_orientation_problems(framed, header, source),
    ]
    unit = UNIT.get(source.boxes or "")
    if unit is not None:
        regions = tuple(_in_pixels(region, unit, size) for region in sample.regions)
        problems += _unit_problems(sample, unit, source.boxes)
        framed = framed.model_copy(update={"regions": regions})
    return _resized(framed, size), problems


def _in_pixels(region: Region, unit: float, size_wh: tuple[int, int]) -> Region:
    """Scale a region by the image's width and height; `unit` is what the far edges are called."""
    width, height = size_wh
    return _mapped(region, lambda x, y: (x * width / unit, y * height / unit))


def _resized(sample: Sample, size_wh: tuple[int, int]) -> Sample:
    """Scale regions from an image of a size to the size that it is drawn on at, if that is another.

    As VPBench's code does (benchmark_executor.py): times a quotient, which may round otherwise than
    a product over a divisor.
    """
    if not sample.draw_sizes:
        return sample
    [drawn] = sample.draw_sizes
    across, down = drawn[0] / size_wh[0], drawn[1] / size_wh[1]
    regions = tuple(
        _mapped(region, lambda x, y: (x * across, y * down)) for region in sample.regions
    )
    return sample.model_copy(update={"regions": regions, "image_size": drawn})


def _mapped(region: Region, to: Callable[[float, float], tuple[float, float]]) -> Region:
    """Return a region with each of its points moved."""
    x0, y0, x1, y1 = region.box
    polygons: tuple[Polygon, ...] = tuple(
        tuple(to(x, y) for x, y in polygon) for polygon in region.polygons
    )
    return region.model_copy(update={"box": (*to(x0, y0), *to(x1, y1)), "polygons": polygons})


def _unit_problems(sample: Sample, unit: float, units: BoxUnits | None) -> Iterator[Problem]:
    """Find a box that reaches so far beyond the image that its numbers are something else."""
    for region in sample.regions:
        if min(region.box) < -unit or max(region.box) > 2 * unit:
            message = (
                f"box {box_text(region.box)} is not in {units} of the image · expected 0 to "
                f"{unit:g}, as `boxes: {units}` states"
            )
            yield Problem(id=sample.id, code="box_units", message=message)
            return


def _size_problems(sample: Sample, header: ImageHeader, source: DataSource) -> Iterator[Problem]:
    """Hold the size of the image that was annotated against that of the image here."""
    annotated, size = sample.annotated_size, sample.image_size
    if annotated is None or size is None or annotated == size:
        return
    if source.boxes is not None and sample.box_units != "pixels":
        return
    message = (
        f"the regions of {sample.image} were drawn on {annotated[0]} x {annotated[1]} px, the "
        f"image has {size[0]} x {size[1]} px"
    )
    if annotated == header.turned_size and header.orientation in SIDEWAYS:
        message += (
            f": width and height are swapped by its EXIF orientation {header.orientation} · write "
            f"`exif: apply` {where_to_state(sample.task)}"
        )
    elif annotated == size[::-1]:
        message += (
            ": width and height are swapped, probably by an EXIF orientation that was applied to"
            " one of the two · expected the image that was annotated, or regions turned with it"
        )
    else:
        message += " · expected the image that was annotated, or regions resized with it"
    yield Problem(id=sample.id, code="size_differs", message=message)


def _orientation_problems(
    sample: Sample, header: ImageHeader, source: DataSource
) -> Iterator[Problem]:
    if header.orientation != 1 and source.exif is None and sample.regions:
        message = (
            f"{sample.image}: EXIF orientation {header.orientation}, not applied · if boxes lie on "
            f"the image as viewers show it, write `exif: apply` {where_to_state(sample.task)}; if "
            "on the pixels as stored, `exif: ignore`"
        )
        yield Problem(id=sample.id, code="exif_not_applied", message=message, warning=True)


# --- as they look


def region_warnings(
    sample: Sample, regions: Sequence[Region], units: BoxUnits | None
) -> Iterator[Problem]:
    """Warn of boxes without area, unless they are points, and of outlines beside their boxes."""
    for index, region in enumerate(regions):
        x0, y0, x1, y1 = region.box
        where = f"region {index} ({region.label}): " if region.label else f"region {index}: "
        if (x0 == x1 or y0 == y1) and not sample.are_points and units != "pixels":
            message = f"{where}box {box_text(region.box)} has no area"
            yield Problem(id=sample.id, code="box_without_area", message=message, warning=True)
        n_beside = sum(_is_beside(polygon, region.box) for polygon in region.polygons)
        if n_beside:
            message = (
                f"{where}{n_beside} of {len(region.polygons)} outlines lie outside of its box "
                f"{box_text(region.box)}; rectangles are drawn by the box, all other marks by the "
                "outlines"
            )
            yield Problem(id=sample.id, code="outline_outside_box", message=message, warning=True)


def _is_beside(polygon: Polygon, box: Box) -> bool:
    """Tell whether less than half of an outline's extent lies within a box."""
    x0, y0, x1, y1 = bounds([polygon])
    left, top, right, bottom = box
    width, height = min(x1, right) - max(x0, left), min(y1, bottom) - max(y0, top)
    if width < 0 or height < 0:
        return True
    return 2 * width < x1 - x0 or 2 * height < y1 - y0
