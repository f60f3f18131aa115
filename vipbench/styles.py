"""Prompt styles: load, parse, and resolve to visual prompts with a seed.

Knows regions, not tasks; draws nothing and writes no text.
"""

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple, get_args

from vipbench.errors import TaskError, nearest
from vipbench.schema import (
    RGB,
    PromptChoices,
    PromptStyle,
    Region,
    Shape,
    VisualPrompt,
    checked,
    read_yaml,
)

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
"""Preposition and noun of each shape. Source: ViP-LLaVA, visual_prompt_generator.py, lines 23-32."""

SHAPES: tuple[Shape, ...] = get_args(Shape)

_COLOR_NAMES = {rgb: name for name, rgb in COLORS.items()}


class Mark(NamedTuple):
    """A visual prompt and the word that the text has for its colour."""

    prompt: VisualPrompt
    color_word: str | None
    """None: the text does not name the colour."""


def load_styles(folders: Sequence[Path]) -> dict[str, PromptStyle]:
    """Read `styles.yaml` of each folder that has one; TaskError for mistakes and names used twice."""
    styles: dict[str, PromptStyle] = {}
    for folder in folders:
        path = folder / "styles.yaml"
        if not path.exists():
            continue
        for name, entry in read_yaml(path).items():
            if name in styles:
                raise TaskError(f"{path}: style {name!r} is defined twice; choose another name")
            if not isinstance(entry, dict):
                raise TaskError(f"{path}: style {name!r}: expected a mapping, not {entry!r}")
            fields = dict(entry)
            if "width" in fields:
                fields["width"] = _widths(fields["width"], f"{path}: style {name!r}")
            style = checked(PromptStyle, {"name": name, **fields}, f"{path}: style {name!r}")
            for color in style.colors:
                color_rgb(color)
            if style.kind == "marks" and not (style.shapes and style.colors):
                raise TaskError(f"{path}: style {name!r}: expected 'shapes' and 'colors'")
            styles[str(name)] = style
    return styles


