"""What files say of a reproduction, `reproduce.{md,json}`: each verdict and all it rests on."""

from functools import cache
from pathlib import Path
from statistics import fmean

from vipbench import files
from vipbench.analysis.reproduce.published import Published
from vipbench.analysis.reproduce.records import (
    Beside,
    Comparison,
    Ours,
    Reproduction,
    Unlisted,
)
from vipbench.data.tasks import load_task
from vipbench.report.text import (
    Grid,
    counted,
    markdown_list,
    markdown_page,
    markdown_table,
    markdown_text,
    percent,
    percent_interval,
    signed,
)
from vipbench.runfolder.summary import ALL

HEADER = ("task", "published", "value", "ours", "points", "verdict")
DIGITS = 2
"""Decimals of a percentage: as many as most published numbers have."""


def write(outcome: Reproduction, out: Path) -> list[Path]:
    """Write `reproduce.md` and `reproduce.json` to a folder; returns the paths written."""
    paths = [out / "reproduce.json", out / "reproduce.md"]
    files.write_json(paths[0], outcome.model_dump(mode="json"))
    files.write_text(paths[1], [markdown(outcome)])
    return paths


def summary(outcome: Reproduction) -> str:
    """Say in one sentence what came out."""
    if not outcome.comparisons:
        return "No published number is comparable with what was run."
    numbers = counted(len(outcome.comparisons), "published number")
    reproduced, outside, others = (
        len(outcome.verdicts(verdict)) for verdict in ("reproduced", "outside", "not comparable")
    )
    return f"{reproduced} of {numbers} reproduced, {outside} outside, {others} not comparable."


def table(outcome: Reproduction) -> Grid:
    """Lay out all verdicts in percent and points; several models are named."""
    title = "published numbers, % [95 % interval]"
    rows = [_cells(comparison) for comparison in outcome.comparisons]
    if not _has_several_models(outcome):
        return Grid(title, HEADER, rows, words=(0, 1, 5))
    named = [(one.model, *row) for one, row in zip(outcome.comparisons, rows, strict=True)]
    return Grid(title, ("model", *HEADER), named, words=(0, 1, 2, 6))


def _has_several_models(outcome: Reproduction) -> bool:
    return len({comparison.model for comparison in outcome.comparisons}) > 1


def _cells(comparison: Comparison) -> tuple[str, ...]:
    number = comparison.published
    codes = ", ".join(dict.fromkeys(reason.code for reason in comparison.reasons))
    return (
        _task_and_group(comparison),
        number.system,
        f"{number.value:g}",
        _ours_percent(comparison.ours),
        signed(comparison.points, DIGITS),
        f"{comparison.verdict}: {codes}" if codes else comparison.verdict,
    )


def _task_and_group(comparison: Comparison) -> str:
    """Name what a number is about, with its style where the task has another one first."""
    number, style = comparison.published, comparison.protocol.style
    names = [number.task] if number.group == ALL else [number.task, number.group]
    if style is not None and style != _headline(number.task):
        names.append(style)
    return " ".join(names)


@cache
def _headline(task: str) -> str | None:
    return next(iter(load_task(task).styles), None)


def _ours_percent(ours: Ours | None) -> str:
    if ours is None:
        return percent(None)
    return percent_interval(ours.accuracy, ours.ci_low, ours.ci_high, DIGITS)


def beside_text(one: Beside) -> str:
    """Say in a line how a run differs from released answers, here and as published."""
    task = one.task if one.group == ALL else f"{one.task} {one.group}"
    interval = f"[{signed(one.ci_low, 1)}, {signed(one.ci_high, 1)}]"
    text = (
        f"{task}, {one.run} minus {one.released}, both graded by {one.judge}: "
        f"{signed(one.points, 1)} {interval} points (n {one.n:,})"
    )
    if not one.reliable:
        text += ", unreliable: too few images"
    if one.ours is None:
        return f"{text}; no published number is known of {one.model}"
    place = "inside" if one.is_inside else "outside"
    return (
        f"{text}; published: {signed(one.published, 1)} ({one.ours.system} {one.ours.value:g} - "
        f"{one.theirs.system} {one.theirs.value:g}), {place}"
    )


