"""What every run begins with: the data of a selection -> samples -> requests.

A trial is one sample under one style. Opens no image beyond its header, and knows nothing about
models.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter

from vipbench.console import QUIET, Console
from vipbench.data.box_tally import CODES, BoxTally, refuse_file
from vipbench.data.samples import NOTHING_TO_ASK, inspect_image, load_samples
from vipbench.digests import file_digest
from vipbench.errors import DataError, TaskError, nearest
from vipbench.images.decode import image_header, safe_path
from vipbench.images.shapes.anchors import follows_outline, has_extent
from vipbench.prompts.controls import change
from vipbench.prompts.marks import seed_of
from vipbench.prompts.request import build_request
from vipbench.prompts.tags import prompt_tags
from vipbench.runfolder.manifest import trial_facts
from vipbench.schema import (
    DataSource,
    Problem,
    PromptStyle,
    Record,
    Replay,
    Request,
    Sample,
    TaskSpec,
    Trial,
)
from vipbench.spool import Spool
from vipbench.trials.selection import Selection, TaskChoice
from vipbench.trials.surrounded import BROKEN, surrounded
from vipbench.trials.texts import TextWarnings

KeptT = TypeVar("KeptT")

SHOWN_IDS = 5
OF_FILE = ("release", "old_labels")
"""Warnings of a file as a whole, whichever samples are asked: which release of the data it is."""
NOTED = (*CODES, *OF_FILE, "exif_not_applied", "box_without_area", "outline_outside_box")
"""Warnings that a run tells of, since marks may be drawn elsewhere than they are meant."""
KEPT_SAMPLES = 256
"""Samples whose regions others borrow that are kept in memory."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of a task once all its trials are made."""

    n_samples: int
    """Records of the full task, unusable ones included."""
    n_asked: int
    ids: frozenset[str]
    """Of all records of the task."""
    problems: Mapping[str, int]
    """Code -> errors and warnings of the samples that are asked."""
    errors: tuple[Problem, ...]
    """Samples that cannot be asked."""
    image_modes: Mapping[str, str]
    """Image -> the mode that it is stored in, where that is not RGB."""
    boxes_for_polygons: int
    """Marks that follow an outline, drawn from a box."""
    digest: str
    """sha256 of `trial_facts` of all trials."""
    texts_note: str
    """What in the texts that are sent looks wrong; empty: nothing."""
    n_several: int = 0
    """Requests that show several images."""
    several_styles: tuple[str, ...] = ()
    """Styles that show several images where a question is about one."""
    notes: tuple[str, ...] = ()
    """Warnings that a wrong score may come of, for the user: one line for each code."""


def make_trials(
    selection: Selection,
    keep: Callable[[Iterator[Trial]], KeptT],
    *,
    seed: int,
    limit: int | None = None,
    ids: Sequence[str] = (),
    subset_seed: int | None = None,
    replay: Replay | None = None,
    console: Console = QUIET,
) -> tuple[KeptT, dict[str, TaskFacts]]:
    """Make the trials of a run: task by task, style by style, samples in the order of the data.

    One trial is in memory at a time, beside what `keep` keeps; samples wait on the disk.

    Args:
        selection: what to ask.
        keep: takes all trials one after another, such as `list`, or a function that writes them.
        seed: of the run.
        limit: this many samples of each task, drawn by seed and id: the same ones under each
            style, and for both parts of a joint task. None: as many as the suite says, the same
            ones under each seed, unless there are `ids`.
        ids: only these samples; empty: all.
        subset_seed: draws the samples of `limit`; None: `seed` does.
        replay: as for `build_request`.
        console: shows bars.

    Returns:
        What `keep` returned, and what is known of each task now.

    Raises:
        DataError: a file of the data is broken, a task has no samples, or ids are unknown.
        TaskError: a style does not fit a task, or parts of a joint task have different samples.
        ValueError: `keep` did not take all trials.
    """
    facts: dict[str, TaskFacts] = {}

    def trials() -> Iterator[Trial]:
        for choice in selection.tasks:
            if limit is None and not ids:
                subset = _Subset(0, choice.limit)
            else:
                subset = _Subset(seed if subset_seed is None else subset_seed, limit, ids)
            name = choice.spec.name
            facts[name] = yield from _task_trials(choice, subset, seed, replay, console)

    kept = keep(trials())
    if len(facts) < len(selection.tasks):
        raise ValueError("make_trials: `keep` did not take all trials")
    _check_ids(ids, facts)
    for joint in selection.joints:
        _check_joint(joint, facts)
    return kept, facts


