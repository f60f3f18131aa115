"""What a run asks: names of suites, tasks and styles -> specs, data, styles and fits."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from vipbench.data.locate import check_keys, not_found
from vipbench.data.suites import Suite
from vipbench.data.task_data import locate_task
from vipbench.data.tasks import all_styles, data_keys, load_suite, load_task
from vipbench.errors import DataNotFound, TaskError
from vipbench.prompts.expressions import parse_styles
from vipbench.schema import (
    DataSource,
    ExtraMetric,
    Fit,
    ImageRoots,
    PromptFormat,
    PromptStyle,
    Rule,
    StyleKind,
    TaskSpec,
)

CUSTOM = "custom"
"""What stands for the suite's name where tasks are listed without one."""
DEFAULT_BREAKDOWN: tuple[str, ...] = Suite.model_fields["breakdown"].default
DRAWN_KINDS = tuple(kind for kind in get_args(StyleKind) if kind != "given")
"""Kinds of styles that suit a task whose images hold no marks."""
MARKED_KINDS = ("given", "blind", "elsewhere")
"""Kinds of styles that suit a task whose images hold their marks."""


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
    fit_from: str = ""
    """Who says how its images are fitted, such as `suite paper`."""
    rule: Rule | None = None
    """The suite's or the task's; None: neither says how answers are read."""
    is_asked: bool = True
    """False: the answers are there already, and no image is needed."""


class Selection(NamedTuple):
    """What a run asks."""

    suite: str
    tasks: tuple[TaskChoice, ...]
    joints: tuple[TaskSpec, ...]
    """Tasks that are scored from others."""
    prompt_format: PromptFormat | None
    """The suite's, if it names one."""
    metrics: tuple[ExtraMetric, ...]
    """The suite's: reported beside the headline metric."""
    breakdown: tuple[str, ...]
    """The suite's: tags that every task is broken down by."""
    notes: tuple[str, ...]
    """What was left out, and why."""

    @property
    def images(self) -> dict[str, ImageRoots]:
        """Task -> the folder of its images, or several."""
        return {choice.spec.name: choice.source.image_roots for choice in self.tasks}


def select(
    *,
    suite: str | None = None,
    tasks: Sequence[str] = (),
    styles: str | Mapping[str, str | None] | None = None,
    data: Mapping[str, DataSource],
    include: Sequence[Path] = (),
    fit: Fit | None = None,
    fit_hint: Fit | None = None,
    fit_hint_from: str = "the model",
    find: Callable[[TaskSpec, Mapping[str, DataSource]], DataSource] = locate_task,
) -> Selection:
    """Resolve names to tasks, data and styles.

    Args:
        suite: name; gives tasks, styles and fit where they are not given themselves.
        tasks: names; a joint task brings its parts.
        styles: expression as for `--styles`; or one for each task whose answers are there already,
            which alone may be under `elsewhere`.
        data: where the data of each key lie.
        include: further folders of task files.
        fit: for all tasks.
        fit_hint: for tasks that say nothing themselves: the checkpoint's.
        fit_hint_from: where the checkpoint says so, in words.
        find: finds the data of a task.

    Raises:
        TaskError: a task, suite or style is unknown or broken, or no task is left to run.
        DataError: a key of `data` is none that any known task uses; or the data of a task cannot
            be used.
        DataNotFound: some data cannot be found; names all of them, and the tasks that are left.
    """
    chosen = load_suite(suite, include) if suite else None
    asked, joints = _expand(tuple(tasks) or (chosen.tasks if chosen else ()), include)
    check_keys(data, [str(spec.data) for spec in asked], lambda: data_keys(include))
    known = all_styles(include)
    notes: list[str] = []
    choices = []
    missing: dict[str, str] = {}
    for spec in asked:
        is_asked = not isinstance(styles, Mapping)
        wanted = styles.get(spec.name) if isinstance(styles, Mapping) else styles
        kept, headline, left_out = _task_styles(spec, chosen, wanted, known)
        if is_asked:
            _refuse_elsewhere(spec, kept)
        if left_out:
            notes.append(f"{spec.name}: {_why_left_out(spec, left_out)}")
        if not kept:
            continue
        try:
            source = find(spec, data)
        except DataNotFound:
            missing[spec.name] = str(spec.data)
            continue
        chosen_fit, fit_from = _choose_fit(fit, chosen, spec, (fit_hint, fit_hint_from))
        choices.append(
            TaskChoice(
                spec=spec,
                source=source,
                styles=kept,
                headline=headline,
                fit=chosen_fit,
                fit_from=fit_from,
                limit=_suite_limit(chosen, spec, joints) if chosen else None,
                rule=(chosen.rule if chosen else None) or spec.rule,
                is_asked=is_asked,
            )
        )
    if missing:
        keys = list(dict.fromkeys(missing.values()))
        others = [joint.name for joint in joints if not missing.keys() & set(joint.data)]
        in_joints = {part for joint in joints for part in joint.data}
        others += [c.spec.name for c in choices if c.spec.name not in in_joints]
        rest = f" · or ask the others: --tasks {','.join(others)}" if others else ""
        raise DataNotFound(not_found(keys, data) + rest)
    if not choices:
        raise TaskError(f"no task is left to run: {'; '.join(notes)}")
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


