"""What a run can show: the smallest drop that a comparison finds, the samples that one needs."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vipbench.analysis.pairs import Pairing, Side, change, left_out_notes, pair_runs, read_side
from vipbench.report.text import MISSING
from vipbench.stats.intervals import clustered_mean
from vipbench.stats.power import Design

DISCORDANCES = (0.05, 0.1, 0.2)
"""Shares of changed answers that are shown where none has been measured."""


class PowerRow(NamedTuple):
    """What one task can show."""

    task: str
    """`-` where there is no run."""
    n: int
    n_clusters: int
    """Images; 0: not known."""
    measured: bool
    """Whether discordance and design effect are those of two runs; else the former is assumed, and
    the latter that of the accuracy, which is mostly larger."""
    design: Design
    smallest_drop: float | None
    samples_needed: int
    """For the drop that was asked for."""

    @property
    def is_least(self) -> bool:
        """Whether discordance is the least that is taken: no more was measured to and fro."""
        return self.measured and self.design.discordance <= DISCORDANCES[0]


def power_of_runs(
    base: str,
    new: str | None = None,
    *,
    drop: float,
    discordance: float | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    say: Callable[[str], None] = lambda note: None,
) -> list[PowerRow]:
    """Say for each task of a run, under its headline style and metric, what it can show.

    Args:
        base: A run folder, or RUN@STYLE.
        new: A second run on the same samples; its changes to and fro are taken as typical ones, at
            least the smallest of `DISCORDANCES`.
        drop: Find out the samples that this drop needs.
        discordance: Assumed share of changed answers; None: as measured, else several.
        alpha: Level of the one-sided test.
        power: Probability with which a drop is found.
        say: Is told which samples are left out, since only one of the two runs has them.

    Raises:
        RunError: A run cannot be read, or the two cannot be paired.
    """
    side = read_side(base)
    if new is None:
        designs = _assumed(side, discordance)
    else:
        pairings = pair_runs(side, read_side(new), overlap="one")
        for note in left_out_notes(pairings):
            say(note)
        designs = _measured(pairings, discordance)
    measured = new is not None and discordance is None
    return [
        _row(design._replace(alpha=alpha, power=power), drop, task, n_clusters, measured=measured)
        for task, n_clusters, design in designs
    ]


def power_of_numbers(
    n: int,
    discordance: float | None = None,
    design_effect: float = 1.0,
    *,
    drop: float,
    alpha: float = 0.05,
    power: float = 0.8,
) -> list[PowerRow]:
    """Say what a comparison of `n` samples can show, without any run; otherwise as of runs."""
    shares = DISCORDANCES if discordance is None else (discordance,)
    return [_row(Design(n, share, design_effect, alpha, power), drop) for share in shares]


def _row(
    design: Design, drop: float, task: str = MISSING, n_clusters: int = 0, *, measured: bool = False
) -> PowerRow:
    return PowerRow(
        task=task,
        n=design.n,
        n_clusters=n_clusters,
        measured=measured,
        design=design,
        smallest_drop=design.smallest_drop(),
        samples_needed=design.samples_for(drop),
    )


def _assumed(side: Side, discordance: float | None) -> Iterator[tuple[str, int, Design]]:
    shares: Sequence[float] = DISCORDANCES if discordance is None else (discordance,)
    for task in side.manifest.tasks:
        metric = side.headline_metric(task)
        lines = side.lines[task, metric].values() if metric else ()
        scored = [(line.value, line.group) for line in lines if line.value is not None]
        if not scored:
            continue
        mean = clustered_mean([value for value, _ in scored], [group for _, group in scored])
        effect = max(1.0, mean.n / mean.n_effective)
        for share in shares:
            yield task, mean.n_clusters, Design(mean.n, share, effect)


def _measured(
    pairings: Sequence[Pairing], discordance: float | None
) -> Iterator[tuple[str, int, Design]]:
    for pairing in pairings:
        difference = change(pairing.pairs)
        if difference is not None:
            # A net difference is what is looked for; it is not part of the design.
            share = discordance or max(difference.churn, DISCORDANCES[0])
            design = Design(difference.n, share, max(1.0, difference.design_effect))
            yield pairing.task, difference.n_clusters, design
