"""Runs against published numbers: reproduced, outside, or not comparable, and why.

Reads run folders and the registry of published numbers. Runs no model and opens no image.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from pydantic import ConfigDict, Field, ValidationError
from rich.table import Table
from rich.text import Text

from vipbench.runfolder import manifest as manifests
from vipbench.report import leaderboard as report
from vipbench.runfolder import folder as store
from vipbench.errors import RunError, nearest
from vipbench.runfolder.manifest import Manifest
from vipbench.analysis.reproduce.published import Protocol, Published, Registry, read_registry
from vipbench.report.leaderboard import ALL, MISSING, Row
from vipbench.runners.imported import IMPORTED
from vipbench.schema import PromptStyle, Record
from vipbench.runfolder.folder import ScoreLine
from vipbench.data.tasks import all_styles, load_task

WIDENING = 0.5
"""Points (of 100) by which our 95 % interval is widened on each side before the published value is
looked for in it. Published values carry an error of their own, which nobody states: one unseeded
draw of marks and answers, and rounding."""

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
judge: another judge or another instruction gave the grades, or it is not known which.
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


class Unlisted(Record):
    """Published numbers of a task that a result is not held against one by one."""

    runs: tuple[str, ...]
    model: str
    task: str
    n: int
    """Numbers of other systems; 0 where none is known for the task."""
    reasons: tuple[Reason, ...]
    """What else stands in the way of a comparison."""


class Reproduction(Record):
    """All verdicts on some runs."""

    widening: float
    """Points; see `WIDENING`."""
    comparisons: tuple[Comparison, ...]
    unlisted: tuple[Unlisted, ...]

    def verdicts(self, verdict: Verdict) -> list[Comparison]:
        """Return the comparisons that ended with one verdict."""
        return [each for each in self.comparisons if each.verdict == verdict]


class _JudgeFacts(Record):
    """What a run's `judge.json` says of its grades; its further keys are not needed here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    comparable: bool
    """With published numbers."""
    not_comparable: tuple[str, ...] = ()
    """Why not."""
    model: str | None = None
    models_returned: dict[str, int] = Field(default={})
    """How the judge named itself, and in how many grades."""
    n_runs: int | None = None

    @property
    def names(self) -> set[str]:
        """Who graded."""
        return set(self.models_returned) or ({self.model} if self.model else set())


# --- results: one run, or runs that differ by their seed only


class _Run(NamedTuple):
    folder: Path
    manifest: Manifest
    rows: tuple[Row, ...]


class _Result(NamedTuple):
    runs: tuple[_Run, ...]
    rows: tuple[Row, ...]
    """Of the only run, or of the samples' means over all."""

    @property
    def manifest(self) -> Manifest:
        return self.runs[0].manifest

    @property
    def model(self) -> str:
        return self.manifest.identity.model

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(str(run.folder) for run in self.runs)


def _find(rows: Iterable[Row], task: str, style: str, metric: str, group: str) -> Row | None:
    wanted = (task, style, metric, group)
    for row in rows:
        if (row.task, row.style, row.metric, row.group) == wanted:
            return row
    return None


def _results(folders: Sequence[Path]) -> list[_Result]:
    """Read runs, each once, and put those together that differ by their seed only."""
    unique: dict[Path, Path] = {}
    for folder in folders:
        unique.setdefault(folder.resolve(), folder)
    alike: dict[str, list[_Run]] = {}
    for folder in unique.values():
        run = _Run(folder, manifests.read(folder), tuple(report.read_summary(folder)))
        seedless = run.manifest.identity.model_copy(update={"seed": 0, "requests": {}})
        alike.setdefault(manifests.identity_digest(seedless), []).append(run)
    return [result for runs in alike.values() for result in _by_samples(runs)]


class _Scores(NamedTuple):
    """What is kept in memory of a `scores.jsonl`; a line is named by task, style, metric, id."""

    values: dict[tuple[str, str, str, str], float]
    lacking: dict[tuple[str, str, str, str], ScoreLine]
    """Lines without a value."""
    samples: str
    """Digest of all names, targets and clusters."""