def _task_trials(
    choice: TaskChoice, subset: "_Subset", seed: int, replay: Replay | None, console: Console
) -> Generator[Trial, None, TaskFacts]:
    """Yield the trials of one task; the generator returns what is known of it at the end."""
    spec, source = choice.spec, choice.source
    tally = _Tally()
    with Spool(_RECORD) as spool, Spool(_INSPECTED) as inspected:
        # Data -> samples, and whether their images can be used.
        boxes = BoxTally()
        samples = load_samples(spec, source, boxes)
        bar = console.bar(f"{spec.name}: reading", samples, leave=False)
        records, warnings = _store(choice, bar, spool)
        of_file = boxes.problems(spec, source)
        refuse_file(spec.name, of_file)
        tally.warn(of_file)
        asked = subset.draw(records.ids)
        asked_ids = {records.ids[index] for index in asked}
        tally.warn(
            warning for warning in warnings if warning.id in asked_ids or warning.code in OF_FILE
        )
        for index in console.bar(f"{spec.name}: images", asked, leave=False):
            inspected.append(_inspect(records[index], source, tally))

        @lru_cache(maxsize=KEPT_SAMPLES)
        def usable(index: int) -> Sample | None:
            record = records[index]
            return inspect_image(record, source)[0] if isinstance(record, Sample) else None

        def other(number: int) -> Sample | None:
            """Return a sample of the whole task, whatever subset is asked, by a random number."""
            return usable(number % len(records))

        # Samples -> requests.
        digest = hashlib.sha256()
        for style in choice.styles:
            for record in inspected:
                sample = record.sample
                if sample is not None:
                    sample = change(sample.model_copy(update={"task": spec}), style, seed, other)
                    if choice.is_asked:
                        record, sample = _with_colors(record, sample, style, source, tally)
                if sample is None:
                    trial = _failed_trial(spec, style, record)
                else:
                    request = build_request(
                        sample,
                        style,
                        seed,
                        fit=choice.fit,
                        image_digest=record.image_digests,
                        replay=replay,
                    )
                    tally.boxes_for_polygons += n_drawn_from_box(request)
                    tally.n_several += bool(request.images)
                    if request.images and not sample.images:
                        tally.several_styles.setdefault(style.name)
                    tally.texts.add(sample, style, request)
                    trial = _trial(spec, style, sample, request)
                digest.update(trial_facts(trial))
                yield trial
    return TaskFacts(
        n_samples=len(records),
        n_asked=len(asked),
        ids=frozenset(records.ids),
        problems=tally.problems + tally.texts.counts,
        errors=tuple(tally.errors),
        image_modes=tally.image_modes,
        boxes_for_polygons=tally.boxes_for_polygons,
        n_several=tally.n_several,
        several_styles=tuple(tally.several_styles),
        digest=digest.hexdigest(),
        texts_note=tally.texts.note(spec.name),
        notes=tally.notes(spec.name),
    )


class _Inspected(Record):
    """A record of the data whose image has been looked at."""

    record: Sample | Problem
    error: str | None = None
    """Why it cannot be asked."""
    image_digests: tuple[str, ...] = ()
    """sha256 of each image's file, in order."""

    @property
    def sample(self) -> Sample | None:
        """The record, if it can be asked."""
        return self.record if isinstance(self.record, Sample) and self.error is None else None


_RECORD: TypeAdapter[Sample | Problem] = TypeAdapter(Sample | Problem)
_INSPECTED = TypeAdapter(_Inspected)


class _Warning(NamedTuple):
    """What is kept of a warning until it is known which samples are asked."""

    id: str
    code: str
    message: str
    """Empty where nobody is told of it."""


