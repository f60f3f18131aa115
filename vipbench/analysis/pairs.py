"""Two runs, sample by sample: what can be paired, how it differs, why other things cannot be."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from vipbench import files
from vipbench.analysis.overlap import extend_samples, extend_tasks, listed, other_protocol
from vipbench.errors import RunError, nearest
from vipbench.report.names import Called, called, called_as
from vipbench.report.text import percent
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.differing import told
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.judge_file import (
    JUDGE_METRIC,
    JUDGE_METRICS,
    GradedBy,
    judge_labels,
    read_graded_by,
)
from vipbench.runfolder.lines import ScoreLine, Sharing
from vipbench.runfolder.manifest import CertificateRef, Manifest
from vipbench.runfolder.name_file import Name
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.progress import check_whole
from vipbench.runfolder.summary import Group
from vipbench.stats.comparisons import Paired, paired
from vipbench.stats.intervals import share_bound

SHOWN_IDS = 3
PARTIAL = "`vipbench compare --partial` takes what both have"
Overlap = Literal["all", "one", "any"]
"""What two runs must have in common; see `pair_runs`."""


class AskedSample(NamedTuple):
    """How a sample was asked, in digests short enough to be kept of each."""

    key: str
    """First 16 digits of the request's."""
    text: str
    """8 digits, of all turns; likewise the marks."""
    marks: str
    max_new_tokens: int


class Kept(NamedTuple):
    """What a baseline has of the files beside manifest and scores."""

    given: Name
    """What people call the run."""
    graded_by: GradedBy | None
    asked: Mapping[str, Mapping[str, AskedSample]]
    """Task -> sample id -> how it was asked under the headline style."""


class Side(NamedTuple):
    """One run, and which of its styles is compared."""

    folder: Path
    """Or the file of a baseline."""
    style: str | None
    """None: the headline style of each task."""
    manifest: Manifest
    lines: Mapping[tuple[str, str], Mapping[str, ScoreLine]]
    """(task, metric) -> sample id -> score; a task's headline metric comes first."""
    kept: Kept | None = None
    """None: a run folder."""

    @property
    def name(self) -> str:
        """Say which run and style this is, for readers."""
        return f"{self.folder}@{self.style}" if self.style else str(self.folder)

    @property
    def called(self) -> Called:
        """Read what people call the run."""
        if self.kept is not None:
            return called_as(self.kept.given, self.manifest)
        return called(self.folder, self.manifest)

    def is_same_run(self, other: "Side") -> bool:
        """Say whether the other one is this run, or its baseline."""
        if self.kept is None and other.kept is None:
            return self.folder.resolve() == other.folder.resolve()
        left_out = {"files", "tasks", "variables", "times", "notes"}
        one, two = (side.manifest.model_dump(exclude=left_out) for side in (self, other))
        return one == two

    def style_of(self, task: str) -> str:
        """Return the style whose scores of a task are compared."""
        return self.style or self.manifest.tasks[task].headline

    def permutes(self, task: str) -> bool:
        """Say whether the style moves the options, and with them the right letter."""
        name = self.style_of(task)
        styles_by_task = self.manifest.identity.styles.values()
        return any(
            style.name == name and style.kind == "permuted"
            for styles in styles_by_task
            for style in styles
        )

    @property
    def is_graded(self) -> bool:
        """Say whether a judge has given grades."""
        return any(metric in JUDGE_METRICS for _, metric in self.lines)

    def graded_by(self) -> GradedBy | None:
        """Read who graded; None where nobody did, or it is not known. RunError if it is broken."""
        if self.kept is not None:
            return self.kept.graded_by
        return read_graded_by(self.folder) if self.is_graded else None

    def headline_metric(self, task: str) -> str | None:
        """Return the metric that a task reports first; None where it was not scored."""
        return next((metric for name, metric in self.lines if name == task), None)


class Pair(NamedTuple):
    """One sample in two runs."""

    base: ScoreLine
    new: ScoreLine

    @property
    def values(self) -> tuple[float, float] | None:
        """The two scores; None where either is an error or has no grade."""
        if self.base.value is None or self.new.value is None:
            return None
        return self.base.value, self.new.value


