"""What usual servers do to an image before their model sees it, as their makers say.

They change with models; each rule says whose it is, where it stands, and when it was read. None
enlarges an image.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

SMALL = 16.0
"""px of a mark; one that has fewer after shrinking is told: a square of 4 x 4."""


class ServerRule(NamedTuple):
    """How one kind of server shrinks an image."""

    name: str
    source: str
    read: str
    """Month in which the source, or somebody who quotes it, was read."""
    scale: Callable[[tuple[int, int]], float]
    """Width and height in px -> factor of both sides, at most 1."""


def low(size: tuple[int, int]) -> float:
    """Fit into 512 x 512 px."""
    return min(1.0, 512 / max(size))


def tiles(size: tuple[int, int]) -> float:
    """Fit into 2,048 x 2,048 px, then bring the shorter side to 768 px."""
    fitted = min(1.0, 2048 / max(size))
    return fitted * min(1.0, 768 / (min(size) * fitted))


def edge(size: tuple[int, int]) -> float:
    """Bring the longer side to 1,568 px, and the area to 1,600 tokens of 750 px each."""
    return min(1.0, 1568 / max(size), math.sqrt(1600 * 750 / (size[0] * size[1])))


RULES = (
    ServerRule("OpenAI, detail low", "platform.openai.com/docs/guides/vision", "2026-11", low),
    ServerRule("GPT-4o, detail high", "platform.openai.com/docs/guides/vision", "2026-11", tiles),
    ServerRule(
        "Claude up to 4.6", "platform.claude.com/docs/en/build-with-claude/vision", "2026-11", edge
    ),
)
