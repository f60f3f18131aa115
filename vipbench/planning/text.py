"""A plan on one screen of 80 columns."""

from collections.abc import Iterable, Iterator, Sequence

from vipbench.console import folded
from vipbench.endpoints.estimate import Needs
from vipbench.files import size_in_words
from vipbench.planning.chain import WIDTH, shell
from vipbench.planning.records import Comparable, Hours, Plan, Room, Row
from vipbench.report.text import counted
from vipbench.runners.spec import Estimate

MOST_ROWS = 12
"""Of a table; as many styles fit."""
LONGEST_NAME = 30
_UNITS = ((1e9, "billion"), (1e6, "million"))
SECOND = 1 / 3600
"""Hours; shorter times are not told apart."""
_LABEL = 13
"""Columns of what stands before a text."""


def lines(plan: Plan, *, commands: bool = True) -> list[str]:
    """Return the lines of the screen, without the commands where these stand elsewhere."""
    weights = "" if plan.n_weights is None else f", {_many(plan.n_weights)} weights"
    dtype = "" if plan.dtype is None else f" in {plan.dtype}"
    found = [*_labelled("plan", f"suite {plan.suite}, model {plan.model}{weights}{dtype}"), ""]
    found += [*_requests(plan.rows), ""]
    for note in plan.notes:
        found += _labelled("left out", note)
    found += [*_published(plan), ""]
    found += _time(plan)
    found += _labelled("disk", "; ".join(map(_room, plan.disk)))
    found += _money(plan)
    if plan.assumed:
        found += _labelled("assumed", "; ".join(plan.assumed))
    if commands:
        found += ["", *(line for each in plan.commands for line in shell(each.words).splitlines())]
    return found


def _many(n: int) -> str:
    """Write a large number with three digits."""
    return next((f"{n / unit:.3g} {name}" for unit, name in _UNITS if n >= 0.9995 * unit), f"{n:,}")


def _labelled(label: str, text: str) -> list[str]:
    """Put a word before a text, whose lines stand below each other."""
    return folded(label.ljust(_LABEL) + text, WIDTH, indent=_LABEL).splitlines()


