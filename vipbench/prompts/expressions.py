"""Expressions as after `--styles`: names, inline styles, products and sweeps -> prompt styles."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast, get_args

from vipbench.errors import TaskError, nearest
from vipbench.images.shapes.registry import find_shape, shape_names
from vipbench.prompts.colors import COLORS, CONTRAST, color_rgb
from vipbench.prompts.coordinates import in_units
from vipbench.prompts.mentions import refer_mistakes
from vipbench.prompts.parts import TAG_TEXTS, read_settings
from vipbench.prompts.styles import SHAPES, WIDEST
from vipbench.schema import MarkPart, PromptStyle, Shape
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
    "markers": (
        "marker:circle:red,marker:dot:red,marker:square:red,marker:diamond:red",
        "marker:triangle:red,marker:cross:red,marker:star:red",
    ),
    "tags": (
        "tag:number,tag:letter,rectangle:red+tag:number,rectangle:red+tag:letter",
        "marker:circle:red+tag:number,marker:circle:red+tag:letter,mask:red+tag:number",
    ),
    "vpbench_variants": (
        "vpbench,vpbench_radius_1,vpbench_radius_3,vpbench_radius_10,vpbench_radius_15",
        "vpbench_marker_type_square,vpbench_marker_type_diamond,vpbench_marker_type_triangle",
        "vpbench_font_scale_0.2,vpbench_font_scale_1.0,vpbench_text_offset_below",
        "vpbench_text_offset_left,vpbench_text_offset_right,vpbench_text_label_numbers",
        "vpbench_color_green,vpbench_color_blue,vpbench_color_yellow",
    ),
    "words": (
        "rectangle:red,rectangle:red:words=plain,rectangle:red:words=none",
        "named:rectangle:red,none",
    ),
}
"""Names of lists of styles, unless a styles file has a style of the name.

What is not varied is a red rectangle, the field's usual mark, in the width and opacity of the
headline style. The values are ours; 3 px and 128 are the published ones."""

HEADLINE_KINDS = ("named", "blind", "wrong", "shuffled", "permuted", "surround")
"""Controls that are worded, and drawn where they are, as the headline style."""

PRODUCT = re.compile(r"\s+x\s+|\s*\u00d7\s*")
"""Between the lists of a product: `x` with spaces around it, or the multiplication sign."""


def parse_styles(
    expression: str, known: Mapping[str, PromptStyle], headline: PromptStyle | None = None
) -> tuple[PromptStyle, ...]:
    """Read a list of styles: names, inline styles, and products of lists.

    `demo,none` · `rectangle:red,arrow:#1e90ff:alpha=200:width=4` · `rectangle,ellipse x red,blue` ·
    `rectangle:red x width=2,6` · `coordinates:1000` · `named:rectangle:red` · `shapes` and the
    other SWEEPS · several of these, with `;` between them: `demo,none; rectangle,ellipse x
    red,blue`. What an inline style leaves out comes from `headline`, and controls
    such as `blind` ask as `headline` does, so that each style returned stands on its own.
    What two sweeps share is listed once.

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
    base, colon, rest = text.partition(":")
    if colon and base in known and known[base].kind == "coordinates":
        return in_units(known[base], rest, text)
    if colon and base in known and known[base].kind == "named":
        marks = _parse_one([rest], known, headline)
        if marks.kind != "marks":
            raise TaskError(f"style {text!r}: {rest!r} draws no marks that could be named")
        return marks.model_copy(update={"name": text, "kind": "named"})
    first, *others = text.split("+")
    fields = _read_mark(first, text, known)
    beside = [_read_mark(other, text, known) for other in others]
    lender = _OFFICIAL_SIZES
    if headline is not None and headline.kind in ("marks", *HEADLINE_KINDS):
        lender = headline  # others have no shape, colour or width to lend
    fields = {
        **{key: getattr(lender, key) for key in ("shapes", "colors", "alpha", "width")},
        **fields,
        "beside": tuple(_part(other, text) for other in beside),
        "name": text,
        "inline": True,
    }
    if not (fields["shapes"] and fields["colors"]):
        raise TaskError(f"style {text!r}: expected a shape and a color, such as rectangle:red")
    return checked(PromptStyle, fields, f"style {text!r}")


def _part(fields: dict[str, object], text: str) -> MarkPart:
    """Make a further mark of what was read of it; what concerns the whole style stands first."""
    for key in ("words", "refer", "order"):
        if key in fields:
            raise TaskError(
                f"style {text!r}: {key}={fields[key]} concerns all marks · write it before the '+'"
            )
    if "shapes" not in fields:
        raise TaskError(f"style {text!r}: expected a shape behind '+', such as rectangle+tag")
    [shape] = cast(tuple[Shape, ...], fields.pop("shapes"))
    [color] = cast(tuple[str, ...], fields.pop("colors", ("",)))
    if color == CONTRAST:
        raise TaskError(
            f"style {text!r}: {CONTRAST} is of a region's first mark · leave the colour of the "
            "others out, and they have the same"
        )
    widths = cast(dict[Shape, float], fields.pop("width", {}))
    part = {**fields, "shape": shape, "color": color, "width": widths.get(shape)}
    return checked(MarkPart, part, f"style {text!r}")