def _by_samples(runs: Sequence[_Run]) -> list[_Result]:
    """Make one result of the runs with the same samples under different seeds."""
    if len({_seed(run) for run in runs}) == 1:  # repetitions: nothing to average
        return [_Result((run,), run.rows) for run in runs]
    sets: list[list[tuple[_Run, _Scores]]] = []
    for run in runs:
        scores = _read_scores(run.folder)
        for members in sets:
            is_new = _seed(run) not in {_seed(member) for member, _ in members}
            if is_new and members[0][1].samples == scores.samples:
                members.append((run, scores))
                break
        else:
            sets.append([(run, scores)])
    return [_merged(members) for members in sets]


def _merged(members: Sequence[tuple[_Run, _Scores]]) -> _Result:
    first = members[0][0]
    rows = first.rows
    if len(members) > 1:
        means = _means(first.folder, [scores for _, scores in members])
        rows = tuple(report.summarise(first.manifest, means))
    return _Result(tuple(run for run, _ in members), rows)


def _seed(run: _Run) -> int:
    return run.manifest.identity.seed


def _name(line: ScoreLine) -> tuple[str, str, str, str]:
    return line.task, line.style, line.metric, line.id


def _read_scores(folder: Path) -> _Scores:
    values: dict[tuple[str, str, str, str], float] = {}
    lacking: dict[tuple[str, str, str, str], ScoreLine] = {}
    facts: list[tuple[str, ...]] = []
    for line in store.read_lines(folder / store.SCORES, ScoreLine):
        facts.append((*_name(line), line.target, line.group))
        if line.value is None:
            lacking[_name(line)] = line
        else:
            values[_name(line)] = line.value
    return _Scores(values, lacking, manifests.digest(sorted(facts)))


def _means(folder: Path, scores: Sequence[_Scores]) -> Iterable[ScoreLine]:
    """Yield each sample with its mean over the seeds; one that lacks a value lacks the mean."""
    for line in store.read_lines(folder / store.SCORES, ScoreLine):
        name = _name(line)
        lacking = next((each.lacking[name] for each in scores if name in each.lacking), None)
        if lacking is not None:
            yield lacking
        else:
            value = fmean(each.values[name] for each in scores)
            yield line.model_copy(update={"value": value})


# --- verdicts


def reproduce(
    folders: Sequence[Path],
    *,
    system: str | None = None,
    everything: bool = False,
    registry: Sequence[Registry] | None = None,
) -> Reproduction:
    """Hold finished runs against all published numbers of their tasks.

    A number is reproduced where it lies inside the run's 95 % interval, clustered by image and
    widened by `WIDENING` points on each side.

    Args:
        folders: Run folders; runs that differ by their seed only are one result.
        system: Name of the published system that the runs are of; default: told by their model.
        everything: List the numbers of other systems too, which are never comparable.
        registry: Published numbers; default: those of vipbench.

    Raises:
        RunError: A run has not ended or is broken, or no published number is about `system`.
        TaskError: The registry is broken.
    """
    files = read_registry() if registry is None else tuple(registry)
    if system is not None:
        names = {number.system for file in files for number in file.numbers}
        if system.casefold() not in {name.casefold() for name in names}:
            hint = nearest(system, names)
            raise RunError(f"--system {system!r}: no published number is about it{hint}")
    comparisons: list[Comparison] = []
    unlisted: list[Unlisted] = []
    for result in _results(folders):
        for task in result.manifest.tasks:
            listed: list[Comparison] = []
            n_others = 0
            numbers = [(file, each) for file in files for each in file.numbers if each.task == task]
            for file, number in numbers:
                matched = _matched(result.manifest, number, system)
                if matched is None and not everything:
                    n_others += 1
                else:
                    listed.append(_compared(_case(result, number, file, matched)))
            comparisons += listed
            if n_others or not listed:
                reasons = () if listed else tuple(_shortcomings(result, task))
                unlisted.append(
                    Unlisted(
                        runs=result.folders,
                        model=result.model,
                        task=task,
                        n=n_others,
                        reasons=reasons,
                    )
                )
    return Reproduction(widening=WIDENING, comparisons=tuple(comparisons), unlisted=tuple(unlisted))


