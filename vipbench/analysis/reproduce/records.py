"""What comes out of a reproduction, and the limits that decide it."""

from typing import Literal, NamedTuple

from vipbench.analysis.reproduce.published import Protocol, Published, Registry
from vipbench.analysis.reproduce.results import Result
from vipbench.runfolder.summary import Row
from vipbench.schema import Record

WIDENING = 0.5
"""Points (of 100) by which our 95 % interval is widened on each side before the published value is
looked for in it. Published values carry an error of their own, which nobody states: one unseeded
draw of marks and answers, and rounding. Ours."""

FEW = 0.01
"""Share of the samples that may lack a score, or that the task may have more or fewer than the
number was published for: shown as a difference up to here, not comparable above. Ours: what
`--max-errors` allows by default."""

JUDGE_METRIC = "judge"
"""Mean grade of a language model; other metrics are computed here."""

Verdict = Literal["reproduced", "outside", "not comparable"]
ReasonCode = Literal[
    "system",
    "synthetic",
    "published",
    "split",
    "group",
    "metric",
    "judge",
    "style",
    "subset",
    "missing",
    "samples",
]
"""Why a number is not comparable.

system: it is about another system than the run's model.
synthetic: the run's data come from the demo generator.
published: the registry says that no run can be held against it.
split: it was published for another split than the task reads.
group: no sample of the run is of its group.
metric: the run was not scored by its metric.
judge: another judge or another instruction gave the grades, or it is unknown which.
style: the run has other marks than the published ones.
subset: not all samples of the task were asked.
missing: more than FEW of the samples without an answer, or without a grade.
samples: the task has more than FEW samples more or less than it was published for.
"""
MEANINGLESS: frozenset[ReasonCode] = frozenset({"system", "synthetic", "metric"})
"""Reasons under which a difference in points says nothing, and is not shown."""


class Reason(Record):
    """Why a number is not comparable with a run."""

    code: ReasonCode
    text: str


class Difference(Record):
    """A difference between the protocols that does not make a number incomparable by itself."""

    what: str
    """`checkpoint`, `conversion`, `answers`, `prompt format`, `fit`, `dtype`, `decoding`,
    `polygons`, `missing`, `samples`, `runs of the judge` or `task version`."""
    run: str
    published: str


class Ours(Record):
    """What a run, or several that differ by their seed only, got in place of a published number."""

    style: str
    metric: str
    n: int
    n_expected: int
    n_clusters: int
    n_errors: int
    n_ungraded: int
    accuracy: float | None
    """0-1, the mean over the seeds; like the three below None where nothing was scored."""
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    """95 % interval, clustered by image, of the samples' means over the seeds."""
    by_seed: tuple[float, ...]
    """Accuracy under each seed, 0-1."""
    spread: float | None
    """Standard deviation of `by_seed` (n - 1 in the denominator); None for one seed."""


class Comparison(Record):
    """One published number held against one result."""

    runs: tuple[str, ...]
    """Run folders; several where they differ by their seed only."""
    model: str
    seeds: tuple[int, ...]
    published: Published
    protocol: Protocol
    ours: Ours | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    """Why the number is not comparable; empty where it is."""
    points: float | None
    """Ours minus the published value in points; None where it would say nothing."""
    differences: tuple[Difference, ...]
    disagreeing: tuple[Published, ...]
    """Other published values of the same system and protocol that differ by more than rounding."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


class Unlisted(Record):
    """Published numbers of a task with which a result is not compared one by one."""

    runs: tuple[str, ...]
    model: str
    task: str
    n: int
    """Numbers of other systems; 0 where no number is known for the task."""
    reasons: tuple[Reason, ...]
    """What else stands in the way of a comparison."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


class Beside(Record):
    """A run and released answers under one judge, beside their published numbers; points."""

    run: str
    model: str
    released: str
    """Folder of the released answers."""
    task: str
    group: str
    judge: str
    """Who graded both."""
    n: int
    """Samples that have a grade in both."""
    n_clusters: int
    points: float
    """The run minus the released answers, paired."""
    ci_low: float
    ci_high: float
    """95 % interval, clustered by image."""
    ours: Published | None
    """The published number of the run's system; None where there is none."""
    theirs: Published
    """That of the released answers."""
    published: float | None
    """The first minus the second."""
    is_inside: bool | None
    """Whether that lies in the interval, widened by twice `WIDENING` on each side."""
    reliable: bool
    """Whether there are enough images for the interval to hold."""
    name: str
    """What the run is called; `model` is that, with what tells others of the name apart."""
    step: int | None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None
    """Short digest of the weights; None for a baseline."""


class Reproduction(Record):
    """All verdicts on some runs."""

    widening: float
    """Points; see `WIDENING`."""
    comparisons: tuple[Comparison, ...]
    unlisted: tuple[Unlisted, ...]
    beside: tuple[Beside, ...] = ()
    """Empty unless released answers were given."""

    def verdicts(self, verdict: Verdict) -> list[Comparison]:
        """Return the comparisons that ended with one verdict."""
        return [comparison for comparison in self.comparisons if comparison.verdict == verdict]


class Match(NamedTuple):
    """How a run's model was recognised as the system of a published number."""

    by: Literal["id", "folder", "option"]
    model: str
    """The hub id that was matched; for `option` the system's name."""


class Case(NamedTuple):
    """One published number, and the rows of a result that come nearest to it."""

    result: Result
    number: Published
    file: Registry
    protocol: Protocol
    match: Match | None
    """None: the number is about another system."""
    style: str
    """The published one where the run has it, else the task's headline style."""
    metric: str
    """The published one where the run has it."""
    row: Row | None
    """Of the number's group."""
    whole: Row | None
    """Of the whole task."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The tasks that were asked."""
        return self.result.manifest.tasks[self.number.task].parts or (self.number.task,)
