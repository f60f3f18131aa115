"""Expressions as after `--styles`: names, inline styles, products and sweeps -> prompt styles."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from vipbench.errors import TaskError, nearest
from vipbench.images.shapes.registry import shape_names
from vipbench.prompts.styles import COLORS, SHAPES, WIDEST, color_rgb
from vipbench.schema import PromptStyle
from vipbench.validation import checked

_POOL = ",".join(COLORS)

_OUTLINES = ",".join(SHAPES)

SWEEPS: dict[str, tuple[str, ...]] = {
    "shapes": (f"{_OUTLINES} x red",),
    "colors": (f"rectangle x {_POOL}",),
    "widths": ("rectangle:red x width=1,2,3,4,6,8,12,16",),
    "alphas": ("rectangle:red x alpha=32,64,96,128,192,255",),
    "all": (
        f"{_OUTLINES} x {_POOL}",
        "rectangle:red x width=1,2,3,4,6,8,12,16",
        "rectangle:red x alpha=32,64,96,128,192,255",
    ),
    "cyclic": ("rotated_1,rotated_2,rotated_3",),
}
"""Names of lists of styles, unless a styles file has a style of the name.

What is not varied is a red rectangle, the field's usual mark, in the width and opacity of the
headline style. The values are ours; 3 px and 128 are the published ones."""

HEADLINE_KINDS = ("blind", "wrong", "shuffled", "permuted", "surround")
"""Controls that are worded, and drawn where they are, as the headline style."""

PRODUCT = re.compile(r"\s+x\s+|\s*\u00d7\s*")
"""Between the lists of a product: `x` with spaces around it, or the multiplication sign."""


def parse_styles(
    expression: str, known: Mapping[str, PromptStyle], headline: PromptStyle | None = None
) -> tuple[PromptStyle, ...]:
    """Read a list of styles: names, inline styles, and products of lists.

    `demo,none` · `rectangle:red,arrow:#1e90ff:alpha=200:width=4` · `rectangle,ellipse x red,blue` ·
    `rectangle:red x width=2,6` · `shapes` and the other SWEEPS · several of these, with `;` between
    them: `demo,none; rectangle,ellipse x red,blue`. What an inline style leaves out comes from
    `headline`, and controls such as `blind` ask as `headline` does, so that each style returned
    stands on its own. What two sweeps share is listed once.

    Raises:
        TaskError: The expression cannot be read, or lists a style twice.
    """
    styles: list[PromptStyle] = []
    swept: list[PromptStyle] = []
    for part in expression.split(";"):
        factors = [_items(factor) for factor in re.split(PRODUCT, part.strip())]
        if len(factors) == 1:
            sweeps = [item for item in factors[0] if item in SWEEPS and item not in known]
            factors = [[item for item in factors[0] if item not in sweeps]]
            for listed in itertools.chain.from_iterable(SWEEPS[name] for name in sweeps):
                swept += parse_styles(listed, known, headline)
        styles += [_parse_one(parts, known, headline) for parts in itertools.product(*factors)]
    for name, count in Counter(style.name for style in styles).items():
        if count > 1:
            raise TaskError(f"--styles {expression!r}: style {name!r} is listed {count} times")
    return tuple({style.name: style for style in (*styles, *swept)}.values())


def _items(factor: str) -> list[str]:
    """Split a list at commas; in `width=2,6` all up to the `=` carries on to the bare number."""
    items: list[str] = []
    for text in factor.split(","):
        item = ":".join(part.strip() for part in text.split(":"))
        if not item:
            raise TaskError(
                f"--styles: an empty style in {factor!r} · expected names between commas"
            )
        if items and "=" in items[-1] and re.fullmatch(r"[0-9.]+", item):
            item = items[-1].rpartition("=")[0] + "=" + item
        items.append(item)
    return items


def _parse_one(
    factors: Sequence[str], known: Mapping[str, PromptStyle], headline: PromptStyle | None
) -> PromptStyle:
    text = ":".join(factors)
    if text in known:
        return _named(known[text], headline)
    fields: dict[str, object] = {}
    for part in text.split(":"):
        key, value = _read_part(part, text, known)
        if key in fields:
            raise TaskError(f"style {text!r}: {part!r} is a second {key.removesuffix('s')}")
        fields[key] = value
    lender = _OFFICIAL_SIZES
    if headline is not None and headline.kind in ("marks", *HEADLINE_KINDS):
        lender = headline  # others have no shape, colour or width to lend
    fields = {
        **{key: getattr(lender, key) for key in ("shapes", "colors", "alpha", "width")},
        **fields,
        "name": text,
        "inline": True,
    }
    if not (fields["shapes"] and fields["colors"]):
        raise TaskError(f"style {text!r}: expected a shape and a color, such as rectangle:red")
    return checked(PromptStyle, fields, f"style {text!r}")


_OFFICIAL_SIZES = PromptStyle(
    name="", alpha=128, width={**dict.fromkeys(SHAPES, 3.0), "point": 8.0}
)
"""Lends to inline styles where there is no headline style. Source: the official evaluation: alpha
128; 3 px for a rectangle (taken for other outlines too), a radius of 8 px for a point."""


def _named(style: PromptStyle, headline: PromptStyle | None) -> PromptStyle:
    """Return a named style; controls of HEADLINE_KINDS take over what the headline style draws."""
    if style.kind not in HEADLINE_KINDS or headline is None:
        return style
    if headline.kind in ("none", "coordinates"):
        raise TaskError(
            f"style {style.name!r} asks as the headline style does, but {headline.name!r} draws no"
            " marks · let the suite's first style be one that does"
        )
    kept = ("name", "title", "kind", "shift", "surround")
    fields = {name: getattr(style, name) for name in kept}
    return headline.model_copy(update=fields)


def _read_part(part: str, text: str, known: Mapping[str, PromptStyle]) -> tuple[str, object]:
    """Read one part of an inline style; return the field of the style and its value."""
    key, equals, value = part.partition("=")
    if equals and key == "width":
        return "width", dict.fromkeys(SHAPES, _number(key, value, text))
    if equals:
        return key, _number(key, value, text)
    shape = part.replace("_", " ").replace("-", " ")
    if shape in shape_names():
        return "shapes", (shape,)
    if part in COLORS or part.startswith("#"):
        color_rgb(part)
        return "colors", (part.lower(),)
    if part in known:
        raise TaskError(
            f"style {text!r}: {part!r} is a named style, to which nothing can be added · expected a"
            " shape, a color, alpha=… or width=…"
        )
    raise TaskError(f"style {text!r}: {part!r} is unknown{nearest(part, _words(known))}")


def _words(known: Mapping[str, PromptStyle]) -> list[str]:
    return [*known, *SWEEPS, *shape_names(), *COLORS]


def _number(key: str, value: str, text: str) -> float | int:
    limits = {"alpha": (0, 255), "width": (0.001, WIDEST)}
    if key not in limits:
        raise TaskError(f"style {text!r}: unknown key {key!r}{nearest(key, limits)}")
    low, high = limits[key]
    try:
        number = int(value) if key == "alpha" else float(value)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise TaskError(
            f"style {text!r}: {key}={value}: expected a number from {low:g} to {high:g}"
        )
    return number
