"""Check a task's data without a model: read, decode and draw everything, report all problems.

Also tell what crop, pad and squash would leave of its marks, from the images' headers alone.
"""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby, islice
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import numpy as np

from vipbench.console import QUIET, Console
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.synthetic import is_synthetic
from vipbench.errors import DataError, TaskError, VipbenchError
from vipbench.images.decode import open_image, safe_path
from vipbench.images.draw import footprint, render
from vipbench.images.fit import fit as fit_image
from vipbench.images.visibility import measure, view
from vipbench.prompts.controls import change
from vipbench.prompts.request import build_request
from vipbench.schema import (
    DataSource,
    Fit,
    Problem,
    PromptStyle,
    Request,
    Sample,
    TaskSpec,
    Visibility,
)
from vipbench.trials.selection import TaskChoice, select

FoundT = TypeVar("FoundT")

SHOWN = 5
"""Problems of one code that are kept in full; all are counted."""
SIDE = 336
"""Side in px of the square that images are fitted to, as the usual model does."""
PATCH = 14
"""Side in px of the patches of that square."""
SERIAL = 400
"""Up to so many images, starting worker processes takes longer than it saves."""


class Finding(NamedTuple):
    """All problems of one code."""

    code: str
    warning: bool
    n: int
    first: tuple[Problem, ...]
    """At most SHOWN of them, in the order of the data."""


class CheckReport(NamedTuple):
    """What the check of one task found."""

    task: str
    styles: tuple[str, ...]
    n_records: int
    """Records in the data, usable or not."""
    n_images: int
    synthetic: bool
    findings: tuple[Finding, ...]
    """Errors first, then warnings; in each the most frequent first."""
    ids: frozenset[str]
    """Of the samples that could be read."""

    @property
    def n_errors(self) -> int:
        """Number of problems that are no warnings."""
        return sum(finding.n for finding in self.findings if not finding.warning)

    @property
    def n_warnings(self) -> int:
        """Number of problems that leave the sample usable."""
        return sum(finding.n for finding in self.findings if finding.warning)


def check_tasks(
    names: Sequence[str],
    data: Mapping[str, DataSource],
    styles: str | None = None,
    include: Sequence[Path] = (),
    *,
    console: Console = QUIET,
) -> list[CheckReport]:
    """Check several tasks, a joint one by its parts; broken data of one do not hide the next.

    Args:
        names: of tasks.
        data: where the data of each key lie.
        styles: expression as for `--styles`; None: the headline style of each task.
        include: further folders of task files.
        console: shows how far it is.

    Raises TaskError for an unknown task or style and for a broken task file.
    """
    reports: dict[str, CheckReport] = {}
    for name in dict.fromkeys(names):
        try:
            chosen = select(tasks=[name], styles=styles, data=data, include=include)
        except DataError as error:
            missing = Problem(id=name, code="no_data", message=str(error))
            reports[name] = _report(name, (), [missing])
            continue
        for choice in chosen.tasks:
            if choice.spec.name not in reports:
                reports[choice.spec.name] = check_task(choice, console)
        for joint in chosen.joints:
            reports[joint.name] = _check_joint(joint, [reports[part] for part in joint.data])
    return list(reports.values())


def check_task(choice: TaskChoice, console: Console = QUIET) -> CheckReport:
    """Read every record of a task, decode every image, build and draw every request."""
    name, source = choice.spec.name, choice.source
    problems: list[Problem] = []
    samples: list[Sample] = []
    usable: list[Sample] = []
    try:
        for record in console.bar(
            f"{name}: read", load_samples(choice.spec, source), in_logs=False
        ):
            if isinstance(record, Sample):
                samples.append(record)
            else:
                problems.append(record)
        n_records = len(samples) + sum(not problem.warning for problem in problems)
        for sample in console.bar(f"{name}: headers", samples, in_logs=False):
            inspected, found = inspect_image(sample, source)
            problems.extend(found)
            if inspected:
                usable.append(inspected)
        draw = partial(_draw_image, choice=choice)
        problems.extend(_map_images(draw, usable, f"{name}: draw", console))
        problems.extend(_check_count(choice, n_records))
    except VipbenchError as error:
        n_records = len(samples)
        problems.append(Problem(id=name, code="unreadable", message=str(error)))
    styles = tuple(style.name for style in choice.styles)
    return _report(name, styles, problems, samples, n_records, is_synthetic(source))


def _report(
    task: str,
    styles: tuple[str, ...],
    problems: Sequence[Problem],
    samples: Sequence[Sample] = (),
    n_records: int = 0,
    synthetic: bool = False,
) -> CheckReport:
    counts = Counter((problem.warning, problem.code) for problem in problems)
    order = sorted(counts, key=lambda key: (key[0], -counts[key], key[1]))
    return CheckReport(
        task=task,
        styles=styles,
        n_records=n_records,
        n_images=len({sample.image for sample in samples}),
        synthetic=synthetic,
        findings=tuple(
            Finding(
                code,
                warning,
                counts[warning, code],
                tuple(
                    islice((p for p in problems if (p.warning, p.code) == (warning, code)), SHOWN)
                ),
            )
            for warning, code in order
        ),
        ids=frozenset(sample.id for sample in samples),
    )


