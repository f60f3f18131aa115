"""What crop, pad and squash leave of a task's marks, from the images' headers alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import numpy as np

from vipbench.console import QUIET, Console
from vipbench.data.box_tally import BoxTally, refuse_file
from vipbench.data.samples import inspect_image, load_samples
from vipbench.errors import DataError, TaskError
from vipbench.images.draw import Footprint, footprints
from vipbench.images.servers import RULES, SMALL, ServerRule
from vipbench.images.surround import crop_box, cut, n_px
from vipbench.images.visibility import measure, view
from vipbench.prompts.request import build_request
from vipbench.schema import DataSource, Fit, Problem, PromptStyle, Request, Sample, Visibility
from vipbench.trials.by_image import map_images
from vipbench.trials.check import SIDE
from vipbench.trials.selection import TaskChoice, select
from vipbench.trials.surrounded import asked_samples

MeasureT = TypeVar("MeasureT", Visibility, float)

PATCH = 14
"""Side in px of the patches of the usual model's square."""


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


class ServerReport(NamedTuple):
    """What a usual server leaves of the marks of one style, of images that it is sent as drawn."""

    style: str
    rule: ServerRule
    n_marks: int
    n_small: int
    """Marks with less than `SMALL` px."""
    px: tuple[float, float]
    """What is left of a mark in px: 5 % quantile and median."""


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
    servers: tuple[ServerReport, ...] = ()
    """One a style and rule of a server."""


class _SampleMarks(NamedTuple):
    """What is left of the marks of one sample."""

    id: str
    by_fit: tuple[tuple[Visibility, ...], ...] | None
    """One a fit; None where the sample cannot be asked."""
    by_server: tuple[tuple[float, ...], ...] = ()
    """One a rule: px of each mark."""


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
        names: of tasks.
        data: where the data of each key lie.
        styles: expression as for `--styles`; None: the headline style of each task.
        include: further folders of task files.
        fit: this one alone; None: that of the task, and the others for comparison.
        size: side of the model's square in px.
        patch_size: side of its patches in px.
        console: shows bars.

    Raises:
        TaskError: a task or style is unknown, or a task file is broken.
        DataError: the data of a task are missing or broken.
    """
    reports: dict[str, VisibilityReport] = {}
    for name in dict.fromkeys(names):
        chosen = select(tasks=[name], styles=styles, data=data, include=include, fit=fit)
        for choice in chosen.tasks:
            others = [other for other in get_args(Fit) if not fit and other != choice.fit]
            if choice.spec.name not in reports:
                fits = (choice.fit, *others)
                reports[choice.spec.name] = _measure_task(choice, fits, size, patch_size, console)
    return list(reports.values())


def _measure_task(
    choice: TaskChoice, fits: Sequence[Fit], size: int, patch_size: int, console: Console
) -> VisibilityReport:
    name, source = choice.spec.name, choice.source
    samples: list[Sample | None] = []
    tally = BoxTally()
    records = load_samples(choice.spec, source, tally)
    for record in console.bar(f"{name}: headers", records, in_logs=False):
        if isinstance(record, Sample):
            samples.append(inspect_image(record, source)[0])
        elif not record.warning:
            samples.append(None)
    refuse_file(name, tally.problems(choice.spec, source))
    reports: list[MarksReport] = []
    servers: list[ServerReport] = []
    without_marks: list[str] = []
    refused: set[str] = set()
    for style in choice.styles:
        measure_image = partial(
            _measure_image, style=style, fits=fits, size=size, patch_size=patch_size
        )
        asked = list(asked_samples(samples, style, source.image_roots))
        refused |= {each.id for each in asked if isinstance(each, Problem)}
        changed = [each for each in asked if isinstance(each, Sample)]
        measured, sent = [], []
        for marks in map_images(measure_image, changed, f"{name}: {style.name}", console):
            if marks.by_fit is None:
                refused.add(marks.id)
            else:
                measured.append(marks.by_fit)
                sent.append(marks.by_server)
        if any(any(by_fit) for by_fit in measured):
            reports += [
                _marks_report(style.name, fit, [by_fit[index] for by_fit in measured])
                for index, fit in enumerate(fits)
            ]
            servers += _server_reports(style.name, sent)
        elif measured:  # else no sample suits the style
            without_marks.append(style.name)
    return VisibilityReport(
        task=name,
        n_records=len(samples),
        n_unusable=samples.count(None) + len(refused),
        fit=choice.fit,
        marks=tuple(reports),
        without_marks=tuple(without_marks),
        servers=tuple(servers),
    )


def _measure_image(
    samples: Sequence[Sample],
    style: PromptStyle,
    fits: Sequence[Fit],
    size: int,
    patch_size: int,
) -> list[_SampleMarks]:
    """Measure the marks of samples that share an image; the images' sizes are enough for that."""
    measured = []
    for sample in samples:
        if sample.image_size is None:
            raise ValueError(f"{sample.id}: the header of its image has not been read")
        try:
            request = build_request(sample, style, seed=0, fit=fits[0])
            sizes = sample.image_sizes or (sample.image_size,)
            if request.images and not sample.images:  # one image that is shown several times
                sizes *= len(request.images)
            parts = [
                _measure_shown(image_wh, request.of_image(index), fits, size, patch_size)
                for index, image_wh in enumerate(sizes)
            ]
        except (DataError, TaskError):
            measured.append(_SampleMarks(sample.id, None))
            continue
        by_fit = tuple(map(_joined, zip(*(of_fits for of_fits, _ in parts), strict=True)))
        by_server = tuple(map(_joined, zip(*(of_rules for _, of_rules in parts), strict=True)))
        measured.append(_SampleMarks(sample.id, by_fit, by_server))
    return measured