class _Match(NamedTuple):
    """How a run's model was found to be the system of a published number."""

    by: Literal["id", "folder", "option"]
    model: str
    """The hub id that was matched; for `option` the system's name."""


def _matched(manifest: Manifest, number: Published, system: str | None) -> _Match | None:
    """Find the run's model, or what it was converted from, among those of a published number."""
    if system is not None:
        same = number.system.casefold() == system.casefold()
        return _Match("option", number.system) if same else None
    name = (manifest.converted_from or manifest.identity.model).casefold()
    for model in number.models:
        if model.casefold() == name:
            return _Match("id", model)
    for model in number.models:
        if model.rpartition("/")[2].casefold() == name:
            return _Match("folder", model)
    return None


class _Case(NamedTuple):
    """One published number, and the rows of a result that come nearest to it."""

    result: _Result
    number: Published
    file: Registry
    protocol: Protocol
    matched: _Match | None
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


def _case(result: _Result, number: Published, file: Registry, matched: _Match | None) -> _Case:
    protocol = file.protocols[number.protocol]
    mine = [row for row in result.rows if row.task == number.task]
    style = result.manifest.tasks[number.task].headline
    if protocol.style is not None and protocol.style in {row.style for row in mine}:
        style = protocol.style
    metrics = [row.metric for row in mine if row.style == style]
    metric = number.metric if number.metric in metrics else next(iter(metrics), number.metric)
    row = _find(mine, number.task, style, metric, number.group)
    whole = _find(mine, number.task, style, metric, ALL)
    return _Case(result, number, file, protocol, matched, style, metric, row, whole)


def _compared(case: _Case) -> Comparison:
    """Hold one published number against one result."""
    row, value = case.row, case.number.value
    reasons = tuple(_reasons(case))
    points = None
    if row is not None and row.accuracy is not None:
        meaningless = MEANINGLESS & {reason.code for reason in reasons}
        points = None if meaningless else round(100 * row.accuracy - value, 6)
    return Comparison(
        runs=case.result.folders,
        model=case.result.model,
        seeds=tuple(map(_seed, case.result.runs)),
        published=case.number,
        protocol=case.protocol,
        ours=None if row is None else _ours(case.result, row),
        verdict="not comparable" if reasons else _verdict(value, row),
        reasons=reasons,
        points=points,
        differences=tuple(_differences(case)),
        disagreeing=tuple(_disagreeing(case.number, case.file)),
    )


def _verdict(published: float, row: Row | None) -> Verdict:
    """Say whether a percentage lies inside the widened interval of a row."""
    if row is None or row.ci_low is None or row.ci_high is None:
        return "not comparable"
    # A published value on the border is inside, however the border is rounded in binary.
    slack = WIDENING + 1e-9
    inside = 100 * row.ci_low - slack <= published <= 100 * row.ci_high + slack
    return "reproduced" if inside else "outside"


def _ours(result: _Result, row: Row) -> Ours:
    accuracies = [
        each.accuracy
        for run in result.runs
        if (each := _find(run.rows, row.task, row.style, row.metric, row.group)) is not None
        and each.accuracy is not None
    ]
    return Ours(
        style=row.style,
        metric=row.metric,
        n=row.n,
        n_expected=row.n_expected,
        n_clusters=row.n_clusters,
        n_errors=row.n_errors,
        n_ungraded=row.n_ungraded,
        accuracy=row.accuracy,
        stderr=row.stderr,
        ci_low=row.ci_low,
        ci_high=row.ci_high,
        by_seed=tuple(accuracies),
        spread=stdev(accuracies) if len(accuracies) > 1 else None,
    )


