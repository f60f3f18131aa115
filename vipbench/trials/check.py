"""Check a task's data without a model: read, decode and draw everything, report all problems."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from vipbench.console import QUIET, Console
from vipbench.data.box_tally import BoxTally
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.synthetic import is_synthetic
from vipbench.errors import DataError, TaskError, VipbenchError
from vipbench.images.decode import open_image, safe_path
from vipbench.images.fit import fit
from vipbench.images.load import draw_request
from vipbench.prompts.controls import CHANGING
from vipbench.prompts.mentions import LETTERS
from vipbench.prompts.request import build_request
from vipbench.schema import DataSource, Problem, PromptStyle, Request, Sample, TaskSpec
from vipbench.scoring.scorers import score_text
from vipbench.trials.by_image import map_images
from vipbench.trials.make import n_drawn_from_box
from vipbench.trials.selection import TaskChoice, select
from vipbench.trials.surrounded import BROKEN, asked_samples, surrounded
from vipbench.trials.target import right_text
from vipbench.trials.texts import TextWarnings

SHOWN = 5
"""Problems of one code that are kept in full; all are counted."""
SIDE = 336
"""Side in px of the square that images are fitted to, as the usual model does."""

CONVERTED = "image_converted"
"""Code of the warning about an image that is not stored as RGB."""
OF_IMAGES = (CONVERTED, BROKEN)
"""Codes of problems that do not depend on the style."""


class Finding(NamedTuple):
    """All problems of one code."""

    code: str
    warning: bool
    n: int
    first: tuple[Problem, ...]
    """At most SHOWN of them, in the order of the data."""


class CheckReport(NamedTuple):
    """The result of the check of one task."""

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
    unread: frozenset[str] = frozenset()
    """Ids of the records that could not be read."""

    @property
    def n_errors(self) -> int:
        """Number of problems that make a record unusable."""
        return sum(finding.n for finding in self.findings if not finding.warning)

    @property
    def n_warnings(self) -> int:
        """Number of problems that leave the record usable."""
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
        console: shows bars.

    Raises:
        TaskError: a task or style is unknown, or a task file is broken.
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
    tally = BoxTally()
    samples: list[Sample] = []
    records: list[Sample | None] = []
    unread: set[str] = set()
    try:
        for record in console.bar(
            f"{name}: read", load_samples(choice.spec, source, tally), in_logs=False
        ):
            if isinstance(record, Sample):
                samples.append(record)
                records.append(record)
            else:
                problems.append(record)
                unread.update(() if record.warning else (record.id,))
                records += [] if record.warning else [None]
        n_records = len(samples) + sum(not problem.warning for problem in problems)
        problems.extend(tally.problems(choice.spec, source))
        problems.extend(_unmatched_targets(choice.spec, samples))
        for index, sample in enumerate(console.bar(f"{name}: headers", records, in_logs=False)):
            if sample is not None:
                records[index], its_problems = inspect_image(sample, source)
                problems.extend(its_problems)
        problems.extend(_once(_draw(choice, records, console)))
        problems.extend(_check_count(choice, n_records))
    except VipbenchError as error:
        n_records = len(samples)
        problems.append(Problem(id=name, code="unreadable", message=str(error)))
    styles = tuple(style.name for style in choice.styles)
    report = _report(name, styles, problems, samples, n_records, is_synthetic(source))
    return report._replace(unread=frozenset(unread))


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
    findings = []
    for warning, code in order:
        alike = (p for p in problems if (p.warning, p.code) == (warning, code))
        first = tuple(islice(alike, SHOWN))
        findings.append(Finding(code, warning, counts[warning, code], first))
    return CheckReport(
        task=task,
        styles=styles,
        n_records=n_records,
        n_images=len({image for sample in samples for image in sample.all_images}),
        synthetic=synthetic,
        findings=tuple(findings),
        ids=frozenset(sample.id for sample in samples),
    )


def _check_count(choice: TaskChoice, n: int) -> Iterator[Problem]:
    name, published = choice.spec.name, choice.spec.reference.get("samples")
    if n == 0:
        message = f"{choice.source.questions} holds no record · expected at least one"
        yield Problem(id=name, code="empty", message=message)
    elif isinstance(published, int) and n != published and not is_synthetic(choice.source):
        message = f"{n:,} records; the published number is {published:,}"
        yield Problem(id=name, code="count", message=message, warning=True)


def _check_joint(spec: TaskSpec, parts: Sequence[CheckReport]) -> CheckReport:
    """Compare the ids of the parts of a joint task, which are joined on them.

    A record that one part cannot read is an error of the joint task, too.
    """
    everywhere = frozenset.intersection(*(part.ids for part in parts))
    unread = frozenset().union(*(part.unread for part in parts)) - everywhere
    problems = [
        Problem(
            id=id_,
            code="bad_part",
            message=f"cannot be read in {', '.join(p.task for p in parts if id_ in p.unread)}",
        )
        for id_ in sorted(unread)
    ]
    problems += [
        Problem(id=id_, code="ids_differ", message=f"is in {part.task}, but not in every part")
        for part in parts
        for id_ in sorted(part.ids - everywhere - unread)
    ]
    n_records = max(len(everywhere | unread), *(part.n_records for part in parts))
    report = _report(spec.name, (), problems, n_records=n_records)
    return report._replace(synthetic=any(part.synthetic for part in parts), ids=everywhere)


def _unmatched_targets(spec: TaskSpec, samples: Sequence[Sample]) -> Iterator[Problem]:
    """Find targets that no answer can reach: their own text is not scored as right."""
    for sample in samples:
        text = right_text(spec.kind, sample.target)
        letters = dict.fromkeys(LETTERS[: len(sample.choices)], "")
        if score_text(spec.kind, text, sample.target, letters).value < 1:
            message = (
                f"target {sample.target!r}: its own text {text!r} is scored as wrong · expected a "
                "target that some answer matches · correct the answer in the data"
            )
            yield Problem(id=sample.id, code="target_unmatched", message=message)


def _once(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Leave out that an image was converted where it has been said: several samples may show it."""
    said: set[str] = set()
    for problem in problems:
        if problem.code == CONVERTED and problem.message in said:
            continue
        said.update((problem.message,) if problem.code == CONVERTED else ())
        yield problem