def _read_mark(mark: str, text: str, known: Mapping[str, PromptStyle]) -> dict[str, object]:
    """Read one mark of an inline style, `marker:circle:red:radius=5`: fields of a style."""
    fields: dict[str, object] = {}
    settings: dict[str, object] = {}
    parts = mark.split(":")
    named = [part.replace("_", " ").replace("-", " ") for part in parts]
    shape = next((name for name in named if name in shape_names()), "")
    for part in parts:
        if shape and (setting := _setting(shape, part)):
            key, value = setting
            if key in settings:
                raise TaskError(f"style {text!r}: {part!r} is a second {key}")
            settings[key] = value
            continue
        key, value = _read_part(part, text, known, shape)
        if key in fields:
            raise TaskError(f"style {text!r}: {part!r} is a second {key.removesuffix('s')}")
        fields[key] = value
    if "text" in settings:
        fields["text"] = settings.pop("text")
    if settings:
        fields["settings"] = read_settings(shape, settings, f"style {text!r}")
    if "width" in fields and shape not in SHAPES:
        fields["width"] = dict.fromkeys((*SHAPES, shape), next(iter(_values(fields["width"]))))
    return fields


def _values(widths: object) -> Iterable[float]:
    return cast(dict[Shape, float], widths).values()


def _setting(shape: Shape, part: str) -> tuple[str, object] | None:
    """Read a part of an inline mark as one of its shape's settings; None: it is another part."""
    spec = find_shape(shape)
    key, equals, value = part.partition("=")
    if shape == "tag" and (part in TAG_TEXTS or (equals and key == "text")):
        return "text", value if equals else part
    if spec.settings is None:
        return None
    if equals:
        return (key, value) if key not in _STYLE_KEYS else None
    is_word = spec.bare and part in get_args(spec.settings.model_fields[spec.bare].annotation)
    return (spec.bare, part) if is_word else None


def style_keys() -> frozenset[str]:
    """Return what may stand before a `=` in an inline style, whichever shapes it has."""
    settings = (find_shape(name).settings for name in shape_names())
    fields = (record.model_fields for record in settings if record is not None)
    return frozenset(_STYLE_KEYS).union({"text"}, *fields)


_STYLE_WORDS = ("words", "refer", "order")
_STYLE_KEYS = ("alpha", "width", *_STYLE_WORDS)

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


def _read_part(
    part: str, text: str, known: Mapping[str, PromptStyle], of: Shape
) -> tuple[str, object]:
    """Read one part of an inline style; return the field of the style and its value."""
    key, equals, value = part.partition("=")
    if equals and key in _STYLE_WORDS:
        mistakes = refer_mistakes(value, "refer") if key == "refer" else []
        if mistakes:
            raise TaskError(f"style {text!r}: {'; '.join(mistakes)}")
        return key, value
    if equals and key == "width":
        return "width", dict.fromkeys(SHAPES, _number(key, value, text))
    if equals:
        return key, _number(key, value, text)
    shape = part.replace("_", " ").replace("-", " ")
    if shape in shape_names():
        return "shapes", (shape,)
    if part == CONTRAST:
        return "colors", (part,)
    if part in COLORS or part.startswith("#"):
        color_rgb(part)
        return "colors", (part.lower(),)
    if part in known:
        raise TaskError(
            f"style {text!r}: {part!r} is a named style, to which nothing can be added · expected a"
            " shape, a color, alpha=… or width=…"
        )
    words = _words(of)
    if part == text:
        words += [*known, *SWEEPS]
    hint = nearest(part, words, "vipbench ls styles" if part == text else "")
    hint += f" · a tag that says so is tag:text={part}" if of == "tag" else ""
    raise TaskError(f"style {text!r}: {part!r} is unknown{hint}")


def _words(of: Shape) -> list[str]:
    """List what a part of an inline style may be, for a mark of one shape."""
    spec = find_shape(of) if of else None
    bare = TAG_TEXTS if of == "tag" else ()
    if spec is not None and spec.settings is not None and spec.bare:
        bare = bare + get_args(spec.settings.model_fields[spec.bare].annotation)
    return [*bare, *COLORS, CONTRAST, *(() if of else shape_names())]


def _number(key: str, value: str, text: str) -> float | int:
    limits = {"alpha": (0, 255), "width": (0.001, WIDEST)}
    if key not in limits:
        raise TaskError(f"style {text!r}: unknown key {key!r}{nearest(key, _STYLE_KEYS)}")
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
