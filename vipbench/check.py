"""Check a task's data without a model: read, decode and draw everything, report all problems."""

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import groupby, islice
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from vipbench.data import is_synthetic, open_image, safe_path
from vipbench.draw import render
from vipbench.errors import DataError, TaskError, VipbenchError
from vipbench.fit import fit
from vipbench.prompts import build_request
from vipbench.schema import DataSource, Problem, Request, Sample, TaskSpec
from vipbench.tasks import inspect_image, load_samples
from vipbench.trials import TaskChoice, select

SHOWN = 5
"""Problems of one code that are kept in full; all are counted."""
SIDE = 336
"""Side in px of the square that images are fitted to, as the usual model does."""
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
) -> list[CheckReport]:
    """Check several tasks, a joint one by its parts; broken data of one do not hide the next.

    Args:
        names: of tasks.
        data: where the data of each key lie.
        styles: expression as for `--styles`; None: the headline style of each task.
        include: further folders of task files.

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
                reports[choice.spec.name] = check_task(choice)
        for joint in chosen.joints:
            reports[joint.name] = _check_joint(joint, [reports[part] for part in joint.data])
    return list(reports.values())


def check_task(choice: TaskChoice) -> CheckReport:
    """Read every record of a task, decode every image, build and draw every request."""
    name, source = choice.spec.name, choice.source
    problems: list[Problem] = []
    samples: list[Sample] = []
    usable: list[Sample] = []
    try:
        for record in tqdm(load_samples(choice.spec, source), f"{name}: read", disable=None):
            if isinstance(record, Sample):
                samples.append(record)
            else:
                problems.append(record)
        n_records = len(samples) + sum(not problem.warning for problem in problems)
        for sample in tqdm(samples, f"{name}: headers", disable=None):
            inspected, found = inspect_image(sample, source)
            problems.extend(found)
            if inspected:
                usable.append(inspected)
        problems.extend(_draw_all(choice, usable))
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


def _draw_all(choice: TaskChoice, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Decode each image once and draw its samples under each style, in worker processes."""
    by_image = groupby(sorted(samples, key=attrgetter("image")), key=attrgetter("image"))
    jobs = [tuple(group) for _, group in by_image]
    draw = partial(_draw_image, choice=choice)
    label = f"{choice.spec.name}: draw"
    bar = partial(tqdm, desc=label, total=len(jobs), unit="image", disable=None)
    workers = min(os.cpu_count() or 1, 16)
    if len(jobs) <= SERIAL or workers == 1:
        yield from _flat(bar(map(draw, jobs)))
        return
    # Not forked: the progress bar has a thread.
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        with _interrupt_ignored():
            results = pool.map(draw, jobs, chunksize=32)
        yield from _flat(bar(results))
    finally:
        pool.shutdown(cancel_futures=True)


def _flat(lists: Iterable[list[Problem]]) -> Iterator[Problem]:
    for problems in lists:
        yield from problems


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
                fit(render(image, request.visual_prompts), request.fit, SIDE)
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