def _draw(
    choice: TaskChoice, records: Sequence[Sample | None], console: Console
) -> Iterator[Problem]:
    """Draw all samples under each style, and under a control what it makes of them."""
    name, images = choice.spec.name, choice.source.image_roots
    plain = [style for style in choice.styles if style.kind not in CHANGING]
    usable = [record for record in records if record is not None]
    draw = partial(_draw_image, choice=choice, styles=plain)
    yield from map_images(draw, usable, f"{name}: draw", console)
    for style in choice.styles:
        if style.kind in CHANGING:
            asked = list(asked_samples(records, style, images))
            yield from (each for each in asked if isinstance(each, Problem))
            changed = [each for each in asked if isinstance(each, Sample)]
            draw = partial(_draw_image, choice=choice, styles=[style])
            for problem in map_images(draw, changed, f"{name}: draw {style.name}", console):
                if problem.code not in OF_IMAGES:  # has been said above
                    yield problem


def _draw_image(
    samples: Sequence[Sample], choice: TaskChoice, styles: Sequence[PromptStyle]
) -> list[Problem]:
    """Take samples that share an image through request, drawing and fitting."""
    try:
        first, problems = _open(samples[0], samples[0].image, choice)
    except DataError as error:
        return [Problem(id=sample.id, code=BROKEN, message=str(error)) for sample in samples]
    texts = TextWarnings()
    for sample in samples:
        images = [first]
        try:
            for path in sample.images[1:]:
                image, converted = _open(sample, path, choice)
                images.append(image)
                problems.extend(converted)
        except DataError as error:
            problems.append(Problem(id=sample.id, code=BROKEN, message=str(error)))
            continue
        for style in styles:
            try:
                asked = surrounded(sample, style, choice.source.image_roots)
                request = build_request(asked, style, seed=0, fit=choice.fit)
                for index, each in enumerate(images):
                    shown = request.of_image(index)
                    fit(draw_request(each.copy(), shown)[0], shown.fit, SIDE)
            except (DataError, TaskError) as error:
                message = f"style {style.name}: {error}"
                problems.append(Problem(id=sample.id, code="not_askable", message=message))
            else:
                problems.extend(_drawn_from_box(sample, request))
                problems.extend(texts.add(asked, style, request))
    return problems


def _open(sample: Sample, image: str, choice: TaskChoice) -> tuple[Image.Image, list[Problem]]:
    """Open an image of a sample, and say where it is not stored as RGB; DataError if broken."""
    opened, mode = open_image(safe_path(choice.source.image_roots, image), sample.exif)
    if mode == "RGB":
        return opened, []
    message = f"{image}: stored as {mode}; converted to RGB"
    return opened, [_warning(sample, CONVERTED, message)]


def _drawn_from_box(sample: Sample, request: Request) -> Iterator[Problem]:
    """Warn of marks that follow an outline where only the box is known."""
    n = n_drawn_from_box(request)
    if n:
        message = f"style {request.style}: {n} marks are drawn from a box, as there is no polygon"
        yield _warning(sample, "drawn_from_box", message)


def _warning(sample: Sample, code: str, message: str) -> Problem:
    return Problem(id=sample.id, code=code, message=message, warning=True)
