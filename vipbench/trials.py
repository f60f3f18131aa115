"""From tasks and styles to the trials of a run: which samples are asked, under which styles.

Opens no image beyond its header, and knows nothing about models.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vipbench.controls import change
from vipbench.data import file_digest, image_header, locate, safe_path
from vipbench.errors import DataError, TaskError, nearest
from vipbench.manifest import trial_facts
from vipbench.prompts import build_request, prompt_tags
from vipbench.schema import (
    DataSource,
    ExtraMetric,
    Fit,
    Problem,
    PromptFormat,
    PromptStyle,
    Replay,
    Sample,
    Suite,
    TaskSpec,
    Trial,
)
from vipbench.styles import parse_styles, seed_of
from vipbench.tasks import all_styles, inspect_image, load_samples, load_suite, load_task

CUSTOM = "custom"
"""What stands for the suite's name where tasks are listed without one."""
DEFAULT_BREAKDOWN: tuple[str, ...] = Suite.model_fields["breakdown"].default
DRAWN_KINDS = ("marks", "none", "blind", "coordinates", "wrong", "shuffled", "permuted")
"""Kinds of styles that suit a task whose images hold no marks."""
SHOWN_IDS = 5

Watch = Callable[[Iterable[Sample | Problem], str], Iterable[Sample | Problem]]
"""Wraps a loop to show how far it is; the second argument says what it does."""


class TaskChoice(NamedTuple):
    """One task to ask, and how."""

    spec: TaskSpec
    source: DataSource
    styles: tuple[PromptStyle, ...]
    headline: str
    """Name of the headline style."""
    fit: Fit
    limit: int | None = None
    """Samples that the suite asks of the task; None: all."""


