"""scores: part of what was vipbench/analysis/sweep/styles.py."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import PromptStyle, StyleKind

MARKED: tuple[StyleKind, ...] = ("marks", "given")
"""Kinds of styles under which the model sees the marks that the text is about."""

Floats = npt.NDArray[np.float64]


class Scores(NamedTuple):
    """The scores of one task in one run, by its headline metric."""

    run: str
    model: str
    manifest: Manifest
    task: str
    metric: str
    styles: Mapping[str, PromptStyle]
    headline: str
    lines: Mapping[str, Mapping[str, ScoreLine]]
    """Style -> sample id -> score."""

    def marked(self) -> list[str]:
        """Return the styles that show marks, the headline style first."""
        names = [name for name, style in self.styles.items() if style.kind in MARKED]
        return sorted((name for name in names if name in self.lines), key=self._order)

    def _order(self, name: str) -> tuple[bool, int]:
        return name != self.headline, list(self.styles).index(name)

    def common(self, styles: Sequence[str]) -> list[str]:
        """Return the ids of the samples that have a score under each of some styles."""
        first, *others = (self.lines[style] for style in styles)
        return [
            id_
            for id_, line in first.items()
            if line.value is not None
            and all((found := other.get(id_)) and found.value is not None for other in others)
        ]

    def values(self, style: str, ids: Sequence[str]) -> list[float]:
        """Return the scores of samples that have one."""
        found = (self.lines[style][id_].value for id_ in ids)
        return [value for value in found if value is not None]

    def groups(self, ids: Sequence[str]) -> list[str]:
        """Return the clusters of samples."""
        lines = self.lines[self.headline]
        return [lines[id_].group for id_ in ids]
