"""Tags of a request's marks, by which results are broken down."""

from collections.abc import Sequence

from vipbench.prompts.colors import COLORS, CONTRAST, color_group, color_rgb, color_word
from vipbench.prompts.parts import first_marks, part_names
from vipbench.prompts.request import lead_region
from vipbench.prompts.variants import tagged
from vipbench.schema import Box, PromptStyle, Sample, Shape, Tags, VisualPrompt

SIZE_EDGES = (("small", 0.02), ("medium", 0.10))
"""Upper edges of the share of the image's area that a region's box covers; above: `large`. Ours, no
source has any."""


def prompt_tags(sample: Sample, style: PromptStyle, prompts: Sequence[VisualPrompt]) -> Tags:
    """Return the sample's tags with those of its visual prompts.

    `shape`, `color`, `size`, `width`, `alpha`: the value that all marks share, else `mixed`; under
    an inline style that of the lead region's mark. `n_marks`: how many there are. `target_color`
    and `target_size`: those of the target region, or of the first mentioned where there is none.
    `position`: the letter of the right option. `marker`, `marker_radius`, `tag`, `tag_place`, …:
    what the style says of markers and tags (variants.py), where there are any. `words`: what the
    text says of the marks, where it is not their words. Marks that are in the image already are
    tagged by the reader.
    """
    tags: Tags = {"position": (sample.target,)} if sample.choices else {}
    if style.words != "full":
        tags["words"] = (style.words,)
    if not sample.regions:
        return sample.tags | tags
    target = lead_region(sample)
    lead = [target] if style.inline else range(len(sample.regions))
    tags["n_marks"] = (str(len(sample.regions)),)
    if prompts:
        prompts = first_marks(style, prompts)
        tags["target_color"] = (_color(prompts[target], style),)
        tags["width"] = (_shared({_number(prompts[index].width) for index in lead}),)
        tags["alpha"] = (_shared({_number(prompts[index].alpha) for index in lead}),)
        tags["shape"] = (_shared({part_names(style, prompts[index].shape) for index in lead}),)
        tags["color"] = (_shared({_color(prompts[index], style) for index in lead}),)
        tags |= _variants(style, [prompts[index].shape for index in lead])
    if sample.image_size:
        sizes = [
            _size(each.box, sample.size_of(each) or sample.image_size) for each in sample.regions
        ]
        tags["target_size"] = (sizes[target],)
        tags["size"] = (_shared({sizes[index] for index in lead}),)
    return sample.tags | tags


def _size(box: Box, size_wh: tuple[int, int]) -> str:
    x0, y0, x1, y1 = box
    share = (x1 - x0) * (y1 - y0) / (size_wh[0] * size_wh[1])
    return next((name for name, edge in SIZE_EDGES if share < edge), "large")


def _variants(style: PromptStyle, shapes: Sequence[Shape]) -> Tags:
    """Return what else is said of the marks: of each axis the value that all shapes share."""
    found = [tagged(style, shape) for shape in dict.fromkeys(shapes)]
    axes = dict.fromkeys(axis for values in found for axis in values)
    return {axis: (_shared({values.get(axis, "") for values in found}),) for axis in axes}


def _number(value: float | None) -> str:
    """Write a width or an opacity; None is drawn, by mark, from the training range."""
    return "drawn" if value is None else f"{value:g}"


def _color(prompt: VisualPrompt, style: PromptStyle) -> str:
    """Name a colour's group, else by the style's own word; random RGB is one group."""
    group = color_group(prompt.color)
    if group in COLORS or group in style.colors:
        return group
    words = {color_rgb(each): color_word(each) for each in style.colors if each != CONTRAST}
    return words.get(prompt.color) or "unnamed"


def _shared(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else "mixed"
