"""Draws of a style: its shapes, colours and opacities -> one fully determined mark a region.

Every draw is keyed by the run's seed and the sample's id, so that none depends on another one.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from vipbench.errors import TaskError
from vipbench.images.shapes.registry import find_shape
from vipbench.prompts.colors import COLORS, CONTRAST, color_rgb, color_word, farthest, stands_out
from vipbench.prompts.parts import beside_marker, tag_text, tells_regions_apart
from vipbench.schema import (
    RGB,
    MarkPart,
    PromptChoices,
    PromptStyle,
    Region,
    Shape,
    VisualPrompt,
)


class Mark(NamedTuple):
    """What is drawn on one region, and the word that the text has for its colour."""

    prompt: VisualPrompt
    color_word: str | None
    """None: the text does not name the colour."""
    beside: tuple[VisualPrompt, ...] = ()
    """Further marks on the region."""

    @property
    def all(self) -> tuple[VisualPrompt, ...]:
        """Return the marks in the order of drawing."""
        return self.prompt, *self.beside

    @property
    def tag(self) -> str:
        """Return what the first tag says; empty where there is none."""
        return next((prompt.text for prompt in self.all if prompt.text), "")


def keyed(*parts: object) -> Random:
    """Return a generator for one purpose; the same parts give the same draws on every machine."""
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
    surroundings: Sequence[RGB] = (),
) -> tuple[Mark, ...]:
    """Draw the marks of each region from a style; the same arguments give the same marks.

    Args:
        regions: in drawing order.
        style: of kind `marks` or `blind`.
        seed: of the run.
        sample_id: with the seed and the region's index, keys every draw.
        lead: index of the region that gets an inline style's colour.
        choices: shapes and colours fixed by hand.
        surroundings: the colour around each region, where the style's colour is `contrast`.

    Raises:
        TaskError: A shape is unknown, a named style has fewer colours than the sample has regions,
            not as many shapes or colours were chosen as it has, or it is not known what is around
            the regions.
        DataError: A tag has nothing to say of a region.
    """
    choices = choices or PromptChoices()
    for what, chosen in (("shapes", choices.shapes), ("colors", choices.colors)):
        if chosen and len(chosen) != len(regions):
            raise TaskError(
                f"{len(chosen)} {what} were chosen, but there are {len(regions)} regions ·"
                " expected one a region"
            )
    for shape in choices.shapes:
        find_shape(shape)
    shapes = choices.shapes or tuple(
        keyed(seed, sample_id, index, "shape").choice(style.shapes) for index in range(len(regions))
    )
    rng = keyed(seed, sample_id, "colors")
    if choices.colors:
        colors = [_chosen(color, rng) for color in choices.colors]
    elif stands_out(style):
        colors = _contrasting(len(regions), style, surroundings)
    elif style.official:
        colors = _official_colors(shapes, style.colors, rng)
    else:
        colors = _distinct_colors(len(regions), style, lead, rng)
    marks = []
    for index, (region, shape, (word, rgb)) in enumerate(zip(regions, shapes, colors, strict=True)):
        first = VisualPrompt(
            region=region,
            shape=shape,
            color=rgb,
            alpha=_alpha(style, shape, keyed(seed, sample_id, index, "alpha")),
            width=style.width.get(shape),
            seed=seed_of(seed, sample_id, index, "geometry"),
            text=_text(style.text, shape, index, region),
            settings=style.settings,
        )
        beside = tuple(
            _beside(first, style, part, (seed, sample_id, index, number))
            for number, part in enumerate(style.beside, 1)
        )
        marks.append(Mark(first, word, beside))
    return tuple(marks)


def _beside(
    first: VisualPrompt, style: PromptStyle, part: MarkPart, key: tuple[int, str, int, int]
) -> VisualPrompt:
    """Draw a further mark on the region of the first one."""
    region, shape, index = first.region, part.shape, key[2]
    alpha = part.alpha
    is_tag = shape == "tag"
    return VisualPrompt(
        region=region,
        shape=shape,
        color=color_rgb(part.color) if part.color else first.color,
        alpha=_alpha(style, shape, keyed(*key, "alpha")) if alpha is None else alpha,
        width=style.width.get(shape) if part.width is None else part.width,
        seed=seed_of(*key, "geometry"),
        text=_text(part.text, shape, index, region),
        settings=beside_marker(part.settings, first.shape, first.settings)
        if is_tag
        else part.settings,
    )


def _text(rule: str, shape: Shape, index: int, region: Region) -> str:
    """Return what a mark says: a tag its number, where the style says nothing."""
    rule = rule or ("number" if shape == "tag" else "")
    return tag_text(rule, index, region) if rule else ""


def _chosen(color: str | RGB | None, rng: Random) -> tuple[str | None, RGB]:
    if isinstance(color, str):
        return _word_and_rgb(color)
    return None, color or _random_rgb(rng)


def _word_and_rgb(color: str) -> tuple[str | None, RGB]:
    """Return how the text names a colour (not at all for `#rrggbb`), and its RGB."""
    return color_word(color), color_rgb(color)


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
    """Draw a different colour for each region, as far as no tag tells the regions apart.

    An inline style with too few gives one of its own to the region `lead`; the others get what else
    it has, then the rest of the pool, then random RGB.
    """
    if style.listed and n <= len(style.colors):
        return [_word_and_rgb(name) for name in style.colors[:n]]
    if tells_regions_apart(style) and n > len(style.colors):
        own = rng.sample(style.colors, len(style.colors))
        return [_word_and_rgb(own[index % len(own)]) for index in range(n)]
    if n <= len(style.colors):
        return [_word_and_rgb(name) for name in rng.sample(style.colors, n)]
    if not style.inline:
        raise TaskError(
            f"style {style.name!r} has {len(style.colors)} colors, but there are {n} regions · "
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


def _contrasting(
    n: int, style: PromptStyle, surroundings: Sequence[RGB]
) -> list[tuple[str | None, RGB]]:
    """Take for each region in turn the colour that stands out most, of those that are left."""
    if len(surroundings) != n:
        raise TaskError(
            f"style {style.name!r}: {CONTRAST} needs the pixels around {n} regions, which are known"
            f" of {len(surroundings)} · expected Sample.surroundings, as runs, `check` and `render`"
            " read them"
        )
    names: list[str] = []
    for around in surroundings:
        begun = len(names) // len(COLORS) * len(COLORS)  # all are taken: once more from all
        names.append(farthest(around, names[begun:]))
    return [_word_and_rgb(name) for name in names]


def _random_rgb(rng: Random) -> RGB:
    return rng.randint(0, 255), rng.randint(0, 255), rng.randint(0, 255)


def _alpha(style: PromptStyle, shape: Shape, rng: Random) -> int:
    """Fix the opacity; None draws from the training range (visual_prompt_generator.py, 277-278)."""
    alpha = style.alpha
    if alpha is None:
        alpha = (48, 128) if shape == "mask" else (96, 255)
    return alpha if isinstance(alpha, int) else rng.randint(*alpha)
