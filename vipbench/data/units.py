"""Units and frames: what the numbers of a data file's boxes are, as stated and as they look."""

from collections.abc import Iterator

from vipbench.images.decode import ImageHeader
from vipbench.schema import DataSource, ExifRule, Problem, Sample, TaskSpec


def rule_of(spec: TaskSpec | None, source: DataSource) -> ExifRule | None:
    """Return what is stated of EXIF orientations, by the data first."""
    return source.exif or (spec.exif if spec else None)


def where_to_state(spec: TaskSpec | None) -> str:
    """Say where whoever knows units and frames of the data writes them down."""
    file = spec.path.name if spec is not None and spec.path is not None else "the task file"
    return f"in {file}, or beside the paths in a YAML file for --data"


def in_frame(
    sample: Sample, header: ImageHeader, source: DataSource
) -> tuple[Sample, list[Problem]]:
    """Lay a sample's regions on its image as it is stated that they lie there.

    Returns the sample with `image_size` and `exif`, and the problems of its frame.
    """
    rule = rule_of(sample.task, source)
    turned = header.orientation != 1 and rule == "apply"
    size = header.turned_size if turned else header.size
    exif = "apply" if turned else None
    framed = sample.model_copy(update={"image_size": size, "exif": exif})
    return framed, list(_orientation_problems(sample, header, rule))


def _orientation_problems(
    sample: Sample, header: ImageHeader, rule: ExifRule | None
) -> Iterator[Problem]:
    if header.orientation != 1 and rule is None and sample.regions:
        message = (
            f"{sample.image}: EXIF orientation {header.orientation}, not applied: boxes are laid on "
            "the pixels as stored · if they lie on the image as viewers show it, write `exif: apply` "
            f"{where_to_state(sample.task)}; if not, `exif: ignore`"
        )
        yield Problem(id=sample.id, code="exif_not_applied", message=message, warning=True)
