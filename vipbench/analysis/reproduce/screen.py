"""What the terminal shows of a reproduction: the verdict first, then a line a number, in a screen.

What a verdict rests on, number by number, is in the files that `write` makes.
"""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vipbench.analysis.reproduce.records import Comparison, ReasonCode, Reproduction, Unlisted
from vipbench.analysis.reproduce.text import beside_text, spread_text, summary
from vipbench.report.text import Grid, counted, percent_interval
from vipbench.runfolder.summary import ALL

COLUMNS = 80
"""Width of the lines of text."""
HEADER = ("task", "style", "published", "measured, %", "verdict")
HOPELESS: frozenset[ReasonCode] = frozenset({"system", "published"})
"""Reasons that no other run of the model would be without: such numbers have no line of their own.
"""


class Screen(NamedTuple):
    """What is printed, from top to bottom."""

    top: list[str]
    table: Grid | None
    """One line a number; None where there is no number."""
    bottom: list[str]


def screen(outcome: Reproduction, files: Sequence[str] = ()) -> Screen:
    """Lay a reproduction out for a terminal.

    Args:
        outcome: what is shown.
        files: paths that hold all of it; none: says how to get them.
    """
    own = [one for one in outcome.comparisons if not _is_hopeless(one)]
    others = [one for one in outcome.comparisons if _is_hopeless(one)]
    top = [summary(outcome), *_wrapped(_runs(outcome))]
    bottom = [
        *_wrapped(_without_line(own, others)),
        *_section("Over seeds, %", _spreads(own)),
        *_section("Not comparable, because", _reasons(own)),
        *_section("Differences of protocol that do not decide", _differences(own)),
        *_section("Not comparable with any run of this model", _others(others)),
        *_wrapped(_unlisted(outcome.unlisted)),
        *_section("Beside released answers", map(beside_text, outcome.beside)),
    ]
    if not files and outcome.comparisons:
        bottom += _wrapped(["-o DIR writes what each verdict rests on, and its source."])
    return Screen(top, _table(own), [*bottom, *files])


def _without_line(own: Sequence[Comparison], others: Sequence[Comparison]) -> Iterator[str]:
    """Say how many numbers the table has, where it does not have all."""
    if own and others:
        n_all = len(own) + len(others)
        yield (
            f"{len(own)} of {counted(n_all, 'number')} listed; {len(others)} that no run of this "
            "model can be held to are named below."
        )


def _is_hopeless(one: Comparison) -> bool:
    return any(reason.code in HOPELESS for reason in one.reasons)


def _runs(outcome: Reproduction) -> Iterator[str]:
    """Yield which runs are held against published numbers, each result once."""
    named = {one.runs: one.model for one in outcome.comparisons}
    named |= {one.runs: one.model for one in outcome.unlisted}
    for runs, model in named.items():
        yield f"{', '.join(runs)} ({model})"


def _table(own: Sequence[Comparison]) -> Grid | None:
    """Lay out a line for each number; several runs are named, tables where lines were the same."""
    if not own:
        return None
    several = len({one.runs for one in own}) > 1
    header = ("model", *HEADER) if several else HEADER
    lines = [(one.model, *_cells(one)) if several else _cells(one) for one in own]
    at = header.index("task")
    rows = [
        (*line[:at], f"{line[at]} ({where})", *line[at + 1 :])
        if lines.count(line) > 1 and (where := one.published.table)
        else line
        for one, line in zip(own, lines, strict=True)
    ]
    words = (0, 1, 2, 5) if several else (0, 1, 4)
    return Grid("", header, rows, words=words)


def _cells(one: Comparison) -> tuple[str, ...]:
    number, ours = one.published, one.ours
    measured = "-"
    if ours is not None:
        measured = percent_interval(ours.accuracy, ours.ci_low, ours.ci_high)
    style = (ours.style if ours is not None else one.protocol.style) or "-"
    return _task(one), style, f"{number.value:g}", measured, one.verdict


def _task(one: Comparison) -> str:
    number = one.published
    return number.task if number.group == ALL else f"{number.task} {number.group}"


def _spreads(own: Sequence[Comparison]) -> Iterator[str]:
    """Yield how each result varies over its seeds, where it has several."""
    said = {(_task(one), one.model): spread_text(one.ours) for one in own if one.ours is not None}
    several = len({model for _, model in said}) > 1
    for (task, model), text in said.items():
        if text:
            yield f"{task}, {model}: {text}" if several else f"{task}: {text}"


def _reasons(own: Sequence[Comparison]) -> Iterator[str]:
    """Yield each reason once, with the tasks whose numbers it stands in the way of."""
    found: dict[str, list[Comparison]] = defaultdict(list)
    for one in own:
        for reason in one.reasons:
            found[reason.text].append(one)
    incomparable = [one for one in own if one.reasons]
    for text, concerned in found.items():
        yield _about(text, concerned, incomparable)


def _differences(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield each difference of protocol once, with the tasks that it is about."""
    found: dict[str, list[Comparison]] = defaultdict(list)
    for one in comparisons:
        for difference in one.differences:
            text = f"{difference.what}: {difference.run}; published: {difference.published}"
            found[text].append(one)
    for text, concerned in found.items():
        yield _about(text, concerned, comparisons)


def _about(text: str, concerned: Sequence[Comparison], everything: Sequence[Comparison]) -> str:
    """Name the tasks that a text is about, where it is not about all; a part by its values."""
    if len(concerned) == len(everything):
        return text
    names = []
    for task in dict.fromkeys(one.published.task for one in concerned):
        own = [one for one in concerned if one.published.task == task]
        n_all = sum(one.published.task == task for one in everything)
        values = ", ".join(f"{one.published.value:g}" for one in own)
        names.append(task if len(own) == n_all else f"{task} {values}")
    return f"{text} ({'; '.join(names)})"


def _others(others: Sequence[Comparison]) -> Iterator[str]:
    """Yield the numbers that have no line of their own, by task and system, with the reason."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in others:
        number = one.published
        group = "" if number.group == ALL else f" {number.group.partition('=')[2]}"
        why = "" if number.not_comparable is None else f": {number.not_comparable}"
        found[number.task, number.system, why].append(f"{number.value:g}{group}")
    for (task, system, why), values in found.items():
        yield f"{task}, {system}: {', '.join(values)}{why}"


def _unlisted(unlisted: Sequence[Unlisted]) -> Iterator[str]:
    """Say of how many numbers nothing is shown, and what has none."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    n_others = sum(one.n for one in unlisted)
    if n_others:
        yield (
            f"{counted(n_others, 'published number')} of other systems not listed (--all lists "
            "them)."
        )
    for one in unlisted:
        for reason in one.reasons:
            by_reason[reason.text].append(one.task)
        if not one.n:
            by_reason["no published number is known"].append(one.task)
    for text, tasks in by_reason.items():
        yield f"Not comparable: {', '.join(dict.fromkeys(tasks))}: {text}."


def _section(heading: str, items: Iterable[str]) -> list[str]:
    """Lay out a list under its heading; nothing where it is empty."""
    listed = list(items)
    if not listed:
        return []
    return [f"{heading}:", *_wrapped(listed, "  ")]


def _wrapped(texts: Iterable[str], indent: str = "") -> list[str]:
    """Break texts into lines of COLUMNS; words, such as addresses, stay whole."""
    return [
        line
        for text in texts
        for line in textwrap.wrap(
            text,
            COLUMNS,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