# --- why a number is not comparable


_SYNTHETIC = Reason(code="synthetic", text="the data are synthetic, from the demo generator")


def _reasons(case: _Case) -> Iterable[Reason]:
    """Yield everything that keeps a number from being compared; nothing where it can be."""
    number, task = case.number, case.number.task
    if case.matched is None:
        text = f"the number is about {number.system}, the run about {case.result.model}"
        yield Reason(code="system", text=text)
    if case.result.manifest.tasks[task].synthetic:
        yield _SYNTHETIC
    if number.not_comparable is not None:
        yield Reason(code="published", text=number.not_comparable)
    if number.split != case.file.splits[task]:
        text = f"published for split {number.split}, the task reads {case.file.splits[task]}"
        yield Reason(code="split", text=text)
    if case.metric != number.metric:
        by = f" by {case.protocol.judge}" if case.protocol.judge else ""
        text = f"the run was scored by {case.metric}, published is {number.metric}{by}"
        yield Reason(code="metric", text=text)
    elif case.metric == JUDGE_METRIC:
        yield from _judge_reasons(case)
    yield from _style_reasons(case)
    if case.row is None or case.whole is None:
        yield Reason(code="group", text=f"no sample of the run is of group {number.group}")
    else:
        yield from _lacking(case.whole, case.row)
        if _is_other_size(case, few=False):
            text = f"the task has {case.row.n_expected:,} samples, published for {number.n:,}"
            yield Reason(code="samples", text=text)
        elif case.row.n == 0 and not (case.row.n_errors or case.row.n_ungraded):
            yield Reason(code="group", text=f"no sample of the run is of group {number.group}")


def _is_other_size(case: _Case, *, few: bool) -> bool:
    """Say whether a whole task has another size than published: by FEW at most, or by more."""
    n, whole, row = case.number.n, case.whole, case.row
    if n is None or whole is None or row is None or _n_asked(whole) < whole.n_expected:
        return False
    return row.n_expected != n and (abs(row.n_expected - n) <= FEW * n) == few


def _shortcomings(result: _Result, task: str) -> Iterable[Reason]:
    """Yield what keeps a result from being compared with any published number of a task."""
    run = result.manifest.tasks[task]
    if run.synthetic:
        yield _SYNTHETIC
    row = next((r for r in result.rows if (r.task, r.style) == (task, run.headline)), None)
    if row is not None:
        yield from _lacking(row, row)


def _lacking(whole: Row, row: Row) -> Iterable[Reason]:
    """Yield which samples have no score: not asked, or more than FEW not answered or graded."""
    if _n_asked(whole) < whole.n_expected:
        text = f"{_n_asked(whole):,} of {whole.n_expected:,} samples were asked"
        yield Reason(code="subset", text=text)
    if row.n < (1 - FEW) * _n_asked(row):
        yield from (Reason(code="missing", text=text) for text in _missing(row))


def _missing(row: Row) -> list[str]:
    """Say how many samples have no score, and why."""
    counts = ((row.n_errors, "no answer"), (row.n_ungraded, "no grade"))
    return [f"{n:,} of {_n_asked(row):,} samples have {what}" for n, what in counts if n]


def _n_asked(row: Row) -> int:
    return row.n + row.n_errors + row.n_ungraded


def _judge_reasons(case: _Case) -> Iterable[Reason]:
    """Yield how grades came about otherwise than published; each reason once for all runs."""
    published = case.protocol.judge
    texts: list[str] = []
    for run in case.result.runs:
        facts = _judge_facts(run.folder)
        if facts is None:
            texts.append(f"who graded is not known: {run.folder / store.JUDGE} does not exist")
        elif not facts.comparable:
            texts += facts.not_comparable or ("it was graded otherwise than published",)
        elif published is not None and facts.names != {published}:
            names = ", ".join(sorted(facts.names)) or "nobody known"
            texts.append(f"graded by {names}, published with {published}")
    for text in dict.fromkeys(texts):
        yield Reason(code="judge", text=text)


