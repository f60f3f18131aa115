"""How a run departs from the protocol of a published number.

Reasons make the two incomparable; differences are shown and do not decide.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from vipbench import files
from vipbench.analysis.reproduce.published import Published, Registry
from vipbench.analysis.reproduce.records import FEW, JUDGE_METRIC, Case, Difference, Reason
from vipbench.analysis.reproduce.results import Result, find_row
from vipbench.data.tasks import all_styles, load_task
from vipbench.errors import RunError, first_mistake
from vipbench.report.text import percent
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.manifest import IMPORTED, is_elsewhere
from vipbench.runfolder.summary import Row
from vipbench.schema import PromptStyle, Record


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


# --- why a number is not comparable


SYNTHETIC = Reason(code="synthetic", text="the data are synthetic, from the demo generator")


def reasons_against(case: Case) -> Iterable[Reason]:
    """Yield everything that keeps a number from being compared; nothing where it can be."""
    number, task = case.number, case.number.task
    if case.match is None:
        text = f"the number is about {number.system}, the run about {case.result.model}"
        yield Reason(code="system", text=text)
    if case.result.manifest.tasks[task].synthetic:
        yield SYNTHETIC
    yield from published_reasons(number, case.file)
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
        elif case.row.n == 0 and not case.row.n_asked:
            yield Reason(code="group", text=f"no sample of the run is of group {number.group}")


def published_reasons(number: Published, file: Registry) -> Iterable[Reason]:
    """Yield what keeps any run from being compared with a number."""
    if number.not_comparable is not None:
        yield Reason(code="published", text=number.not_comparable)
    split = file.splits[number.task]
    if number.split != split:
        text = f"published for split {number.split}, the task reads {split}"
        yield Reason(code="split", text=text)


def _is_other_size(case: Case, *, few: bool) -> bool:
    """Say whether a whole task has another size than published: by FEW at most, or by more."""
    n, whole, row = case.number.n, case.whole, case.row
    if n is None or whole is None or row is None or whole.n_asked < whole.n_expected:
        return False
    return row.n_expected != n and (abs(row.n_expected - n) <= FEW * n) == few


def shortcomings(result: Result, task: str) -> Iterable[Reason]:
    """Yield what keeps a result from being compared with any published number of a task."""
    run = result.manifest.tasks[task]
    if run.synthetic:
        yield SYNTHETIC
    row = next((r for r in result.rows if (r.task, r.style) == (task, run.headline)), None)
    if row is not None:
        yield from _lacking(row, row)


def _lacking(whole: Row, row: Row) -> Iterable[Reason]:
    """Yield which samples have no score: not asked, or more than FEW not answered or graded."""
    if whole.n_asked < whole.n_expected:
        text = f"{whole.n_asked:,} of {whole.n_expected:,} samples were asked"
        yield Reason(code="subset", text=text)
    if row.n < (1 - FEW) * row.n_asked:
        yield from (Reason(code="missing", text=text) for text in _missing(row))


def _missing(row: Row) -> list[str]:
    """Say how many samples have no score, and why."""
    counts = (
        (row.n_errors, "no answer"),
        (row.n_filtered, "a filtered answer"),
        (row.n_ungraded, "no grade"),
    )
    return [f"{n:,} of {row.n_asked:,} samples have {what}" for n, what in counts if n]


def _judge_reasons(case: Case) -> Iterable[Reason]:
    """Yield how the grading differs from what was published; a reason only once for all runs."""
    published = case.protocol.judge
    texts: list[str] = []
    for run in case.result.runs:
        facts = _judge_facts(run.folder)
        if facts is None:
            texts.append(f"who graded is unknown: {run.folder / JUDGE} does not exist")
        elif not facts.comparable:
            texts += facts.not_comparable or ("it was graded in another way than published",)
        elif published is not None and facts.names != {published}:
            names = ", ".join(sorted(facts.names)) or "nobody known"
            texts.append(f"graded by {names}, published with {published}")
    for text in dict.fromkeys(texts):
        yield Reason(code="judge", text=text)


def _judge_facts(folder: Path) -> _JudgeFacts | None:
    path = folder / JUDGE
    if not path.exists():
        return None
    try:
        return _JudgeFacts.model_validate(files.read_json(path))
    except ValidationError as error:
        raise RunError(f"{path}: {first_mistake(error)} · judge the run again") from error


def _style_reasons(case: Case) -> Iterable[Reason]:
    """Yield how the run's marks differ from the published ones."""
    wanted = case.protocol.style
    if wanted is None:
        return
    if case.style != wanted:
        if _is_elsewhere(case):  # a difference, like the rest of what is not known of it
            return
        text = f"the run has style {case.style}, published is {wanted}"
        yield Reason(code="style", text=text)
        return
    styles = case.result.manifest.identity.styles
    used = [style for part in case.parts for style in styles.get(part, ())]
    if any(style.name == wanted and _bare(style) != _bare(all_styles()[wanted]) for style in used):
        text = f"style {wanted} of the run is another than that of this vipbench"
        yield Reason(code="style", text=text)