class Selection(NamedTuple):
    """What a run asks."""

    suite: str
    tasks: tuple[TaskChoice, ...]
    joints: tuple[TaskSpec, ...]
    """Tasks that are scored from others."""
    prompt_format: PromptFormat | None
    """Of the suite; so are the next two."""
    metrics: tuple[ExtraMetric, ...]
    breakdown: tuple[str, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""


class _Asked(NamedTuple):
    """A record, why it cannot be asked, and the sha256 of its image."""

    record: Sample | Problem
    error: str | None
    image_digest: str


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
    """Image -> the mode that it is stored in."""
    boxes_for_polygons: int = 0
    """Marks that follow an outline, drawn from a box."""
    digest: str = ""
    """sha256 of `trial_facts` of all trials."""

    def fail(self, record: Sample | Problem, problem: Problem) -> _Asked:
        """Note that a record cannot be asked."""
        self.problems[problem.code] += 1
        self.errors.append(problem)
        return _Asked(record, f"{problem.code}: {problem.message}", "")


def select(
    *,
    suite: str | None = None,
    tasks: Sequence[str] = (),
    styles: str | None = None,
    data: Mapping[str, DataSource],
    include: Sequence[Path] = (),
    fit: Fit | None = None,
    fit_hint: Fit | None = None,
) -> Selection:
    """Resolve names to tasks, data and styles.

    Args:
        suite: name; gives tasks, styles and fit where they are not given themselves.
        tasks: names; a joint task brings its parts.
        styles: expression as for `--styles`.
        data: where the data of each key lie.
        include: further folders of task files.
        fit: for all tasks.
        fit_hint: for tasks that say nothing themselves: the checkpoint's.

    Raises:
        TaskError: unknown or broken tasks, suites or styles, or nothing is left to ask.
        DataError: the data of a task are nowhere.
    """
    chosen = load_suite(suite, include) if suite else None
    names = tuple(tasks) or (chosen.tasks if chosen else ())
    if not names:
        raise TaskError("no task: give --tasks or --suite; `vipbench ls tasks` lists them")
    asked, joints = _expand([load_task(name, include) for name in names], include)
    known = all_styles(include)
    notes: list[str] = []
    choices = []
    for spec in asked:
        kept, headline, left_out = _task_styles(spec, chosen, styles, known)
        if left_out:
            notes.append(f"{spec.name}: {_why_left_out(spec, left_out)}")
        if not kept:
            continue
        choices.append(
            TaskChoice(
                spec=spec,
                source=locate(str(spec.data), data, spec.path.parent if spec.path else None),
                styles=kept,
                headline=headline,
                fit=fit or (chosen.fit if chosen else None) or spec.fit or fit_hint or "pad",
                limit=_suite_limit(chosen, spec, joints) if chosen else None,
            )
        )
    if not choices:
        raise TaskError(f"nothing is left to ask: {'; '.join(notes)}")
    left = {choice.spec.name for choice in choices}
    return Selection(
        suite=chosen.name if chosen else CUSTOM,
        tasks=tuple(choices),
        joints=tuple(joint for joint in joints if left.issuperset(joint.data)),
        prompt_format=chosen.prompt_format if chosen else None,
        metrics=chosen.metrics if chosen else (),
        breakdown=chosen.breakdown if chosen else DEFAULT_BREAKDOWN,
        notes=tuple(notes),
    )


def _suite_limit(suite: Suite, spec: TaskSpec, joints: Sequence[TaskSpec]) -> int | None:
    """Return how many samples a suite asks of a task, itself or as a part of a joint one."""
    names = (spec.name, *(joint.name for joint in joints if spec.name in joint.data))
    return next((suite.limits[name] for name in names if name in suite.limits), None)


def _expand(
    specs: Sequence[TaskSpec], include: Sequence[Path]
) -> tuple[list[TaskSpec], list[TaskSpec]]:
    """Return the tasks to ask, each once, and the joint tasks."""
    asked: dict[str, TaskSpec] = {}
    joints: dict[str, TaskSpec] = {}
    for spec in specs:
        if spec.kind != "joint":
            asked.setdefault(spec.name, spec)
            continue
        joints[spec.name] = spec
        for name in spec.data:
            part = load_task(name, include)
            if part.kind == "joint":
                raise TaskError(f"{spec.path}: {name!r} is joint itself; join plain tasks")
            asked.setdefault(name, part)
    return list(asked.values()), list(joints.values())


def _task_styles(
    spec: TaskSpec,
    suite: Suite | None,
    expression: str | None,
    known: Mapping[str, PromptStyle],
) -> tuple[tuple[PromptStyle, ...], str, list[PromptStyle]]:
    """Return the styles of one task, the name of its headline style, and what was left out."""
    own = parse_styles(spec.styles[0], known)[0] if spec.styles else None
    marked = own is not None and _is_marked(spec, known)
    headline = own
    if suite and suite.styles and not marked:
        headline = parse_styles(suite.styles[0], known, own)[0]
    wanted = expression
    if wanted is None:
        wanted = ",".join((suite.styles if suite else ()) or spec.styles[:1])
        if not wanted:
            raise TaskError(f"{spec.path}: has no 'styles'; name one there, or give --styles")
    styles = parse_styles(wanted, known, headline)
    fitting = ("given", "blind") if marked else DRAWN_KINDS
    kept = tuple(
        style
        for style in styles
        if style.kind in fitting and (style.kind != "permuted" or spec.kind == "choice")
    )
    names = [style.name for style in kept]
    first = headline.name if headline and headline.name in names else "".join(names[:1])
    return kept, first, [style for style in styles if style not in kept]


def _is_marked(spec: TaskSpec, known: Mapping[str, PromptStyle]) -> bool:
    """Say whether the marks of a task are in its images already."""
    kinds = {parse_styles(name, known)[0].kind for name in spec.styles}
    return kinds <= {"given", "blind"}


def _why_left_out(spec: TaskSpec, styles: Sequence[PromptStyle]) -> str:
    names = ", ".join(style.name for style in styles)
    names = f"style{'s' if len(styles) > 1 else ''} {names} left out"
    kinds = {style.kind for style in styles}
    if "given" in kinds:
        return f"{names}, since its images hold no marks"
    if kinds == {"permuted"}:
        return f"{names}, since it has no options"
    return f"{names}, since its images hold their marks already (it takes given and blind)"


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

    Only one task's samples are in memory at a time. `facts` is filled along the way, and complete
    at the end.

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
        records, warnings = _read(choice, watch)
        if ids:
            known.update(record.id for record in records)
        if name in parts:
            ids_of[name] = frozenset(record.id for record in records)
        if limit is None and not ids:
            asked = _subset(records, 0, choice.limit, ids)
        else:
            asked = _subset(records, seed if subset_seed is None else subset_seed, limit, ids)
        all_ids = frozenset(record.id for record in records)
        facts[name] = TaskFacts(n_samples=len(records), n_asked=len(asked), ids=all_ids)
        asked_ids = {record.id for record in asked}
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


def _read(choice: TaskChoice, watch: Watch) -> tuple[list[Sample | Problem], list[tuple[str, str]]]:
    """Read a task; return usable and unusable records in order, and warnings as (id, code)."""
    records: list[Sample | Problem] = []
    warnings = []
    for record in watch(load_samples(choice.spec, choice.source), f"{choice.spec.name}: reading"):
        if isinstance(record, Problem) and record.warning:
            warnings.append((record.id, record.code))
        else:
            records.append(record)
    if not records:
        raise DataError(f"{choice.spec.name}: {choice.source.questions} holds no samples")
    return _renamed(records), warnings


def _renamed(records: Sequence[Sample | Problem]) -> list[Sample | Problem]:
    """Give a name of its own to each record: a line in each file is named by its id.

    Samples keep theirs, which differ; problems with an id that is taken get a number.
    """
    taken = {record.id for record in records if isinstance(record, Sample)}
    named: list[Sample | Problem] = []
    for record in records:
        if isinstance(record, Problem):
            copies = (f"{record.id}#{n}" for n in itertools.count(2))
            name = next(each for each in itertools.chain([record.id], copies) if each not in taken)
            taken.add(name)
            record = record.model_copy(update={"id": name})
        named.append(record)
    return named


def _subset(
    records: Sequence[Sample | Problem], seed: int, limit: int | None, ids: Sequence[str]
) -> list[Sample | Problem]:
    wanted = set(ids)
    chosen = [record for record in records if not wanted or record.id in wanted]
    if limit is None or limit >= len(chosen):
        return chosen
    lowest = sorted(chosen, key=lambda record: (seed_of(seed, "limit", record.id), record.id))
    kept = {record.id for record in lowest[:limit]}
    return [record for record in chosen if record.id in kept]


def _task_trials(
    choice: TaskChoice,
    records: Sequence[Sample | Problem],
    asked: Sequence[Sample | Problem],
    seed: int,
    facts: TaskFacts,
    replay: Replay | None,
    watch: Watch,
) -> Iterator[Trial]:
    state = hashlib.sha256()

    @cache
    def usable(place: int) -> Sample | None:
        record = records[place]
        return inspect_image(record, choice.source)[0] if isinstance(record, Sample) else None

    def other(number: int) -> Sample | None:
        """Return a sample of the whole task, whatever subset is asked, by a random number."""
        return usable(number % len(records))

    inspected = [
        _inspect(record, choice.source, facts)
        for record in watch(asked, f"{choice.spec.name}: images")
    ]
    for style in choice.styles:
        for record, error, image_digest in inspected:
            if isinstance(record, Sample) and error is None:
                changed = change(record, style, seed, other)
                trial = _trial(choice, style, seed, changed, image_digest, replay)
            else:
                trial = _failed(choice.spec, style, record, error)
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
    facts.image_modes[sample.image] = image_header(path).mode
    return _Asked(sample, None, file_digest(path))


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
