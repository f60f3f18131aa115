"""Prompt styles: load, parse, and resolve to visual prompts with a seed.

Knows regions, not tasks; draws nothing and writes no text.
"""

import copy
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, get_args

from vipbench.errors import TaskError, nearest
from vipbench.schema import RGB, PromptChoices, PromptStyle, Region, Shape, VisualPrompt
from vipbench.validation import YamlMapping, checked, read_yaml, shown

COLORS: dict[str, RGB] = {
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "fuchsia": (255, 0, 255),
    "aqua": (0, 255, 255),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "gold": (255, 215, 0),
}
"""The nine colours with a name. Source: ViP-LLaVA, visual_prompt_generator.py, lines 10-20."""

WORDS: dict[Shape, tuple[str, str]] = {
    "rectangle": ("within", "rectangle"),
    "ellipse": ("within", "ellipse"),
    "triangle": ("with", "triangle"),
    "point": ("at", "point"),
    "scribble": ("with", "scribble"),
    "mask contour": ("with", "mask contour"),
    "mask": ("with", "mask"),
    "arrow": ("pointed to by", "arrow"),
}
"""Preposition and noun of each shape. Source: the same file, lines 23-32."""

SHAPES: tuple[Shape, ...] = get_args(Shape)

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

HEADLINE_KINDS = ("blind", "wrong", "shuffled", "permuted")
"""Controls that are worded, and drawn where they are, as the headline style."""

PRODUCT = re.compile(r"\s+x\s+|\s*\u00d7\s*")
"""Between the lists of a product: `x` with spaces around it, or the multiplication sign."""

WIDEST = 10_000
"""px at a 336-px long side; it covers any image many times, and wider strokes take for ever."""

_COLOR_NAMES = {rgb: name for name, rgb in COLORS.items()}


class Mark(NamedTuple):
    """A visual prompt and the word that the text has for its colour."""

    prompt: VisualPrompt
    color_word: str | None
    """None: the text does not name the colour."""


def load_styles(folders: Sequence[Path]) -> dict[str, PromptStyle]:
    """Read `styles.yaml` of each folder that has one; TaskError names every mistake in a file."""
    styles: dict[str, PromptStyle] = {}
    for folder in folders:
        path = folder / "styles.yaml"
        if not path.exists():
            continue
        mistakes = []
        for name, entry in read_yaml(path).items():
            if name in styles:
                mistakes.append(f"style {name!r} is defined twice; choose another name")
                continue
            try:
                styles[name] = _named_style(name, entry)
            except TaskError as error:
                mistakes.append(str(error))
        if mistakes:
            raise TaskError(f"{path}: {'; and '.join(mistakes)}")
    return styles


def _named_style(name: str, entry: object) -> PromptStyle:
    where = f"style {name!r}"
    if not isinstance(entry, YamlMapping):
        raise TaskError(f"{where}: expected a mapping, not {shown(entry)}")
    fields = copy.copy(entry)  # an alias may name it twice
    mistakes = []
    if not re.fullmatch(r"[\w.-]+", name):
        mistakes.append("the name may hold letters, digits and the characters _ . - only")
    mistakes += [f"unknown key {key!r}" for key in ("name", "inline") if key in fields]
    kind = fields.get("kind", "marks")
    if kind == "marks" and not (fields.get("shapes") and fields.get("colors")):
        mistakes.append("expected 'shapes' and 'colors'")
    elif kind != "marks" and fields.keys() & {"shapes", "colors", "alpha", "width", "official"}:
        mistakes.append(f"kind {kind!r} draws no marks of its own: it takes only a 'title'")
    mistakes += _color_mistakes(fields.get("colors"))
    if "width" in fields:
        fields["width"], wrong = _widths(fields["width"])
        mistakes += wrong
    fields["name"] = name
    style = checked(PromptStyle, fields, where, mistakes)
    return style.model_copy(update={"colors": tuple(color.lower() for color in style.colors)})


def _color_mistakes(colors: object) -> list[str]:
    mistakes = []
    seen: set[RGB] = set()
    for color in colors if isinstance(colors, list) else ():
        try:
            rgb = color_rgb(str(color))
        except TaskError as error:
            mistakes.append(str(error))
            continue
        if rgb in seen:
            mistakes.append(f"color {color!r} is listed twice; marks could not be told apart")
        seen.add(rgb)
    return mistakes