def _is_elsewhere(case: Case) -> bool:
    identity = case.result.manifest.identity
    return any(is_elsewhere(identity, part, case.style) for part in case.parts)


def _bare(style: PromptStyle) -> PromptStyle:
    """Return a style without its title, which is for readers only."""
    return style.model_copy(update={"title": ""})


# --- what differs all the same


_DECODING = {"official": "sampled at T = 0.2 without a seed"}


def protocol_differences(case: Case) -> Iterable[Difference]:
    """Yield what differs between run and publication without making them incomparable."""
    yield from _checkpoint_differences(case)
    manifest, protocol = case.result.manifest, case.protocol
    settings = manifest.identity.settings
    if manifest.identity.runner == IMPORTED:
        text = "imported; prompt, fit, decoding and dtype are unknown"
        yield Difference(what="answers", run=text, published="made by the script")
        if _is_elsewhere(case):
            text = "not known: the answers were made elsewhere"
            style = protocol.style or "not recorded"
            yield Difference(what="style", run=text, published=style)
    else:
        pairs = [
            ("prompt format", settings.prompt_format, protocol.prompt_format),
            *(("fit", manifest.tasks[part].fit, protocol.fit) for part in case.parts),
            ("dtype", settings.numbers, protocol.dtype),
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


def _checkpoint_differences(case: Case) -> Iterable[Difference]:
    """Yield in how far it is not certain that the published checkpoint itself was run."""
    manifest, match = case.result.manifest, case.match
    if match is None:
        return
    model = case.result.model
    if match.by != "id":
        how = "by --system" if match.by == "option" else "by its name only"
        text = f"{model}, taken for it {how}"
        yield Difference(what="checkpoint", run=text, published=match.model)
    if manifest.converted_from is not None:
        text = f"{model}, converted from {manifest.converted_from}"
        yield Difference(what="conversion", run=text, published="the original")
    elif match.model in case.number.models[1:]:
        text = f"{match.model}, a conversion"
        yield Difference(what="conversion", run=text, published=case.number.models[0])


def _size_differences(case: Case) -> Iterable[Difference]:
    """Yield which few samples lack a score, and how many the task has more or fewer."""
    row = case.row
    if row is None:
        return
    if row.n >= (1 - FEW) * row.n_asked:
        for text in _missing(row):
            yield Difference(what="missing", run=text, published="another sample in its place")
    if _is_other_size(case, few=True):
        run = f"{row.n_expected:,} samples"
        yield Difference(what="samples", run=run, published=f"{case.number.n:,}")


def _polygon_differences(case: Case) -> Iterable[Difference]:
    """Yield how many samples have a mark that the official code cannot draw (VCR)."""
    about = (case.number.task, case.style, case.metric)
    missing = find_row(case.result.rows, *about, "polygons=missing")
    complete = find_row(case.result.rows, *about, "polygons=complete")
    if missing is not None:
        text = f"{missing.n_asked:,} samples have a mark drawn from a box for lack of a polygon"
        if complete is not None and complete.accuracy is not None:
            text += f" ({percent(complete.accuracy, 2)} % without them)"
        published = "random other questions in their places"
        yield Difference(what="polygons", run=text, published=published)


def _judge_differences(case: Case) -> Iterable[Difference]:
    published = case.protocol.judge_runs
    if case.metric == JUDGE_METRIC and published is not None:
        facts = [_judge_facts(run.folder) for run in case.result.runs]
        for n_runs in dict.fromkeys(known.n_runs for known in facts if known is not None):
            if n_runs != published:
                ours = "not recorded" if n_runs is None else str(n_runs)
                yield Difference(what="runs of the judge", run=ours, published=str(published))


@cache
def _version(task: str) -> int:
    return load_task(task).version


def disagreeing_numbers(number: Published, file: Registry) -> Iterable[Published]:
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