class _Tally:
    """What is counted while the trials of a task are made."""

    def __init__(self) -> None:
        self.problems: Counter[str] = Counter()
        self.errors: list[Problem] = []
        self.image_modes: dict[str, str] = {}
        self.boxes_for_polygons = 0
        self.n_several = 0
        self.several_styles: dict[str, None] = {}
        self.texts = TextWarnings()
        self._noted: dict[str, Problem | _Warning] = {}
        self._found: dict[str, _Inspected] = {}

    def warn(self, warnings: Iterable[Problem | _Warning]) -> None:
        """Count warnings, and keep the first of each code that the user is told of."""
        for warning in warnings:
            self.problems[warning.code] += 1
            if warning.code in NOTED:
                self._noted.setdefault(warning.code, warning)

    def notes(self, task: str) -> tuple[str, ...]:
        """Say how many warnings of each code there are that the user is told of."""
        return tuple(
            f"{task}: {self.problems[code]:,} x {code}, such as {first.id}: {first.message}"
            for code, first in self._noted.items()
        )

    def fail(self, record: Sample | Problem, problem: Problem) -> _Inspected:
        """Count a record that cannot be asked."""
        self.problems[problem.code] += 1
        self.errors.append(problem)
        return _Inspected(record=record, error=f"{problem.code}: {problem.message}")

    def fail_once(self, record: Sample | Problem, problem: Problem) -> _Inspected:
        """Count a record that a style finds it cannot ask, if no style before it has."""
        if problem.id not in self._found:
            self._found[problem.id] = self.fail(record, problem)
        return self._found[problem.id]


# --- samples


class _Records:
    """All records of one task in the order of the data, on the disk; each has its own id."""

    def __init__(self, spec: TaskSpec, spool: Spool[Sample | Problem], ids: Sequence[str]) -> None:
        self._spec, self._spool, self.ids = spec, spool, ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample | Problem:
        record = self._spool[index]
        if isinstance(record, Sample):
            return record.model_copy(update={"task": self._spec})
        return record.model_copy(update={"id": self.ids[index]})


class _Subset(NamedTuple):
    """Which samples of a task are asked."""

    seed: int
    limit: int | None
    """This many, drawn by seed and id; None: all."""
    ids: Sequence[str] = ()
    """Only these; empty: any."""

    def draw(self, ids: Sequence[str]) -> list[int]:
        """Return the indices of the records that are asked, in the order of the data."""
        wanted = set(self.ids)
        chosen = [index for index, id_ in enumerate(ids) if not wanted or id_ in wanted]
        if self.limit is None or self.limit >= len(chosen):
            return chosen
        order = sorted(
            chosen, key=lambda index: (seed_of(self.seed, "limit", ids[index]), ids[index])
        )
        return sorted(order[: self.limit])


def _store(
    choice: TaskChoice, records: Iterable[Sample | Problem], spool: Spool[Sample | Problem]
) -> tuple[_Records, list[_Warning]]:
    """Put usable and unusable records on the disk; also return the warnings."""
    ids: list[str] = []
    unusable: list[int] = []
    warnings = []
    for record in records:
        if isinstance(record, Problem) and record.warning:
            message = record.message if record.code in NOTED else ""
            warnings.append(_Warning(record.id, record.code, message))
            continue
        if isinstance(record, Sample) and record.answer_only and choice.is_asked:
            where = f"{choice.spec.name}: {choice.source.questions}"
            raise DataError(f"{where}: {NOTHING_TO_ASK}")
        index = spool.append(record)
        # A copy: the string of the file would keep the block of memory around it, with all the
        # rest of the file, from being given back.
        ids.append(record.id.encode().decode())
        unusable += [index] if isinstance(record, Problem) else []
    if not ids:
        raise DataError(f"{choice.spec.name}: {choice.source.questions} holds no samples")
    return _Records(choice.spec, spool, _unique(ids, unusable)), warnings