class Pairing(NamedTuple):
    """One task and metric in two runs."""

    base: Side
    new: Side
    task: str
    metric: str
    pairs: tuple[Pair, ...]
    n_base_only: int
    """Samples that only one of the runs has, and that are left out."""
    n_new_only: int

    @property
    def styles(self) -> tuple[str, str]:
        """The style in either run."""
        return self.base.style_of(self.task), self.new.style_of(self.task)

    def by_group(self) -> Iterator[tuple[Group, Sequence[Pair]]]:
        """Yield the pairs of each value of each breakdown axis.

        A pair belongs to the values that its two lines share, or that one has and the other, for
        which the axis means nothing, cannot have (such as shapes under style `none`).
        """
        base_axes = self.base.manifest.tasks[self.task].breakdown
        new_axes = self.new.manifest.tasks[self.task].breakdown
        for axis in (axis for axis in base_axes if axis in new_axes):
            groups: dict[str, list[Pair]] = defaultdict(list)
            for pair in self.pairs:
                tags = [line.tags[axis] for line in pair if axis in line.tags]
                if all(values == tags[0] for values in tags):
                    for value in tags[0] if tags else ():
                        groups[value].append(pair)
            for value in sorted(groups, key=_natural):
                yield Group(axis, value), groups[value]


def _natural(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)


def split_side(text: str) -> tuple[Path, str | None]:
    """Split RUN or RUN@STYLE into the folder and the style; None where none is named."""
    folder = Path(text)
    if "@" not in text or folder.is_dir():
        return folder, None
    # The name of a folder or of a style may hold an @ too: the longest folder that exists.
    cuts = [(text[:i], text[i + 1 :]) for i, sign in enumerate(text) if sign == "@"]
    existing = [(path, named) for path, named in cuts if path and Path(path).is_dir()]
    path, style = (existing or cuts)[-1]
    return Path(path), style


def read_side(text: str, *, may_be_stopped: bool = False) -> Side:
    """Read RUN or RUN@STYLE: a finished run, under its headline styles or the one that is named.

    Raises:
        RunError: There is no such run, it has not ended or was stopped early, or has no such style.
    """
    folder, style = split_side(text)
    manifest = open_run(folder)
    if not may_be_stopped:
        check_whole(folder, manifest)
    if not (folder / SCORES).exists():
        raise RunError(
            f"{folder / SCORES}: does not exist: the run has not ended · give its command "
            "again to resume it"
        )
    known = {known.name for styles in manifest.identity.styles.values() for known in styles}
    if style is not None and style not in known:
        raise RunError(f"{folder}: has no style {style!r}{nearest(style, known)}")
    lines: dict[tuple[str, str], dict[str, ScoreLine]] = defaultdict(dict)
    sharing = Sharing()
    for line in files.read_lines(folder / SCORES, ScoreLine):
        if line.task not in manifest.tasks:
            raise RunError(
                f"{folder / SCORES}: holds scores of {line.task!r}, which is not a task of "
                f"the run · use `vipbench score {folder}` to redo it"
            )
        if line.style == (style or manifest.tasks[line.task].headline):
            lines[line.task, line.metric][line.id] = sharing.kept(line)
    return Side(folder, style, manifest, lines)


class Rounding(NamedTuple):
    """What rounding does to the scores of a run, by its numerics certificate."""

    certificate: CertificateRef | None
    """None: there is none, and `expected` and `upper` are 0 in float32, else not known."""
    expected: float | None
    """Share of the scores that rounding changes."""
    upper: float | None
    """Bound of this share."""
    words: str
    """For readers."""


def rounding_of(side: Side, tail: float) -> Rounding:
    """Say how many scores of a run rounding changes.

    The certificate is the one that the manifest names, else one that lies below the working
    directory by now. In float32 answers do not depend on the batch, and a certificate without flips
    says no more than that.

    Args:
        side: The run.
        tail: Probability that the share lies above the bound, at most.

    Raises:
        RunError: The certificate is broken.
    """
    manifest = side.manifest
    dtype = manifest.identity.settings.numbers
    certificate = manifest.certificate or manifests.find_certificate(
        manifest.settings_digest, manifest.device
    )
    exact = dtype in (None, "float32")
    if certificate is None:
        if exact:
            return Rounding(None, 0.0, 0.0, f"{side.name}: {dtype or 'no model'}, none")
        words = f"{side.name}: {dtype}, not known: no certificate (`vipbench certify` makes one)"
        return Rounding(None, None, None, words)
    upper = share_bound(certificate.n_rescored, certificate.n, tail)
    if exact and not certificate.n_flipped:
        upper = 0.0
    words = (
        f"{side.name}: {dtype}, changed {certificate.n_flipped:,} of {certificate.n:,} answers and "
        f"{certificate.n_rescored:,} scores (bound {percent(upper)} %) in {certificate.path}"
    )
    if certificate.batch_limit != manifest.batch_limit:
        words += f", in batches of {certificate.batch_limit}, not {manifest.batch_limit}"
    return Rounding(certificate, certificate.n_rescored / certificate.n, upper, words)


