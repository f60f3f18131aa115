"""The marks that a style draws on each region: what users write of a shape, and what tags say."""

from collections.abc import Mapping, Sequence
from typing import TypeVar, cast, get_origin

from vipbench.errors import DataError, TaskError, nearest
from vipbench.images.shapes.registry import find_shape
from vipbench.images.shapes.settings import MarkerSettings
from vipbench.prompts.mentions import LETTERS
from vipbench.schema import PromptStyle, Region, Setting, Shape
from vipbench.validation import checked

T = TypeVar("T")

TAG_TEXTS = ("number", "letter", "id", "id_number")
"""What tags may say of each region; any other word stands for itself."""


def read_settings(shape: Shape, given: Mapping[str, object], where: str) -> dict[str, Setting]:
    """Check what a user says of a shape, as text or as YAML; return the settings that were said.

    The numbers of a pair stand with slashes between them: `offset=0/-25`.

    Raises:
        TaskError: The shape takes no settings, one is unknown or out of its range; begins with
            `where`.
    """
    kind = find_shape(shape).settings
    if not given:
        return {}
    if kind is None:
        raise TaskError(f"{where}: {shape} takes no {', '.join(map(repr, given))}")
    unknown = [name for name in given if name not in kind.model_fields]
    if unknown:
        hint = nearest(unknown[0], (*kind.model_fields, "alpha", "width"))
        raise TaskError(f"{where}: {shape} takes no {unknown[0]!r}{hint}")
    fields = {}
    for name, value in given.items():
        field = kind.model_fields[name]
        is_tuple = get_origin(field.annotation) is tuple
        is_list = is_tuple and isinstance(value, str)
        fields[name] = str(value).split("/") if is_list else value
    record = checked(kind, fields, where)
    return cast(dict[str, Setting], record.model_dump(exclude_unset=True))


def tells_regions_apart(style: PromptStyle) -> bool:
    """Say whether each region gets a tag of its own, so that its colour need not be its own."""
    first = "tag" in style.shapes and len(style.shapes) == 1
    texts = [style.text or "number"] if first else []
    texts += [part.text or "number" for part in style.beside if part.shape == "tag"]
    return any(text in TAG_TEXTS for text in texts)


def part_names(style: PromptStyle, shape: Shape) -> str:
    """Name all that a style draws on a region whose first mark has a shape: `marker+tag`."""
    return "+".join((shape, *(part.shape for part in style.beside)))


def drawn_names(style: PromptStyle) -> str:
    """Name all that a style draws on each region; empty where that is nothing, or drawn by lot."""
    return part_names(style, style.shapes[0]) if len(style.shapes) == 1 else ""


def first_marks(style: PromptStyle, prompts: Sequence[T]) -> tuple[T, ...]:
    """Return, of the marks of a request, the first one of each region, in the regions' order."""
    return tuple(marks[0] for marks in by_region(style, prompts))


def by_region(style: PromptStyle, prompts: Sequence[T]) -> list[tuple[T, ...]]:
    """Return the marks of a request region by region; what `in_order` has put in order."""
    step = 1 + len(style.beside)
    n = len(prompts) // step
    if style.order == "kind":
        return [tuple(prompts[index::n]) for index in range(n)]
    return [tuple(prompts[step * index : step * (index + 1)]) for index in range(n)]


def in_order(style: PromptStyle, by_region: Sequence[Sequence[T]]) -> list[T]:
    """Put the marks of all regions into the order in which they are drawn."""
    if style.order == "kind":
        return [mark for marks in zip(*by_region, strict=True) for mark in marks]
    return [mark for marks in by_region for mark in marks]


def tag_text(rule: str, index: int, region: Region) -> str:
    """Return what the tag of a region says; `rule` as in `PromptStyle.text`.

    Raises:
        DataError: There are more regions than letters, or the data have no id for the region.
    """
    if rule == "number":
        return str(index + 1)
    if rule == "letter":
        if index >= len(LETTERS):
            raise DataError(
                f"region {index + 1} has no letter: there are {len(LETTERS)} · use tag:number"
            )
        return LETTERS[index]
    if rule in ("id", "id_number"):
        if not region.id:
            raise DataError(
                f"region {index + 1} has no id of its own to stand in its tag · expected 'id' in"
                " the data, or tag:number"
            )
        is_letter = rule == "id_number" and len(region.id) == 1 and region.id in LETTERS
        return str(LETTERS.index(region.id) + 1) if is_letter else region.id
    return rule


def beside_marker(
    settings: Mapping[str, Setting], shape: Shape, marker: Mapping[str, Setting]
) -> dict[str, Setting]:
    """Let a tag keep clear of the marker on its region: radius, unit and anchor are the marker's.

    What the tag's own settings say stays.
    """
    if shape != "marker":
        return dict(settings)
    around = MarkerSettings.model_validate(dict(marker))
    return {"radius": around.radius, "unit": around.unit, "anchor": around.anchor, **settings}