def _judge_facts(folder: Path) -> _JudgeFacts | None:
    path = folder / store.JUDGE
    if not path.exists():
        return None
    try:
        return _JudgeFacts.model_validate(store.read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(f"{path}: {key}: {first['msg']}; judge the run again") from error


def _style_reasons(case: _Case) -> Iterable[Reason]:
    """Yield how the run's marks differ from the published ones."""
    wanted = case.protocol.style
    if wanted is None:
        return
    if case.style != wanted:
        text = f"the run has style {case.style}, published is {wanted}"
        yield Reason(code="style", text=text)
        return
    styles = case.result.manifest.identity.styles
    used = [style for part in case.parts for style in styles.get(part, ())]
    if any(style.name == wanted and _bare(style) != _bare(all_styles()[wanted]) for style in used):
        text = f"style {wanted} of the run is another than that of this vipbench"
        yield Reason(code="style", text=text)


def _bare(style: PromptStyle) -> PromptStyle:
    """Return a style without its title, which is for readers only."""
    return style.model_copy(update={"title": ""})


# --- what differs all the same


_DECODING = {"official": "sampled at T = 0.2 without a seed"}


def _differences(case: _Case) -> Iterable[Difference]:
    """Yield what differs between run and publication without making them incomparable."""
    yield from _checkpoint_differences(case)
    manifest, protocol = case.result.manifest, case.protocol
    settings = manifest.identity.settings
    if manifest.identity.runner == IMPORTED:
        text = "imported; prompt, fit, decoding and dtype are not known"
        yield Difference(what="answers", run=text, published="made by the script")
    else:
        pairs = [
            ("prompt format", settings.prompt_format, protocol.prompt_format),
            *(("fit", manifest.tasks[part].fit, protocol.fit) for part in case.parts),
            ("dtype", settings.dtype, protocol.dtype),
        ]
        if settings.decoding != "official":  # which samples where the published script does
            pairs.append(("decoding", settings.decoding, protocol.decoding))
        for what, ours, theirs in dict.fromkeys(pairs):
            if theirs is not None and ours != theirs:
                run = ours or "not recorded"
                if what == "fit" and case.row is not None and case.row.n_marks_lost:
                    run += f", which loses a mark in {case.row.n_marks_lost:,} samples"
                words = _DECODING if what == "decoding" else {}
                yield Difference(what=what, run=run, published=words.get(theirs, theirs))
    yield from _polygon_differences(case)
    yield from _size_differences(case)
    yield from _judge_differences(case)
    for task in dict.fromkeys((case.number.task, *case.parts)):
        ran, current = manifest.tasks[task].version, _version(task)
        if ran != current:
            text = f"version {current}, the one of this vipbench"
            yield Difference(what="task version", run=f"{task} version {ran}", published=text)


def _checkpoint_differences(case: _Case) -> Iterable[Difference]:
    """Yield in how far it is not certain that the published checkpoint itself was run."""
    manifest, matched = case.result.manifest, case.matched
    if matched is None:
        return
    model = manifest.identity.model
    if matched.by != "id":
        how = "by --system" if matched.by == "option" else "by its name only"
        text = f"{model}, taken for it {how}"
        yield Difference(what="checkpoint", run=text, published=matched.model)
    if manifest.converted_from is not None:
        text = f"{model}, converted from {manifest.converted_from}"
        yield Difference(what="conversion", run=text, published="the original")
    elif matched.model in case.number.models[1:]:
        text = f"{matched.model}, a conversion"
        yield Difference(what="conversion", run=text, published=case.number.models[0])


def _size_differences(case: _Case) -> Iterable[Difference]:
    """Yield which few samples lack a score, and how many the task has more or fewer."""
    row = case.row
    if row is None:
        return
    if row.n >= (1 - FEW) * _n_asked(row):
        for text in _missing(row):
            yield Difference(what="missing", run=text, published="another sample in its place")
    if _is_other_size(case, few=True):
        run = f"{row.n_expected:,} samples"
        yield Difference(what="samples", run=run, published=f"{case.number.n:,}")


def _polygon_differences(case: _Case) -> Iterable[Difference]:
    """Yield how many samples have a mark that the official code cannot draw (VCR)."""
    about = (case.number.task, case.style, case.metric)
    missing = _find(case.result.rows, *about, "polygons=missing")
    complete = _find(case.result.rows, *about, "polygons=complete")
    if missing is not None:
        text = f"{_n_asked(missing):,} samples have a mark drawn from a box for want of a polygon"
        if complete is not None and complete.accuracy is not None:
            text += f" ({100 * complete.accuracy:.2f} % without them)"
        published = "random other questions in their places"
        yield Difference(what="polygons", run=text, published=published)


def _judge_differences(case: _Case) -> Iterable[Difference]:
    published = case.protocol.judge_runs
    if case.metric == JUDGE_METRIC and published is not None:
        facts = [_judge_facts(run.folder) for run in case.result.runs]
        for n_runs in dict.fromkeys(each.n_runs for each in facts if each is not None):
            if n_runs != published:
                ours = "not recorded" if n_runs is None else str(n_runs)
                yield Difference(what="runs of the judge", run=ours, published=str(published))


@cache
def _version(task: str) -> int:
    return load_task(task).version


def _disagreeing(number: Published, file: Registry) -> Iterable[Published]:
    """Yield other published values of the same thing that differ by more than rounding."""
    style = file.protocols[number.protocol].style
    for other in file.numbers:
        same_system = other.system == number.system or bool({*other.models} & {*number.models})
        if (
            same_system
            and (other.task, other.split) == (number.task, number.split)
            and (other.metric, other.group) == (number.metric, number.group)
            and file.protocols[other.protocol].style == style
        ):
            unit = 10.0 ** -min(_decimals(other.value), _decimals(number.value))
            if abs(other.value - number.value) > unit / 2 + 1e-9:
                yield other


def _decimals(value: float) -> int:
    return len(repr(value).partition(".")[2])


# --- what is printed and written


def write(found: Reproduction, out: Path) -> list[Path]:
    """Write `reproduce.md` and `reproduce.json` to a folder; returns the paths written."""
    paths = [out / "reproduce.json", out / "reproduce.md"]
    store.write_json(paths[0], found.model_dump(mode="json"))
    store.write_text(paths[1], [_markdown(found)])
    return paths


def summary(found: Reproduction) -> str:
    """Say in one sentence what came out."""
    counts: dict[Verdict, int] = {
        verdict: len(found.verdicts(verdict)) for verdict in ("reproduced", "outside")
    }
    if not any(counts.values()):
        return "No published number is comparable with what was run."
    n = sum(counts.values())
    of = f"Of {n} comparable published number{'s' * (n != 1)}, "
    return f"{of}{counts['reproduced']} reproduced, {counts['outside']} outside."


_HEADER = ("task", "published", "value", "ours", "points", "verdict")


def table(found: Reproduction) -> Table:
    """Lay out all verdicts for a terminal; loses no letter in a narrow one."""
    made = Table(title=Text("published numbers, % [95 % interval]"), title_justify="left")
    for name in _HEADER:
        right = name in ("value", "ours", "points")
        made.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for each in found.comparisons:
        made.add_row(*map(Text, _cells(each)))
    return made


def _cells(each: Comparison) -> tuple[str, ...]:
    number = each.published
    group = "" if number.group == ALL else f" {number.group}"
    return (
        f"{number.task}{group}",
        number.system,
        f"{number.value:g}",
        _percent(each.ours),
        MISSING if each.points is None else f"{each.points:+.2f}",
        _verdict_text(each),
    )


def _verdict_text(each: Comparison) -> str:
    codes = dict.fromkeys(reason.code for reason in each.reasons)
    return f"{each.verdict}: {', '.join(codes)}" if codes else each.verdict


def _percent(ours: Ours | None) -> str:
    if ours is None or ours.accuracy is None or ours.ci_low is None or ours.ci_high is None:
        return MISSING
    return f"{100 * ours.accuracy:.2f} [{100 * ours.ci_low:.2f}, {100 * ours.ci_high:.2f}]"


def details(found: Reproduction) -> list[str]:
    """Return what stands under the table, line by line: all that a verdict rests on."""
    lines: list[str] = []
    for each in found.comparisons:
        lines.append(title(each))
        lines += [f"  {name:<10} {text}" for name, text in _facts(each)]
    lines += [_unlisted_text(each) for each in found.unlisted]
    return lines


def title(each: Comparison) -> str:
    """Name a published number and its verdict in one line."""
    number = each.published
    group = "" if number.group == ALL else f" {number.group}"
    return f"{number.task}{group}, {number.system} {number.value:g}: {each.verdict}"


def _facts(each: Comparison) -> list[tuple[str, str]]:
    """Return name and text of everything that is known of a comparison."""
    number = each.published
    facts = [("because", reason.text) for reason in each.reasons]
    facts.append(("run", f"{', '.join(each.runs)} ({each.model})"))
    if each.ours is not None:
        facts.append(("ours", _ours_text(each.ours, each.seeds)))
    if each.points is not None:
        facts.append(("difference", f"{each.points:+.2f} points"))
    facts.append(("source", _source(number)))
    if number.remarks:
        facts.append(("remark", number.remarks))
    facts += [
        ("differs", f"{each.what}: {each.run}; published: {each.published}")
        for each in each.differences
    ]
    facts += [
        ("disagrees", f"{other.value:g} ({other.system}): {_source(other)}")
        for other in each.disagreeing
    ]
    return facts


def _ours_text(ours: Ours, seeds: Sequence[int]) -> str:
    text = f"{_percent(ours)}, n {ours.n:,} of {ours.n_expected:,}, {ours.metric}, {ours.style}"
    if ours.spread is not None and ours.accuracy is not None:
        each = ", ".join(f"{100 * accuracy:.2f}" for accuracy in ours.by_seed)
        mean, spread = 100 * fmean(ours.by_seed), 100 * ours.spread
        text += f"; {mean:.2f} ± {spread:.2f} over {len(seeds)} seeds ({each})"
    return text


def _source(number: Published) -> str:
    parts = [number.source, number.table, number.url or "no address known"]
    return ", ".join(part for part in parts if part)


def _unlisted_text(each: Unlisted) -> str:
    reasons = "; ".join(reason.text for reason in each.reasons)
    head = f"{each.task}, {', '.join(each.runs)} ({each.model}): "
    if each.n == 0:
        text = "not comparable: no published number is known for this task"
    else:
        numbers = f"{each.n} published number{'s' * (each.n != 1)}"
        text = f"{numbers} of other systems not listed (--all lists them)"
        text = f"not comparable: {reasons}; {text}" if reasons else text
    return head + text


def _markdown(found: Reproduction) -> str:
    """Write the table, then a section on each number."""
    notes = [
        summary(found),
        "A published number is reproduced where it lies inside our 95 % interval, clustered by "
        f"image and widened by {found.widening:g} points on each side. Percent throughout.",
    ]
    parts = ["# Published numbers and these runs", *notes]
    if found.comparisons:
        lines = [_line(_HEADER), "|" + " --- |" * len(_HEADER)]
        lines += [_line(_cells(each)) for each in found.comparisons]
        parts.append("\n".join(lines))
    for each in found.comparisons:
        facts = [*_facts(each), ("published protocol", each.protocol.text)]
        items = "\n".join(f"- {name}: {_escaped(text)}" for name, text in facts)
        parts += [f"## {_escaped(title(each))}", items]
    if found.unlisted:
        items = "\n".join(f"- {_escaped(_unlisted_text(each))}" for each in found.unlisted)
        parts += ["## Not listed", items]
    return "\n\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|<`*])", r"\\\1", " ".join(text.split()))