def pair_runs(
    base: Side, new: Side, *, metric: str | None = None, overlap: Overlap = "all"
) -> list[Pairing]:
    """Pair two runs on all of their tasks.

    Args:
        base: One run.
        new: The other; it may be the same one under another style.
        metric: None: the headline metric of each task.
        overlap: What they must have in common: `all` tasks and samples; `one`: all that one of
            them has, the other may have been extended, under the same protocol; `any`: something.

    Grades of different judges are not paired.

    Raises:
        RunError: They cannot be paired; the message says how they differ.
    """
    both = [task for task in base.manifest.tasks if task in new.manifest.tasks]
    _check_tasks(base, new, both, overlap)
    pairings, graders = [], (base.graded_by(), new.graded_by())
    for task in both:
        _check_task(base, new, task)
        name = metric or _headline_metric(base, new, task)
        if name in JUDGE_METRICS and graders[0] != graders[1]:
            continue
        if name and all((task, name) in side.lines for side in (base, new)):
            pairings.append(_pair_task(base, new, task, name, overlap))
    if not pairings and graders[0] != graders[1] and (metric or JUDGE_METRIC) in JUDGE_METRICS:
        labels = judge_labels(graders)
        who = f"the judge is {labels[graders[0]]} in one, {labels[graders[1]]} in the other"
        raise _refused(base, new, f"{who} · have both graded by one (`vipbench score`)")
    if not pairings:
        known = {name for side in (base, new) for _, name in side.lines}
        what = f"metric {metric!r}{nearest(metric, known)}" if metric else "task under these styles"
        raise RunError(f"{base.name} and {new.name}: no score of a common {what}")
    return pairings


def _check_tasks(base: Side, new: Side, both: Sequence[str], overlap: Overlap) -> None:
    """Refuse runs whose tasks differ by more than is allowed."""
    lone = {
        side.name: [task for task in side.manifest.tasks if task not in both]
        for side in (base, new)
    }
    missing = sorted(task for tasks in lone.values() for task in tasks)
    if not missing or (overlap == "any" and both):
        return
    what = f"tasks that only one of them has: {', '.join(missing)}"
    if overlap != "one":
        raise _refused(base, new, what, PARTIAL)
    if both and not all(lone.values()):
        _check_protocol(base, new, what, both)
        return
    commands = (
        extend_tasks(side.folder, side.manifest, lone[other.name])
        for side, other in ((new, base), (base, new))
        if side.kept is None
    )
    raise _refused(base, new, what, _extend(commands))


def _check_protocol(base: Side, new: Side, what: str, both: Sequence[str]) -> None:
    """Refuse runs that were asked in another way, where one of them has more than the other."""
    found = other_protocol(differences(base, new), both)
    if found:
        advice = "run both in one way, on the same tasks and samples"
        raise _refused(base, new, f"{what}; and the protocol differs: {told(found)}", advice)


def _extend(commands: Iterable[str]) -> str:
    """Advise to extend a run, by the first command that there is."""
    command = next(filter(None, commands), "")
    return f"extend one of them: `{command}` (…: its data and further options)" if command else ""


def _check_task(base: Side, new: Side, task: str) -> None:
    one, other = base.manifest.tasks[task], new.manifest.tasks[task]
    if one.version != other.version:
        versions = f"{task} is version {one.version} in one, {other.version} in the other"
        raise _refused(base, new, f"{versions} · run both with one version of the task")
    if one.synthetic != other.synthetic:
        raise _refused(base, new, f"{task} is synthetic data in one, real data in the other")


def _headline_metric(base: Side, new: Side, task: str) -> str | None:
    one, other = base.headline_metric(task), new.headline_metric(task)
    if one and other and one != other:
        shared = [name for of, name in base.lines if of == task and (of, name) in new.lines]
        advice = f"`vipbench compare --metric {shared[0]}` takes what both have" if shared else ""
        what = f"the metric of {task} is {one} in one, {other} in the other"
        raise _refused(base, new, what, advice)
    return one