def _widths(value: object) -> tuple[dict[Shape, object], list[str]]:
    """Expand `width: 3` or `{default: 3, point: 8}` to one width a shape; also return mistakes."""
    widths = dict(value) if isinstance(value, dict) else {"default": value}
    known = (*SHAPES, "default")
    mistakes = [f"width of {key!r}{nearest(str(key), known)}" for key in widths if key not in known]
    for key in known:
        width = widths.get(key)
        if width is not None and not (isinstance(width, int | float) and 0 < width <= WIDEST):
            expected = f"px above 0, up to {WIDEST:,}, or null"
            mistakes.append(f"width of {key!r} is {shown(width)}; expected {expected}")
            return {}, mistakes
    return {shape: widths.get(shape, widths.get("default")) for shape in SHAPES}, mistakes


def color_rgb(text: str) -> RGB:
    """Turn a pool name or `#rrggbb` into RGB; TaskError with the nearest name otherwise."""
    if text in COLORS:
        return COLORS[text]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    raise TaskError(f"color {text!r} is unknown{nearest(text, COLORS)} (or #rrggbb)")


def color_group(rgb: RGB) -> str:
    """Name the breakdown group of a colour: its pool name, else `#rrggbb`."""
    return _COLOR_NAMES.get(rgb, "#{:02x}{:02x}{:02x}".format(*rgb))


def parse_styles(
    expression: str, known: Mapping[str, PromptStyle], headline: PromptStyle | None = None
) -> tuple[PromptStyle, ...]:
    """Read a list of styles: names, inline styles, and products of lists.

    `demo,none` · `rectangle:red,arrow:#1e90ff:alpha=200:width=4` · `rectangle,ellipse x red,blue` ·
    `rectangle:red x width=2,6` · `shapes` and the other SWEEPS · several of these, with `;` between
    them: `demo,none; rectangle,ellipse x red,blue`. What an inline style leaves out comes from
    `headline`, and controls such as `blind` ask as `headline` does, so that each style returned
    stands on its own. What two sweeps share is listed once.

    Raises TaskError for what cannot be read, and for a style that is listed twice.
    """
    styles: list[PromptStyle] = []
    swept: list[PromptStyle] = []
    for part in expression.split(";"):
        factors = [_items(factor) for factor in re.split(PRODUCT, part.strip())]
        if len(factors) == 1:
            sweeps = [item for item in factors[0] if item in SWEEPS and item not in known]
            factors = [[item for item in factors[0] if item not in sweeps]]
            for each in itertools.chain.from_iterable(SWEEPS[name] for name in sweeps):
                swept += parse_styles(each, known, headline)
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
                f"--styles: an empty style in {factor!r}; expected names between commas"
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
            " marks; let the suite's first style be one that does"
        )
    kept = ("name", "title", "kind", "shift")
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
    if shape in SHAPES:
        return "shapes", (shape,)
    if part in COLORS or part.startswith("#"):
        color_rgb(part)
        return "colors", (part.lower(),)
    if part in known:
        raise TaskError(
            f"style {text!r}: {part!r} is a named style, to which nothing can be added; expected a"
            " shape, a color, alpha=… or width=…"
        )
    raise TaskError(f"style {text!r}: {part!r} is unknown{nearest(part, _words(known))}")


def _words(known: Mapping[str, PromptStyle]) -> list[str]:
    return [*known, *SWEEPS, *SHAPES, *COLORS]


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


def keyed(*parts: object) -> Random:
    """Make a private generator for one purpose; the same parts give the same draws everywhere."""
    return Random(seed_of(*parts))