def _check_count(choice: TaskChoice, n: int) -> Iterator[Problem]:
    name, published = choice.spec.name, choice.spec.reference.get("samples")
    if n == 0:
        message = f"{choice.source.questions} holds no record; expected at least one"
        yield Problem(id=name, code="empty", message=message)
    elif isinstance(published, int) and n != published and not is_synthetic(choice.source):
        message = f"{n:,} records; the published number is {published:,}"
        yield Problem(id=name, code="count", message=message, warning=True)


def _check_joint(spec: TaskSpec, parts: Sequence[CheckReport]) -> CheckReport:
    """Compare the ids of the parts of a joint task: the parts are joined on them."""
    everywhere = frozenset.intersection(*(part.ids for part in parts))
    problems = [
        Problem(id=id_, code="ids_differ", message=f"is in {part.task}, but not in every part")
        for part in parts
        for id_ in sorted(part.ids - everywhere)
    ]
    report = _report(spec.name, (), problems, n_records=len(everywhere))
    return report._replace(synthetic=any(part.synthetic for part in parts), ids=everywhere)


def _map_images(
    work: Callable[[Sequence[Sample]], list[FoundT]],
    samples: Sequence[Sample],
    label: str,
    console: Console,
) -> Iterator[FoundT]:
    """Yield what is found of the samples of each image, in worker processes."""
    by_image = groupby(sorted(samples, key=attrgetter("image")), key=attrgetter("image"))
    jobs = [tuple(group) for _, group in by_image]
    bar = partial(console.bar, label, total=len(jobs), unit=" images", in_logs=False)
    workers = min(os.cpu_count() or 1, 16)
    if len(jobs) <= SERIAL or workers == 1:
        yield from _flat(bar(map(work, jobs)))
        return
    # Not forked: the progress bar has a thread.
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        with _interrupt_ignored():
            results = pool.map(work, jobs, chunksize=32)
        yield from _flat(bar(results))
    finally:
        pool.shutdown(cancel_futures=True)


def _flat(lists: Iterable[list[FoundT]]) -> Iterator[FoundT]:
    for found in lists:
        yield from found


@contextlib.contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """Start processes that leave Ctrl-C to this one: an ignored signal is inherited."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _draw_image(samples: Sequence[Sample], choice: TaskChoice) -> list[Problem]:
    """Take samples that share an image through request, drawing and fitting."""
    try:
        image, mode = open_image(safe_path(choice.source.images, samples[0].image))
    except DataError as error:
        return [Problem(id=sample.id, code="bad_image", message=str(error)) for sample in samples]
    problems: list[Problem] = []
    if mode != "RGB":
        message = f"{samples[0].image}: stored as {mode}; converted to RGB"
        problems.append(_warning(samples[0], "image_converted", message))
    for sample in samples:
        for style in choice.styles:
            try:
                request = build_request(sample, style, seed=0, fit=choice.fit)
                fit_image(render(image, request.visual_prompts), request.fit, SIDE)
            except (DataError, TaskError) as error:
                message = f"style {style.name}: {error}"
                problems.append(Problem(id=sample.id, code="not_askable", message=message))
            else:
                problems.extend(_drawn_from_box(sample, request))
    return problems


def _drawn_from_box(sample: Sample, request: Request) -> Iterator[Problem]:
    """Count a sample with marks that follow an outline where only the box is known."""
    n = sum(
        prompt.shape != "rectangle" and not prompt.region.polygons
        for prompt in request.visual_prompts
    )
    if n:
        message = f"style {request.style}: {n} marks are drawn from a box, for want of a polygon"
        yield _warning(sample, "drawn_from_box", message)


def _warning(sample: Sample, code: str, message: str) -> Problem:
    return Problem(id=sample.id, code=code, message=message, warning=True)


# --- what the model would see of the marks


class MarksReport(NamedTuple):
    """What one fit leaves of the marks of one style."""

    style: str
    fit: Fit
    n_samples: int
    n_marks: int
    n_lost: int
    """Marks of which nothing is left."""
    n_cut: int
    """Marks of which a part is left."""
    n_samples_lost: int
    """Samples with a lost mark."""
    px: tuple[float, float]
    """What is left of a mark in px of the fitted square: 5 % quantile and median."""
    patches: tuple[float, float]
    """The same in patches."""


class VisibilityReport(NamedTuple):
    """What is left of the marks of one task."""

    task: str
    n_records: int
    n_unusable: int
    """Records that cannot be asked; `check_task` says why."""
    fit: Fit
    """How the task is fitted."""
    marks: tuple[MarksReport, ...]
    """One a style and fit, the task's own fit first; none of a style that draws no marks."""
    without_marks: tuple[str, ...]
    """These styles."""


