"""Style `coordinates`: boxes that stand in the text instead of marks, and their units."""

from collections.abc import Mapping, Sequence

from vipbench.errors import TaskError, nearest
from vipbench.images.fit import fit_box
from vipbench.schema import Box, BoxUnits, Fit, PromptStyle

UNITS: dict[str, BoxUnits] = {
    "fractions": "fractions",
    "1000": "thousandths",
    "thousandths": "thousandths",
    "pixels": "pixels",
    "xywh": "xywh",
}
"""What stands behind `coordinates:` -> `PromptStyle.units`."""


def in_units(style: PromptStyle, units: str, name: str) -> PromptStyle:
    """Return a style of kind `coordinates` with other units, as `coordinates:1000` asks for.

    Raises:
        TaskError: There are no such units.
    """
    if units not in UNITS:
        raise TaskError(
            f"style {name!r}: expected units behind coordinates, not {units!r}"
            f"{nearest(units, UNITS)}"
        )
    # Not `inline`, which is about marks: it is tagged like the style that it varies.
    return style.model_copy(update={"name": name, "units": UNITS[units]})


def units_mistakes(fields: Mapping[str, object], kind: object) -> list[str]:
    """Return what is wrong with the units of a style in a file."""
    if "units" in fields and kind != "coordinates":
        return [f"units {fields['units']!r} belong to kind 'coordinates', not to {kind!r}"]
    return []


def box_text(box: Box, size_wh: tuple[int, int], units: BoxUnits, fit: Fit) -> str:
    """Write a box, in px of an image of this size, as `[x0, y0, x1, y1]`.

    Fractions, to three places, and thousandths are of the fitted square, and under `crop` may lie
    outside of it. Pixels are whole ones of the original image, rounded to the nearest; `xywh` are
    left, top, width and height.
    """
    x0, y0, x1, y1 = box
    if units == "pixels":
        return _listed(box)
    if units == "xywh":
        return _listed((x0, y0, x1 - x0, y1 - y0))
    fitted = fit_box(box, size_wh, fit)
    if units == "thousandths":
        return _listed([1000 * value for value in fitted])
    # + 0.0 turns -0.0 into 0.0
    return f"[{', '.join(f'{round(value, 3) + 0.0:.3f}' for value in fitted)}]"


def _listed(numbers: Sequence[float]) -> str:
    return f"[{', '.join(str(round(number)) for number in numbers)}]"
