"""From tasks and styles to the trials of a run: which samples are asked, under which styles.

Opens no image beyond its header, and knows nothing about models.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic import TypeAdapter

from vipbench.data.samples import inspect_image, load_samples
from vipbench.digests import file_digest
from vipbench.errors import DataError, TaskError, nearest
from vipbench.images.decode import image_header, safe_path
from vipbench.prompts.controls import change
from vipbench.prompts.request import build_request, prompt_tags
from vipbench.prompts.styles import seed_of
from vipbench.runfolder.manifest import trial_facts
from vipbench.schema import (
    DataSource,
    Problem,
    PromptStyle,
    Record,
    Replay,
    Sample,
    TaskSpec,
    Trial,
)
from vipbench.spool import Spool
from vipbench.trials.selection import Selection, TaskChoice

SHOWN_IDS = 5
KEPT_SAMPLES = 256
"""Samples whose regions others borrow that are kept in memory."""

Watch = Callable[[Iterable[Sample | Problem], str], Iterable[Sample | Problem]]
"""Wraps a loop to show how far it is; the second argument says what it does."""


class _Asked(Record):
    """A record whose image has been looked at."""

    record: Sample | Problem
    error: str | None
    """Why it cannot be asked."""
    image_digest: str
    """sha256."""


_RECORD: TypeAdapter[Sample | Problem] = TypeAdapter(Sample | Problem)
_ASKED = TypeAdapter(_Asked)


class _Records:
    """Records of one task in the order of the data, which lie in a spool; each has its own id."""

    def __init__(
        self,
        spec: TaskSpec,
        spool: Spool[Sample | Problem],
        ids: Sequence[str],
        indices: Sequence[int],
    ) -> None:
        """Take all records of a task, their ids, and which of them this is about."""
        self._spec, self._spool, self._ids, self._indices = spec, spool, ids, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[Sample | Problem]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Sample | Problem:
        index = self._indices[number]
        record = self._spool[index]
        if isinstance(record, Sample):
            return record.model_copy(update={"task": self._spec})
        return record.model_copy(update={"id": self._ids[index]})

    @property
    def ids(self) -> list[str]:
        """Of each record."""
        return [self._ids[index] for index in self._indices]

    def part(self, numbers: Sequence[int]) -> "_Records":
        """Return some of these records."""
        indices = [self._indices[number] for number in numbers]
        return _Records(self._spec, self._spool, self._ids, indices)


@dataclass
class TaskFacts:
    """What is found out about a task while its trials are made."""

    n_samples: int
    """Records of the full task, unusable ones included."""
    n_asked: int
    ids: frozenset[str] = frozenset()
    """Of all records of the task."""
    problems: Counter[str] = field(default_factory=Counter)
    """Errors and warnings of the samples that are asked, by code."""
    errors: list[Problem] = field(default_factory=list)
    """Samples that cannot be asked."""
    image_modes: dict[str, str] = field(default_factory=dict)
    """Image -> the mode that it is stored in, where that is not RGB."""
    boxes_for_polygons: int = 0
    """Marks that follow an outline, drawn from a box."""
    digest: str = ""
    """sha256 of `trial_facts` of all trials."""

    def fail(self, record: Sample | Problem, problem: Problem) -> _Asked:
        """Note that a record cannot be asked."""
        self.problems[problem.code] += 1
        self.errors.append(problem)
        error = f"{problem.code}: {problem.message}"
        return _Asked(record=record, error=error, image_digest="")


def make_trials(
    selection: Selection,
    *,
    seed: int,
    limit: int | None,
    ids: Sequence[str],
    facts: dict[str, TaskFacts],
    subset_seed: int | None = None,
    replay: Replay | None = None,
    watch: Watch = lambda loop, what: loop,
) -> Iterator[Trial]:
    """Yield the trials of a run: task by task, style by style, samples in the order of the data.

    Samples lie on the disk, of which one is in memory at a time, beside what a reader keeps.
    `facts` is filled along the way, and complete at the end.

    Args:
        selection: what to ask.
        seed: of the run.
        limit: this many samples of each task, drawn by seed and id: the same ones under each
            style, and for both parts of a joint task. None: as many as the suite says, the same
            ones under each seed, unless there are `ids`.
        ids: only these samples; empty: all.
        facts: empty; takes what is found out about each task.
        subset_seed: draws the samples of `limit`; None: `seed` does.
        replay: as for `build_request`.
        watch: shows how far the slow loops are.

    Raises:
        DataError: a file of the data is broken, a task has no samples, or ids are unknown.
        TaskError: a style does not fit a task, or parts of a joint task have different samples.
    """
    parts = {part for joint in selection.joints for part in joint.data}
    ids_of: dict[str, frozenset[str]] = {}
    known: set[str] = set()
    for choice in selection.tasks:
        name = choice.spec.name
        with Spool(_RECORD) as spool:
            records, warnings = _read(choice, spool, watch)
            all_ids = frozenset(records.ids)
            if ids:
                known |= all_ids
            if name in parts:
                ids_of[name] = all_ids
            if limit is None and not ids:
                asked = _subset(records, 0, choice.limit, ids)
            else:
                asked = _subset(records, seed if subset_seed is None else subset_seed, limit, ids)
            facts[name] = TaskFacts(n_samples=len(records), n_asked=len(asked), ids=all_ids)
            asked_ids = set(asked.ids)
            counted = [code for id_, code in warnings if id_ in asked_ids]
            facts[name].problems.update(counted)
            yield from _task_trials(choice, records, asked, seed, facts[name], replay, watch)
    unknown = sorted(set(ids) - known)
    if unknown:
        raise DataError(
            f"--ids {' '.join(unknown[:SHOWN_IDS])}: {len(unknown)} of {len(ids)} ids are in no "
            f"task of this run{_nearest_id(unknown[0], known)}"
        )
    for joint in selection.joints:
        _check_joint(joint, ids_of)


def _nearest_id(id_: str, known: Iterable[str]) -> str:
    """Suggest an id; of many that are all alike, none is listed."""
    hint = nearest(id_, known)
    return hint if "did you mean" in hint else "; expected ids as `vipbench check` shows them"


def _read(
    choice: TaskChoice, spool: Spool[Sample | Problem], watch: Watch
) -> tuple[_Records, list[tuple[str, str]]]:
    """Read a task; return usable and unusable records in order, and warnings as (id, code)."""
    ids: list[str] = []
    unusable: list[int] = []
    warnings = []
    for record in watch(load_samples(choice.spec, choice.source), f"{choice.spec.name}: reading"):
        if isinstance(record, Problem) and record.warning:
            warnings.append((record.id, record.code))
            continue
        index = spool.append(record)
        # A copy: the string of the file would keep the block of memory around it, with all the
        # rest of the file, from being given back.
        ids.append(record.id.encode().decode())
        unusable += [index] if isinstance(record, Problem) else []
    if not ids:
        raise DataError(f"{choice.spec.name}: {choice.source.questions} holds no samples")
    return _Records(choice.spec, spool, _renamed(ids, unusable), range(len(ids))), warnings


def _renamed(ids: Sequence[str], unusable: Sequence[int]) -> list[str]:
    """Give a name of its own to each record: a line in each file is named by its id.

    Samples keep theirs, which differ; problems with an id that is taken get a number.
    """
    problems = set(unusable)
    taken = {id_ for index, id_ in enumerate(ids) if index not in problems}
    named = list(ids)
    for index in unusable:
        copies = (f"{ids[index]}#{n}" for n in itertools.count(2))
        names = itertools.chain([ids[index]], copies)
        named[index] = next(each for each in names if each not in taken)
        taken.add(named[index])
    return named


def _subset(records: _Records, seed: int, limit: int | None, ids: Sequence[str]) -> _Records:
    wanted = set(ids)
    names = records.ids
    chosen = [number for number, id_ in enumerate(names) if not wanted or id_ in wanted]
    if limit is None or limit >= len(chosen):
        return records.part(chosen)
    order = sorted(
        chosen, key=lambda number: (seed_of(seed, "limit", names[number]), names[number])
    )
    return records.part(sorted(order[:limit]))


def _task_trials(
    choice: TaskChoice,
    records: _Records,
    asked: _Records,
    seed: int,
    facts: TaskFacts,
    replay: Replay | None,
    watch: Watch,
) -> Iterator[Trial]:
    state = hashlib.sha256()

    @lru_cache(maxsize=KEPT_SAMPLES)
    def usable(number: int) -> Sample | None:
        record = records[number]
        return inspect_image(record, choice.source)[0] if isinstance(record, Sample) else None

    def other(number: int) -> Sample | None:
        """Return a sample of the whole task, whatever subset is asked, by a random number."""
        return usable(number % len(records))

    with Spool(_ASKED) as inspected:
        for record in watch(asked, f"{choice.spec.name}: images"):
            inspected.append(_inspect(record, choice.source, facts))
        for style in choice.styles:
            for each in inspected:
                if isinstance(each.record, Sample) and each.error is None:
                    sample = each.record.model_copy(update={"task": choice.spec})
                    changed = change(sample, style, seed, other)
                    trial = _trial(choice, style, seed, changed, each.image_digest, replay)
                else:
                    trial = _failed(choice.spec, style, each.record, each.error)
                if trial.request is not None and not trial.request.blind:
                    facts.boxes_for_polygons += sum(
                        prompt.shape != "rectangle" and not prompt.region.polygons
                        for prompt in trial.request.visual_prompts
                    )
                state.update(trial_facts(trial))
                yield trial
    facts.digest = state.hexdigest()


def _inspect(record: Sample | Problem, source: DataSource, facts: TaskFacts) -> _Asked:
    """Check a sample's image, and digest it."""
    if isinstance(record, Problem):
        return facts.fail(record, record)
    sample, problems = inspect_image(record, source)
    facts.problems.update(problem.code for problem in problems if problem.warning)
    error = next((problem for problem in problems if not problem.warning), None)
    if error is not None:
        return facts.fail(record, error)
    if sample is None:
        raise ValueError(f"{record.id}: unusable, and no problem says why")
    path = safe_path(source.images, sample.image)
    mode = image_header(path).mode
    if mode != "RGB":
        facts.image_modes[sample.image] = mode
    return _Asked(record=sample, error=None, image_digest=file_digest(path))