class _Seen(NamedTuple):
    """What is left of the marks of one sample."""

    id: str
    by_fit: tuple[tuple[Visibility, ...], ...] | None
    """One a fit; None where the sample cannot be asked."""


def check_visibility(
    names: Sequence[str],
    data: Mapping[str, DataSource],
    styles: str | None = None,
    include: Sequence[Path] = (),
    *,
    fit: Fit | None = None,
    size: int = SIDE,
    patch_size: int = PATCH,
    console: Console = QUIET,
) -> list[VisibilityReport]:
    """Measure what is left of the marks of several tasks, a joint one by its parts; seed 0.

    Args:
        names: as for `check_tasks`, like the three below.
        data: see there.
        styles: see there.
        include: see there.
        fit: this one alone; None: that of the task, and the others for comparison.
        size: side of the model's square in px.
        patch_size: side of its patches in px.
        console: shows how far it is.

    Raises VipbenchError where tasks, styles or data cannot be used.
    """
    reports: dict[str, VisibilityReport] = {}
    for name in dict.fromkeys(names):
        chosen = select(tasks=[name], styles=styles, data=data, include=include, fit=fit)
        for choice in chosen.tasks:
            others = [other for other in get_args(Fit) if not fit and other != choice.fit]
            if choice.spec.name not in reports:
                fits = (choice.fit, *others)
                reports[choice.spec.name] = _see_task(choice, fits, size, patch_size, console)
    return list(reports.values())


def _see_task(
    choice: TaskChoice, fits: Sequence[Fit], size: int, patch_size: int, console: Console
) -> VisibilityReport:
    name, source = choice.spec.name, choice.source
    samples: list[Sample | None] = []
    for record in console.bar(f"{name}: headers", load_samples(choice.spec, source), in_logs=False):
        if isinstance(record, Sample):
            samples.append(inspect_image(record, source)[0])
        elif not record.warning:
            samples.append(None)
    reports: list[MarksReport] = []
    without_marks: list[str] = []
    refused: set[str] = set()
    for style in choice.styles:
        see = partial(_see_image, style=style, fits=fits, size=size, patch_size=patch_size)
        changed = [*_changed(samples, style, refused)]
        found = []
        for seen in _map_images(see, changed, f"{name}: {style.name}", console):
            if seen.by_fit is None:
                refused.add(seen.id)
            else:
                found.append(seen.by_fit)
        if any(any(by_fit) for by_fit in found):
            reports += [
                _marks_report(style.name, fit, [by_fit[place] for by_fit in found])
                for place, fit in enumerate(fits)
            ]
        else:
            without_marks.append(style.name)
    return VisibilityReport(
        task=name,
        n_records=len(samples),
        n_unusable=samples.count(None) + len(refused),
        fit=choice.fit,
        marks=tuple(reports),
        without_marks=tuple(without_marks),
    )


def _changed(
    samples: Sequence[Sample | None], style: PromptStyle, refused: set[str]
) -> Iterator[Sample]:
    """Yield what a style asks about, as a run does; ids that it cannot ask go to `refused`."""
    for sample in samples:
        if sample is None:
            continue
        try:
            yield change(sample, style, 0, lambda number: samples[number % len(samples)])
        except DataError:
            refused.add(sample.id)


def _see_image(
    samples: Sequence[Sample],
    style: PromptStyle,
    fits: Sequence[Fit],
    size: int,
    patch_size: int,
) -> list[_Seen]:
    """Measure the marks of samples that share an image, of which the size is enough."""
    image_wh = samples[0].image_size
    if image_wh is None:
        raise ValueError(f"{samples[0].id}: the header of its image has not been read")
    views = [view(image_wh, fit, size, patch_size) for fit in fits]
    found = []
    for sample in samples:
        try:
            request = build_request(sample, style, seed=0, fit=fits[0])
        except (DataError, TaskError):
            found.append(_Seen(sample.id, None))
            continue
        prompts = () if request.blind else request.visual_prompts
        marks = [footprint(image_wh, prompt) for prompt in prompts]
        by_fit = tuple(tuple(measure(mark, seen) for mark in marks) for seen in views)
        found.append(_Seen(sample.id, by_fit))
    return found


def _marks_report(style: str, fit: Fit, samples: Sequence[tuple[Visibility, ...]]) -> MarksReport:
    marks = [mark for sample in samples for mark in sample]
    px_low, px = np.quantile([mark.fitted_px for mark in marks], (0.05, 0.5))
    patches_low, patches = np.quantile([mark.n_patches or 0 for mark in marks], (0.05, 0.5))
    return MarksReport(
        style=style,
        fit=fit,
        n_samples=len(samples),
        n_marks=len(marks),
        n_lost=sum(mark.lost for mark in marks),
        n_cut=sum(mark.cut for mark in marks),
        n_samples_lost=sum(any(mark.lost for mark in sample) for sample in samples),
        px=(float(px_low), float(px)),
        patches=(float(patches_low), float(patches)),
    )