def _check_samples(base: Side, new: Side, task: str, metric: str, overlap: Overlap) -> None:
    """Refuse runs whose samples of a task differ by more than is allowed."""
    base_lines, new_lines = base.lines[task, metric], new.lines[task, metric]
    base_only = [id_ for id_ in base_lines if id_ not in new_lines]
    new_only = [id_ for id_ in new_lines if id_ not in base_lines]
    lone, n_shared = [*base_only, *new_only], len(base_lines) - len(base_only)
    if not lone or (overlap == "any" and n_shared):
        return
    what = (
        f"{len(lone):,} samples of {task} are in one of them only, such as {_ids(lone)} "
        f"({len(base_lines):,} and {len(new_lines):,} samples)"
    )
    if overlap != "one":
        raise _refused(base, new, what, PARTIAL)
    if n_shared and not (base_only and new_only):
        _check_protocol(base, new, what, [task])
        return
    sides = sorted([(new, base, base_only), (base, new, new_only)], key=lambda each: len(each[2]))
    commands = (
        extend_samples(side.folder, side.manifest, other.manifest, missing)
        for side, other, missing in sides
        if side.kept is None
    )
    raise _refused(base, new, what, _extend(commands))


def _pair_task(base: Side, new: Side, task: str, metric: str, overlap: Overlap) -> Pairing:
    base_lines, new_lines = base.lines[task, metric], new.lines[task, metric]
    _check_samples(base, new, task, metric, overlap)
    shared = [id_ for id_ in base_lines if id_ in new_lines]
    pairs = tuple(Pair(base_lines[id_], new_lines[id_]) for id_ in shared)
    permuted = base.permutes(task) or new.permutes(task)
    changed = [
        pair.base.id
        for pair in pairs
        if pair.base.group != pair.new.group
        or (pair.base.target != pair.new.target and not permuted)
    ]
    if changed:
        what = (
            f"{len(changed):,} samples of {task} have another image or another right answer, such "
            f"as {_ids(changed)}: the data differ"
        )
        raise _refused(base, new, what)
    return Pairing(
        base=base,
        new=new,
        task=task,
        metric=metric,
        pairs=pairs,
        n_base_only=len(base_lines) - len(shared),
        n_new_only=len(new_lines) - len(shared),
    )


def left_out_notes(pairings: Sequence[Pairing]) -> list[str]:
    """Say which samples of two runs are left out, since only one of them has them."""
    groups: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    for found in pairings:
        groups[len(found.pairs), found.n_base_only, found.n_new_only].append(found.task)
    notes = []
    for (n, *more), tasks in groups.items():
        whose = [
            f"{k:,} more are in {side.name} alone"
            for side, k in zip((pairings[0].base, pairings[0].new), more, strict=True)
            if k
        ]
        if whose:
            where = listed(tasks, [found.task for found in pairings])
            notes.append(f"{where}: on the {n:,} samples that both runs have; {', '.join(whose)}")
    return notes


def change(pairs: Iterable[Pair]) -> Paired | None:
    """Return the paired difference of what has a score in both runs; None where nothing has."""
    scored = [(pair.values, pair.base.group) for pair in pairs if pair.values is not None]
    values = [both for both, _ in scored if both is not None]
    if not values:
        return None
    base, new = zip(*values, strict=True)
    return paired(base, new, [cluster for _, cluster in scored])


def is_unparsed(line: ScoreLine) -> bool:
    """Say whether an answer counts as wrong because it could not be parsed."""
    return line.value is not None and line.answer is None


def _refused(base: Side, new: Side, difference: str, advice: str = "") -> RunError:
    parts = [f"{base.name} and {new.name} cannot be paired: {difference}", advice]
    return RunError(" · ".join(filter(None, parts)))


def _ids(ids: Iterable[str]) -> str:
    return ", ".join(list(ids)[:SHOWN_IDS])


def differences(base: Side, new: Side) -> list[str]:
    """List what differs between two runs, as `field: base → new`.

    Of the styles, only those that are compared under one name and are not the same one.
    """
    left_out = ("requests.", "styles.")  # the former follows from styles, seed and subset
    common = {
        f"styles.{task}.{base.style_of(task)}."
        for task in base.manifest.identity.styles
        if task in new.manifest.tasks and base.style_of(task) == new.style_of(task)
    }
    return [
        difference
        for difference in manifests.differences(base.manifest.identity, new.manifest.identity)
        if not difference.startswith(left_out) or difference.startswith(tuple(common))
    ]