def title(comparison: Comparison, *, with_model: bool = False) -> str:
    """Name a published number and its verdict in one line."""
    number = comparison.published
    model = f"{comparison.model}: " if with_model else ""
    about = f"{_task_and_group(comparison)}, {number.system} {number.value:g}"
    return f"{model}{about}: {comparison.verdict}"


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return name and text of everything that is known of a comparison."""
    number = comparison.published
    facts = [("because", reason.text) for reason in comparison.reasons]
    facts.append(("run", f"{', '.join(comparison.runs)} ({comparison.model})"))
    if comparison.ours is not None:
        facts.append(("ours", _ours_text(comparison.ours)))
    if comparison.points is not None:
        facts.append(("difference", f"{signed(comparison.points, DIGITS)} points"))
    facts.append(("source", _source(number)))
    if number.remarks:
        facts.append(("remark", number.remarks))
    facts += [
        ("differs", f"{difference.what}: {difference.run}; published: {difference.published}")
        for difference in comparison.differences
    ]
    facts += [
        ("disagrees", f"{other.value:g} ({other.system}): {_source(other)}")
        for other in comparison.disagreeing
    ]
    return facts


def _ours_text(ours: Ours) -> str:
    size = f"n {ours.n:,} of {ours.n_expected:,}"
    text = f"{_ours_percent(ours)}, {size}, {ours.metric}, {ours.style}"
    spread = spread_text(ours)
    return f"{text}; {spread}" if spread else text


def spread_text(ours: Ours) -> str:
    """Say how an accuracy varies over seeds; empty where there is one seed."""
    if ours.spread is None or ours.accuracy is None:
        return ""
    by_seed = ", ".join(percent(accuracy, DIGITS) for accuracy in ours.by_seed)
    mean, spread = percent(fmean(ours.by_seed), DIGITS), percent(ours.spread, DIGITS)
    return f"{mean} ± {spread} over {len(ours.by_seed)} seeds ({by_seed})"


def _source(number: Published) -> str:
    parts = [number.source, number.table, number.url or "no address known"]
    return ", ".join(part for part in parts if part)


def _unlisted_text(unlisted: Unlisted) -> str:
    reasons = "; ".join(reason.text for reason in unlisted.reasons)
    head = f"{unlisted.task}, {', '.join(unlisted.runs)} ({unlisted.model}): "
    if unlisted.n == 0:
        text = "not comparable: no published number is known for this task"
    else:
        numbers = counted(unlisted.n, "published number")
        text = f"{numbers} of other systems not listed (--all lists them)"
        text = f"not comparable: {reasons}; {text}" if reasons else text
    return head + text


def markdown(outcome: Reproduction) -> str:
    """Lay out the table, after it a section on each number."""
    parts = [
        "# Published numbers and these runs",
        summary(outcome),
        "A published number is reproduced where it lies inside our 95 % interval, clustered by "
        f"image and widened by {outcome.widening:g} points on each side. Percent throughout.",
    ]
    if outcome.comparisons:
        parts.append(markdown_table(table(outcome)))
    for comparison in outcome.comparisons:
        facts = [*_facts(comparison), ("published protocol", comparison.protocol.text)]
        items = "\n".join(f"- {name}: {markdown_text(text)}" for name, text in facts)
        heading = title(comparison, with_model=_has_several_models(outcome))
        parts += [f"## {markdown_text(heading)}", items]
    if outcome.beside:
        items = markdown_list(beside_text(one) for one in outcome.beside)
        parts += [
            "## Beside released answers",
            "Differences under one judge, beside those of the published numbers. Inside: the "
            f"published difference lies in the 95 % interval, widened by {2 * outcome.widening:g} "
            "points on each side.",
            items,
        ]
    if outcome.unlisted:
        items = markdown_list(_unlisted_text(unlisted) for unlisted in outcome.unlisted)
        parts += ["## Not listed", items]
    return markdown_page(parts)