def _failed(
    spec: TaskSpec, style: PromptStyle, record: Sample | Problem, error: str | None
) -> Trial:
    """Make the trial of a sample that cannot be asked, with what is known of it."""
    sample = record if isinstance(record, Sample) else None
    return Trial(
        task=spec.name,
        style=style.name,
        id=record.id,
        error=error,
        kind=spec.kind,
        target=sample.target if sample else "",
        group=sample.group if sample else record.id,
        tags=sample.tags if sample else {},
    )


def _trial(
    choice: TaskChoice,
    style: PromptStyle,
    seed: int,
    sample: Sample,
    image_digest: str,
    replay: Replay | None,
) -> Trial:
    spec = choice.spec
    try:
        request = build_request(
            sample, style, seed, fit=choice.fit, image_digest=image_digest, replay=replay
        )
    except TaskError as error:
        known = spec.name in str(error)
        raise error if known else TaskError(f"{spec.name}: {error}") from error
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


def _check_joint(joint: TaskSpec, ids_of: Mapping[str, frozenset[str]]) -> None:
    first, *others = tuple(joint.data)
    for other in others:
        differing = sorted(ids_of[first] ^ ids_of[other])
        if differing:
            raise TaskError(
                f"{joint.name}: {first} and {other} differ in {len(differing)} ids, such as "
                f"{', '.join(differing[:SHOWN_IDS])}; expected the same samples in both parts"
            )
