"""The samples that a style asks about: moved marks, and what it has to know of pixels."""

from collections.abc import Iterator, Sequence

from vipbench.errors import DataError
from vipbench.images.surroundings import surroundings
from vipbench.prompts.colors import stands_out
from vipbench.prompts.controls import change
from vipbench.schema import ImageRoots, Problem, PromptStyle, Sample

BROKEN = "bad_image"
"""Code of the error about an image that cannot be opened."""


def surrounded(sample: Sample, style: PromptStyle, images: ImageRoots) -> Sample:
    """Return a sample with the colours around its regions, where a style stands out from them.

    After `controls.change`, which may move the regions.

    Raises:
        DataError: An image is missing or broken.
    """
    if not stands_out(style):
        return sample
    return sample.model_copy(update={"surroundings": surroundings(sample, images)})


def asked_samples(
    samples: Sequence[Sample | None], style: PromptStyle, images: ImageRoots
) -> Iterator[Sample | Problem]:
    """Yield the samples that a style asks about, as a run with seed 0 does, or why it cannot.

    Args:
        samples: All records of a task with the size of their image, in the order of the data; None:
            one that cannot be used, which a control may draw as well.
        style: One style of the task.
        images: Roots of the images.
    """
    for sample in samples:
        if sample is None:
            continue
        try:
            changed = change(sample, style, 0, lambda number: samples[number % len(samples)])
            yield surrounded(changed, style, images)
        except DataError as error:
            message = f"style {style.name}: {error}"
            yield Problem(id=sample.id, code="not_askable", message=message)