def seed_of(*parts: object) -> int:
    """Hash parts to a seed of 52 bits, exact in JSON numbers."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 12


def resolve(
    regions: Sequence[Region],
    style: PromptStyle,
    seed: int,
    sample_id: str,
    lead: int = 0,
    choices: PromptChoices | None = None,
) -> tuple[Mark, ...]:
    """Draw one mark a region from a style; the same arguments give the same marks.

    Args:
        regions: in drawing order.
        style: of kind `marks` or `blind`.
        seed: of the run.
        sample_id: with the seed and the region's place, keys every draw.
        lead: index of the region that gets an inline style's colour.
        choices: shapes and colours fixed by hand.

    Raises TaskError where a named style has fewer colours than the sample has regions, and where
    not as many shapes or colours were chosen.
    """
    choices = choices or PromptChoices()
    for what, chosen in (("shapes", choices.shapes), ("colors", choices.colors)):
        if chosen and len(chosen) != len(regions):
            raise TaskError(
                f"{len(chosen)} {what} were chosen, but there are {len(regions)} regions;"
                " expected one a region"
            )
    shapes = choices.shapes or tuple(
        keyed(seed, sample_id, place, "shape").choice(style.shapes) for place in range(len(regions))
    )
    rng = keyed(seed, sample_id, "colors")
    if choices.colors:
        colors = [_chosen(color, rng) for color in choices.colors]
    elif style.official:
        colors = _official_colors(shapes, style.colors, rng)
    else:
        colors = _distinct_colors(len(regions), style, lead, rng)
    return tuple(
        Mark(
            VisualPrompt(
                region=region,
                shape=shape,
                color=rgb,
                alpha=_alpha(style, shape, keyed(seed, sample_id, place, "alpha")),
                width=style.width.get(shape),
                seed=seed_of(seed, sample_id, place, "geometry"),
            ),
            word,
        )
        for place, (region, shape, (word, rgb)) in enumerate(
            zip(regions, shapes, colors, strict=True)
        )
    )


def _chosen(color: str | RGB | None, rng: Random) -> tuple[str | None, RGB]:
    if isinstance(color, str):
        return _word_and_rgb(color)
    return None, color or _random_rgb(rng)


def _word_and_rgb(color: str) -> tuple[str | None, RGB]:
    """Return how the text names a colour (not at all for `#rrggbb`), and its RGB."""
    return (color if color in COLORS else None), color_rgb(color)


def _official_colors(
    shapes: Sequence[Shape], pool: Sequence[str], rng: Random
) -> list[tuple[str | None, RGB]]:
    """Draw colours as ViP-LLaVA's `get_color_shape` does (visual_prompt_organizer.py, 268-308).

    Marks of a shape that occurs more than once get different named colours until the pool is empty,
    then random RGB without a name; the only mark of its shape is unnamed random RGB by coin.
    """
    counts = Counter(shapes)
    left = {shape: list(pool) for shape in counts}
    colors: list[tuple[str | None, RGB]] = []
    for shape in shapes:
        named = bool(left[shape]) if counts[shape] > 1 else rng.random() < 0.5
        if named:
            name = rng.choice(left[shape])
            left[shape].remove(name)
            colors.append(_word_and_rgb(name))
        else:
            colors.append((None, _random_rgb(rng)))
    return colors


def _distinct_colors(
    n: int, style: PromptStyle, lead: int, rng: Random
) -> list[tuple[str | None, RGB]]:
    """Draw a different colour for each region.

    An inline style with too few gives one of its own to the region `lead`; the others get what else
    it has, then the rest of the pool, then random RGB.
    """
    if n <= len(style.colors):
        return [_word_and_rgb(name) for name in rng.sample(style.colors, n)]
    if not style.inline:
        raise TaskError(
            f"style {style.name!r} has {len(style.colors)} colors, but there are {n} regions; "
            "choose a style with more colors, or an inline one"
        )
    own = rng.sample(style.colors, len(style.colors))
    taken = {color_rgb(color) for color in own}
    rest = [name for name, rgb in COLORS.items() if rgb not in taken]
    colors = [_word_and_rgb(name) for name in (*own, *rng.sample(rest, len(rest)))][:n]
    taken = {rgb for _, rgb in colors}
    while len(colors) < n:
        rgb = _random_rgb(rng)
        if rgb not in taken:
            taken.add(rgb)
            colors.append((None, rgb))
    colors.insert(lead, colors.pop(0))
    return colors


def _random_rgb(rng: Random) -> RGB:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)


def _alpha(style: PromptStyle, shape: Shape, rng: Random) -> int:
    """Fix the opacity; None draws from the training range (visual_prompt_generator.py, 277-278)."""
    alpha = style.alpha
    if alpha is None:
        alpha = (48, 128) if shape == "mask" else (96, 255)
    return alpha if isinstance(alpha, int) else rng.randint(*alpha)