def _unique(ids: Sequence[str], unusable: Sequence[int]) -> list[str]:
    """Give each record an id of its own: a line in each file is named by it.

    Samples keep theirs, which differ; problems with an id that is taken get a number.
    """
    problems = set(unusable)
    taken = {id_ for index, id_ in enumerate(ids) if index not in problems}
    unique = list(ids)
    for index in unusable:
        copies = (f"{ids[index]}#{n}" for n in itertools.count(2))
        names = itertools.chain([ids[index]], copies)
        unique[index] = next(name for name in names if name not in taken)
        taken.add(unique[index])
    return unique


def _inspect(record: Sample | Problem, source: DataSource, tally: _Tally) -> _Inspected:
    """Check a sample's images, and digest them."""
    if isinstance(record, Problem):
        return tally.fail(record, record)
    if record.answer_only:
        return _Inspected(record=record)
    sample, problems = inspect_image(record, source)
    tally.warn(problem for problem in problems if problem.warning)
    error = next((problem for problem in problems if not problem.warning), None)
    if error is not None:
        return tally.fail(record, error)
    if sample is None:
        raise ValueError(f"{record.id}: unusable, and no problem says why")
    digests = []
    for image in sample.all_images:
        path = safe_path(source.image_roots, image)
        mode = image_header(path).mode
        if mode != "RGB":
            tally.image_modes[image] = mode
        digests.append(file_digest(path))
    return _Inspected(record=sample, image_digests=tuple(digests))


# --- trials around requests


def _with_colors(
    record: _Inspected, sample: Sample, style: PromptStyle, source: DataSource, tally: _Tally
) -> tuple[_Inspected, Sample | None]:
    """Add the colours around a sample's regions, if its style needs them; None: they are broken."""
    try:
        return record, surrounded(sample, style, source.image_roots)
    except DataError as error:
        problem = Problem(id=sample.id, code=BROKEN, message=str(error))
        return tally.fail_once(record.record, problem), None


def n_drawn_from_box(request: Request) -> int:
    """Count the marks that follow an outline where only the box is known; points have none."""
    prompts = () if request.blind else request.visual_prompts
    return sum(
        follows_outline(prompt) and not prompt.region.polygons and has_extent(prompt.region)
        for prompt in prompts
    )


def _trial(spec: TaskSpec, style: PromptStyle, sample: Sample, request: Request) -> Trial:
    return Trial(
        task=spec.name,
        style=style.name,
        id=sample.id,
        request=request,
        kind=spec.kind,
        target=sample.target,
        group=sample.group,
        tags=sample.tags | prompt_tags(sample, style, request.visual_prompts),
        choice_ids=sample.choice_ids,
    )


def _failed_trial(spec: TaskSpec, style: PromptStyle, failed: _Inspected) -> Trial:
    """Make the trial of a record that cannot be asked, with what is known of it."""
    record = failed.record
    sample = record if isinstance(record, Sample) else None
    return Trial(
        task=spec.name,
        style=style.name,
        id=record.id,
        error=failed.error,
        kind=spec.kind,
        target=sample.target if sample else "",
        group=sample.group if sample else record.id,
        tags=sample.tags if sample else {},
    )


# --- what can be checked when all tasks are read


def _check_ids(ids: Sequence[str], facts: Mapping[str, TaskFacts]) -> None:
    known = frozenset[str]().union(*(task.ids for task in facts.values())) if ids else frozenset()
    unknown = sorted(set(ids) - known)
    if unknown:
        hint = nearest(unknown[0], known)
        if "did you mean" not in hint:  # of many ids that are all alike, none is listed
            hint = " · expected ids as `vipbench check` shows them"
        raise DataError(
            f"--ids {' '.join(unknown[:SHOWN_IDS])}: {len(unknown)} of {len(ids)} ids are in no "
            f"task of this run{hint}"
        )


def _check_joint(joint: TaskSpec, facts: Mapping[str, TaskFacts]) -> None:
    first, *others = tuple(joint.data)
    for other in others:
        differing = sorted(facts[first].ids ^ facts[other].ids)
        if differing:
            raise TaskError(
                f"{joint.name}: {first} and {other} differ in {len(differing)} ids, such as "
                f"{', '.join(differing[:SHOWN_IDS])} · expected the same samples in both parts"
            )
