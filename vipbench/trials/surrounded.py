"""What a style has to know of pixels before it says which marks are drawn."""

from vipbench.images.surroundings import surroundings
from vipbench.prompts.colors import stands_out
from vipbench.schema import ImageRoots, PromptStyle, Sample


def surrounded(sample: Sample, style: PromptStyle, images: ImageRoots) -> Sample:
    """Return a sample with the colours around its regions, where a style stands out from them.

    After `controls.change`, which may move the regions.

    Raises:
        DataError: An image is missing or broken.
    """
    if not stands_out(style):
        return sample
    return sample.model_copy(update={"surroundings": surroundings(sample, images)})