def _columns(rows: Iterable[Sequence[str]], n_names: int) -> list[str]:
    """Set names to the left and numbers to the right."""
    table = [[_short(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < n_names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


# --- requests


def _requests(rows: Sequence[Row]) -> list[str]:
    """List tasks and styles; where these are many, tasks and styles each by themselves."""
    if len(rows) <= MOST_ROWS:
        head = ("task", "style", "requests", "unusable", "pictures", "images")
        table = [head, *((row.task, row.style, *_cells([row])) for row in rows)]
        return _columns([*table, ("all", "", *_cells(rows))], 2)
    by_task = {row.task: [other for other in rows if other.task == row.task] for row in rows}
    by_style = {row.style: [other for other in rows if other.style == row.style] for row in rows}
    found = []
    for what, groups in (("task", by_task), ("style", by_style)):
        if len(groups) > 1 or what == "task":
            columns = (what, "requests", "unusable", "pictures", "images")
            total = [("all", *_cells(rows))] if what == "task" else []
            found += _columns([columns, *_folded(groups), *total], 1)
    return found


def _folded(groups: dict[str, list[Row]]) -> list[tuple[str, ...]]:
    """Return a line a group, the last ones together where there are too many."""
    names = list(groups)
    if len(names) > MOST_ROWS:
        names, rest = names[: MOST_ROWS - 1], names[MOST_ROWS - 1 :]
        others = [row for name in rest for row in groups[name]]
        last = [(f"{len(rest)} others", *_cells(others))]
    else:
        last = []
    return [*((name, *_cells(groups[name])) for name in names), *last]


def _cells(rows: Sequence[Row]) -> tuple[str, str, str, str]:
    """Add rows up; what was not counted is `-`."""
    images = {row.task: row.n_images for row in rows}
    known = [n for n in images.values() if n is not None]
    is_read = all(row.is_read for row in rows)
    return (
        f"{sum(row.n_requests for row in rows):,}",
        f"{sum(row.n_unusable for row in rows):,}" if is_read else "-",
        f"{sum(row.n_pictures for row in rows):,}",
        f"{sum(known):,}" if len(known) == len(images) else "-",
    )


# --- published numbers


def _published(plan: Plan) -> list[str]:
    found = _labelled("published", f"numbers of {plan.model}, as `vipbench reproduce` matches them")
    known = [each for each in plan.comparable if each.numbers]
    unknown = [each for each in plan.comparable if not each.numbers]
    for text in _graded_alike(known[:MOST_ROWS]):
        found += _below(text)
    if len(known) > MOST_ROWS:
        found += _below(f"{len(known) - MOST_ROWS} more tasks have some")
    groups = _alike(unknown)
    for group in groups[:MOST_ROWS]:
        found += _below(f"{_names(group)}: {_none(group)}")
    if len(groups) > MOST_ROWS:
        rest = [each for group in groups[MOST_ROWS:] for each in group]
        n = sum(each.n_requests for each in rest)
        found += _below(f"{len(rest)} more tasks have none ({n:,} requests)")
    if plan.left_out:
        found += _below(f"left out, for want of a number: {', '.join(plan.left_out)}")
    elif known and unknown:
        n = sum(each.n_requests for each in unknown)
        share = sum(each.share for each in unknown)
        found += _below(f"--comparable-only leaves out {n:,} requests ({100 * share:.0f} %)")
    return found


def _alike(unknown: Sequence[Comparable]) -> list[list[Comparable]]:
    """Put tasks together that have no number for the same reasons, so that these are said once."""
    groups: dict[tuple[tuple[str, ...], ...], list[Comparable]] = {}
    for each in unknown:
        key = (each.reasons,) if each.reasons else ((), each.others)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _names(group: Sequence[Comparable]) -> str:
    names = [each.name for each in group]
    more = f" and {len(names) - MOST_ROWS} more tasks" if len(names) > MOST_ROWS else ""
    return ", ".join(names[:MOST_ROWS]) + more


def _below(text: str) -> list[str]:
    return folded(f"  {text}", WIDTH).splitlines()


def _graded_alike(known: Sequence[Comparable]) -> Iterator[str]:
    """Name tasks and their numbers, a text each; those that the same judges graded share one."""
    by_judges: dict[tuple[str, ...], list[Comparable]] = {}
    for each in known:
        judges = tuple(dict.fromkeys(number.judge for number in each.numbers if number.judge))
        by_judges.setdefault(judges, []).append(each)
    yield from map(_numbers, by_judges.pop((), ()))
    for judges, group in by_judges.items():
        by = f"(graded by {', '.join(judges)}; by another judge not comparable)"
        yield f"{'; '.join(map(_numbers, group))} {by}"


def _numbers(each: Comparable) -> str:
    """Say how many numbers a task has; the values of whole tasks."""
    whole = [f"{number.value:g}" for number in each.numbers if number.group == "all"]
    groups = len(each.numbers) - len(whole)
    parts = [", ".join(dict.fromkeys(whole))] if whole else []
    parts += [f"{counted(groups, 'number')} of groups"] if groups else []
    return f"{each.name}: {', '.join(parts)}"


def _none(group: Sequence[Comparable]) -> str:
    """Say why tasks of the same reasons have no number."""
    each = group[0]
    n, part = sum(one.n_requests for one in group), sum(one.share for one in group)
    share = f"{n:,} requests, {100 * part:.0f} % of all"
    if each.reasons:
        return f"none comparable ({share}): {'; '.join(each.reasons)}"
    if not each.others:
        return f"none ({share}), nor of another checkpoint that is released"
    shown = ", ".join(each.others[:2])
    more = f" and {len(each.others) - 2} more" if len(each.others) > 2 else ""
    verb = "has" if len(each.others) == 1 else "have"
    return f"none ({share}); {shown}{more} {verb} some"


# --- what it takes


def _time(plan: Plan) -> list[str]:
    if not plan.hours:
        return _labelled("time", "as the endpoint takes; a run with --limit 100 tells")
    if len(plan.hours) == 1:
        (hours,) = plan.hours
        which = "" if hours.hours is None else f"{hours.n} x {hours.device}: "
        found = _labelled("time", f"{which}{_told(hours)}")
        return found + (_labelled("memory", _memory(hours)) if hours.memory_gb else [])
    head = ("device", "GB", "batch, tokens", "h at least", "h about", "")
    rows = [
        (
            f"{hours.n} x {hours.device}",
            f"{hours.memory_gb:g}" if hours.memory_gb else "-",
            *_cells_of_time(hours),
        )
        for hours in plan.hours
    ]
    share = plan.hours[0].text.partition(" of ")[0]
    text = f"not measured; {share} of the peak that the maker states (assumed); --devices names one"
    if any(hours.source == "unknown" for hours in plan.hours):
        text += "; of a CPU, a run with --limit 100 tells"
    return [*_labelled("time", text), *_columns([head, *rows], 1)]


def _cells_of_time(hours: Hours) -> tuple[str, ...]:
    """Return what stands in a line about one kind of device."""
    if hours.source == "unknown":
        return "-", "-", "-", ""
    peak = hours.text.partition(" in ")[0].partition(" of ")[2]
    if not hours.batch_tokens:
        return "does not fit", "-", "-", peak
    least, about = _in_hours(hours.least_hours), _in_hours(hours.hours)
    return f"{hours.batch_tokens:,}", least, about, peak


def _told(hours: Hours) -> str:
    if hours.hours is None:
        return hours.text
    if hours.hours < SECOND:
        return f"less than a second ({hours.text})"
    least_hours = hours.least_hours or 0.0
    least = f", no less than {_long(least_hours)}" if least_hours >= SECOND else ""
    return f"about {_long(hours.hours)}{least} ({hours.text})"


def _memory(hours: Hours) -> str:
    if hours.batch_tokens == 0:
        return (
            f"does not fit into {hours.memory_gb:g} GB with one request · --quantize int8 or int4 "
            "takes less"
        )
    if hours.batch_tokens is None:
        return "unknown before the model is loaded"
    return f"weights and batches of {hours.batch_tokens:,} tokens in {hours.memory_gb:g} GB"


def _in_hours(hours: float | None) -> str:
    if hours is None:
        return "-"
    return "<0.01" if hours < 0.01 else f"{hours:.2g}" if hours < 10 else f"{hours:,.0f}"


def _long(hours: float) -> str:
    """Write hours in words, down to seconds where they are few."""
    if hours >= 1:
        return f"{_in_hours(hours)} h"
    return f"{60 * hours:.2g} min" if hours >= 1 / 60 else f"{3600 * hours:.2g} s"


def _room(room: Room) -> str:
    size = "" if room.n_bytes is None else f" {size_in_words(room.n_bytes)}"
    text = f" ({room.text})" if room.text else ""
    return f"{room.what}{size} {room.state}{text}"


def _money(plan: Plan) -> list[str]:
    found: list[str] = []
    if plan.endpoint is not None:
        found += _labelled("endpoint", _sent(plan.endpoint))
    if plan.judge is not None and plan.judge_most is not None:
        found += _labelled("judge", _judged(plan.judge, plan.judge_most))
    elif plan.n_graded:
        text = f"{plan.n_graded:,} answers are scored by exact_proxy without one (--judge-url)"
        found += _labelled("judge", text)
    return found


def _sent(estimate: Estimate) -> str:
    if estimate.most_dollars is None:
        money = "dollars unknown without --price-in and --price-out"
    else:
        money = f"at most ${estimate.most_dollars:,.2f}"
        if estimate.budget is not None and estimate.most_dollars > estimate.budget:
            money += f", more than --budget {estimate.budget:g}"
    return (
        f"{estimate.n_requests:,} calls, {estimate.n_images:,} pictures, about "
        f"{_many(estimate.n_prompt_tokens)} tokens of prompts, at most "
        f"{_many(estimate.most_new_tokens)} of answers; {money}"
    )


def _judged(least: Needs, most: Needs) -> str:
    if least.dollars is None or most.dollars is None:
        money = "dollars unknown without --judge-price"
    else:
        money = f"about ${least.dollars:,.2f}, at most ${most.dollars:,.2f}"
    return (
        f"{least.n_calls:,} calls, about {_many(least.n_prompt_tokens)} tokens of prompts "
        f"and {_many(least.n_reply_tokens)} of replies; {money}"
    )