def _widths(value: object, where: str) -> dict[str, object]:
    """Expand `width: 3` or `{default: 3, point: 8}` to one width a shape."""
    if not isinstance(value, dict):
        return dict.fromkeys(SHAPES, value)
    for shape in value:
        if shape not in (*SHAPES, "default"):
            raise TaskError(f"{where}: width of {shape!r}{nearest(str(shape), [*SHAPES, 'default'])}")
    return {shape: value.get(shape, value.get("default")) for shape in SHAPES}


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

    `demo,none` · `rectangle:red,arrow:#1e90ff:alpha=200:width=4` · `rectangle,ellipse x red,blue`.
    What an inline style leaves out comes from `headline`, and `blind` asks as `headline` does, so
    that each style returned stands on its own. Raises TaskError for what cannot be read.
    """
    factors = [_items(factor) for factor in re.split(r"\s+[x×]\s+", expression.strip())]
    styles = [
        _parse_one(":".join(parts), known, headline) for parts in itertools.product(*factors)
    ]
    for name, count in Counter(style.name for style in styles).items():
        if count > 1:
            raise TaskError(f"--styles {expression!r}: style {name!r} is listed {count} times")
    return tuple(styles)


def _items(factor: str) -> list[str]:
    """Split a list at commas; in `width=2,6` the key carries on to the bare number."""
    items: list[str] = []
    key = ""
    for text in factor.split(","):
        item = text.strip()
        if not item:
            raise TaskError(f"--styles: an empty style in {factor!r}; expected names between commas")
        if key and re.fullmatch(r"[0-9.]+", item):
            item = f"{key}={item}"
        key = item.partition("=")[0] if "=" in item and ":" not in item else ""
        items.append(item)
    return items


def _parse_one(
    text: str, known: Mapping[str, PromptStyle], headline: PromptStyle | None
) -> PromptStyle:
    if text in known:
        style = known[text]
        if style.kind == "blind" and headline is not None:
            return headline.model_copy(update={"name": style.name, "kind": "blind"})
        return style
    fields: dict[str, object] = {}
    for part in text.split(":"):
        key, equals, value = part.partition("=")
        shape = part.replace("_", " ").replace("-", " ")
        if equals:
            fields[key] = _number(key, value, text)
        elif shape in SHAPES:
            fields["shapes"] = (shape,)
        elif part in COLORS or part.startswith("#"):
            color_rgb(part)
            fields["colors"] = (part.lower(),)
        else:
            names = [*known, *SHAPES, *COLORS]
            raise TaskError(f"style {text!r}: {part!r} is unknown{nearest(part, names)}")
    if headline is not None and headline.kind not in ("marks", "blind"):
        headline = None  # `given` has no shape, colour or width to lend
    base = headline.model_dump() if headline else {"alpha": 255, "width": dict.fromkeys(SHAPES, 3)}
    if "width" in fields:
        fields["width"] = dict.fromkeys(SHAPES, fields["width"])
    fields = {**base, **fields, "name": text, "title": "", "kind": "marks"}
    style = checked(
        PromptStyle, {**fields, "official": False, "inline": True}, f"style {text!r}"
    )
    if not (style.shapes and style.colors):
        raise TaskError(f"style {text!r}: expected a shape and a color, such as rectangle:red")
    return style


def _number(key: str, value: str, text: str) -> float | int:
    limits = {"alpha": (0, 255), "width": (0.001, 10_000)}
    if key not in limits:
        raise TaskError(f"style {text!r}: unknown key {key!r}{nearest(key, limits)}")
    low, high = limits[key]
    try:
        number = int(value) if key == "alpha" else float(value)
    except ValueError:
        number = -1
    if not low <= number <= high:
        raise TaskError(f"style {text!r}: {key}={value}: expected a number from {low:g} to {high:g}")
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

    Raises TaskError where a named style has fewer colours than the sample has regions.
    """
    if not regions:
        return ()
    shapes = choices.shapes if choices and choices.shapes else tuple(
        keyed(seed, sample_id, place, "shape").choice(style.shapes) for place in range(len(regions))
    )
    if choices and choices.colors:
        colors = [_chosen(color) for color in choices.colors]
    elif style.official:
        colors = _official_colors(shapes, style.colors, keyed(seed, sample_id, "colors"))
    else:
        colors = _distinct_colors(len(regions), style, lead, keyed(seed, sample_id, "colors"))
    if not len(shapes) == len(colors) == len(regions):
        raise TaskError(
            f"sample {sample_id!r}: {len(shapes)} shapes and {len(colors)} colors were chosen for "
            f"{len(regions)} regions; expected one of each a region"
        )
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


def _chosen(color: str | RGB | None) -> tuple[str | None, RGB]:
    if isinstance(color, str):
        return (color if color in COLORS else None), color_rgb(color)
    return None, color or COLORS["red"]


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
            colors.append((name if name in COLORS else None, color_rgb(name)))
        else:
            colors.append((None, _random_rgb(rng)))
    return colors


def _distinct_colors(
    n: int, style: PromptStyle, lead: int, rng: Random
) -> list[tuple[str | None, RGB]]:
    if n <= len(style.colors):
        names = rng.sample(style.colors, n)
    elif style.inline:
        others = [name for name in COLORS if name != style.colors[0]]
        names = rng.sample(others, min(n - 1, len(others)))
        names.insert(lead, style.colors[0])
    else:
        raise TaskError(
            f"style {style.name!r} has {len(style.colors)} colors, but there are {n} regions; "
            "choose a style with more colors, or an inline one"
        )
    named = [(name if name in COLORS else None, color_rgb(name)) for name in names]
    return named + [(None, _random_rgb(rng)) for _ in range(n - len(named))]


def _random_rgb(rng: Random) -> RGB:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)


def _alpha(style: PromptStyle, shape: Shape, rng: Random) -> int:
    """Fix the opacity; None draws from the training range (visual_prompt_generator.py, 277-278)."""
    alpha = style.alpha
    if alpha is None:
        alpha = (48, 128) if shape == "mask" else (96, 255)
    return alpha if isinstance(alpha, int) else rng.randint(*alpha)