def _joined(of_images: Iterable[tuple[MeasureT, ...]]) -> tuple[MeasureT, ...]:
    return tuple(chain.from_iterable(of_images))


def _measure_shown(
    image_wh: tuple[int, int], shown: Request, fits: Sequence[Fit], size: int, patch_size: int
) -> tuple[tuple[tuple[Visibility, ...], ...], tuple[tuple[float, ...], ...]]:
    """Measure the marks on one image: by fit, and in px by the rule of a server."""
    marks, n_whole, seen_wh = _footprints(image_wh, shown)
    views = [view(seen_wh, fit, size, patch_size) for fit in fits]
    scales = [rule.scale(seen_wh) for rule in RULES]
    by_fit = tuple(tuple(map(measure, marks, repeat(seen), n_whole)) for seen in views)
    return by_fit, tuple(tuple(mark.n_px * scale**2 for mark in by_fit[0]) for scale in scales)


def _footprints(
    image_wh: tuple[int, int], request: Request
) -> tuple[list[Footprint | None], list[int | None], tuple[int, int]]:
    """Return the marks of a request, px of those that are cut, and the size of their image."""
    prompts = () if request.blind else request.visual_prompts
    marks = list(footprints(image_wh, prompts))
    if request.surround is None or request.surround.kind != "crop":
        return marks, [None] * len(marks), image_wh
    box = crop_box(image_wh, request.surround)
    size_wh = (box[2] - box[0], box[3] - box[1])
    return [mark and cut(mark, box) for mark in marks], n_px(marks), size_wh


def _server_reports(
    style: str, samples: Sequence[tuple[tuple[float, ...], ...]]
) -> Iterator[ServerReport]:
    """Sum up what each rule leaves of the marks of one style."""
    for index, rule in enumerate(RULES):
        marks = [px for sample in samples for px in sample[index]]
        low, median = np.quantile(marks, (0.05, 0.5))
        n_small = sum(px < SMALL for px in marks)
        yield ServerReport(style, rule, len(marks), n_small, (float(low), float(median)))


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
