"""What a suite file says."""

from typing import Annotated

from pydantic import Field

from vipbench.schema import ExtraMetric, Fit, PromptFormat, Record, Rule


class PowerGoal(Record):
    """What the subsets of a suite are large enough for."""

    drop: float = Field(gt=0, lt=1)
    """Fraction; detected with 80 % power at the one-sided level of 5 %."""
    discordance: float = Field(gt=0, le=1)
    """Share of the answers that another checkpoint changes: an assumption."""
    design_effect: float = Field(default=1.0, ge=1)
    """Clustered over independent variance of the difference: an assumption."""


class Suite(Record):
    """A named set of tasks and styles; the first style is the headline."""

    name: str
    title: str = ""
    tasks: tuple[str, ...]
    styles: tuple[str, ...] = ()
    """Empty: each task's own headline style."""
    metrics: tuple[ExtraMetric, ...] = ()
    """What is reported beside each task's headline metric, in rows of its own."""
    rule: Rule | None = None
    """How answers are read for the headline metric of each task that such a rule suits; None: as
    the task says."""
    breakdown: tuple[str, ...] = ("shape", "color", "size", "n_marks")
    """Tags that the breakdown of every task lists, before the task's own."""
    prompt_format: PromptFormat | None = None
    fit: Fit | None = None
    limits: dict[str, Annotated[int, Field(ge=1)]] = Field(default={})
    """Task -> samples that are asked of it, always the same ones; the others are asked as a whole.
    """
    power: PowerGoal | None = None
    """What `vipbench gate` should be able to detect, where its thresholds do not say."""
    demo: bool = False
    """Runs by default on the embedded benchmark and checkpoint."""