def _choose_fit(
    asked: Fit | None, suite: Suite | None, spec: TaskSpec, hint: tuple[Fit | None, str]
) -> tuple[Fit, str]:
    """Return the fit of a task, and who says so.

    The user's, else the suite's, the task's, the checkpoint's, pad.
    """
    for fit, source in (
        (asked, "--fit"),
        (suite.fit if suite else None, f"suite {suite.name if suite else ''}"),
        (spec.fit, "the task"),
        hint,
    ):
        if fit is not None:
            return fit, source
    return "pad", "default"


def _suite_limit(suite: Suite, spec: TaskSpec, joints: Sequence[TaskSpec]) -> int | None:
    """Return how many samples a suite asks of a task, itself or as a part of a joint one."""
    names = (spec.name, *(joint.name for joint in joints if spec.name in joint.data))
    return next((suite.limits[name] for name in names if name in suite.limits), None)


def _expand(names: Sequence[str], include: Sequence[Path]) -> tuple[list[TaskSpec], list[TaskSpec]]:
    """Load the tasks to ask, each once, and the joint tasks; TaskError where there are none."""
    if not names:
        raise TaskError("no task · give --tasks or --suite; `vipbench ls tasks` lists them")
    asked: dict[str, TaskSpec] = {}
    joints: dict[str, TaskSpec] = {}
    for spec in [load_task(name, include) for name in names]:
        if spec.kind != "joint":
            asked.setdefault(spec.name, spec)
            continue
        joints[spec.name] = spec
        for part_name in spec.data:
            part = load_task(part_name, include)
            if part.kind == "joint":
                raise TaskError(f"{spec.path}: {part_name!r} is joint itself · join plain tasks")
            asked.setdefault(part_name, part)
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
            raise TaskError(f"{spec.path}: has no 'styles' · name one there, or give --styles")
    styles = parse_styles(wanted, known, headline)
    fitting = MARKED_KINDS if marked else DRAWN_KINDS
    kept = tuple(
        style
        for style in styles
        if style.kind in fitting and (style.kind != "permuted" or spec.kind == "choice")
    )
    names = [style.name for style in kept]
    first = headline.name if headline and headline.name in names else "".join(names[:1])
    return kept, first, [style for style in styles if style not in kept]


def _refuse_elsewhere(spec: TaskSpec, styles: Sequence[PromptStyle]) -> None:
    """Refuse to ask under a style that says nothing of how to ask; TaskError."""
    for style in styles:
        if style.kind == "elsewhere":
            raise TaskError(
                f"{spec.name}: style {style.name!r} is of answers that were made elsewhere, and"
                " says neither what is drawn nor what is asked · expected a style that does, such"
                f" as {', '.join(spec.styles) or 'none'} · give answers that are there to"
                f" `vipbench import {spec.name}=FILE`"
            )


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
