"""The verdict of a sequential gate: a table, sentences, one line, Markdown, JUnit XML."""

from xml.etree import ElementTree as Xml  # only written, never read

from vipbench.analysis import gate_text
from vipbench.report.text import (
    Grid,
    counted,
    markdown_list,
    markdown_page,
    markdown_table,
    markdown_text,
    p_text,
    percent,
    points,
    points_interval,
    xml_text,
)
from vipbench.sequential.gate import SequentialGate, SequentialRow

HEADER = ("", "row", "asked", "failed", "base", "new", "difference", "allowed", "block")
SPARE = (("block",), ("base", "new"))
"""Columns that a narrow terminal is spared, first to go first."""
APART = (
    "The two answer different questions. The sequential gate: would all of these samples together "
    "show a larger drop? The gate below it, clustered by image: would other images show one too?"
)


def table(outcome: SequentialGate) -> Grid:
    """Lay out the rows, the verdict first, in percent and percentage points.

    Failed answers have a column where there are any.
    """
    models = " → ".join(dict.fromkeys(outcome.apart.models))
    title = f"{models}: percent and points, of the samples that were asked"
    grid = Grid(title, HEADER, [_cells(row) for row in outcome.rows], words=(0, 1))
    return grid if any(row.n_failed for row in outcome.rows) else grid.without(["failed"])


def _cells(row: SequentialRow) -> tuple[str, ...]:
    return (
        "DROP" if row.verdict == "dropped" else "pass",
        row.label,
        f"{row.n:,} of {row.n_all:,}",
        f"{row.n_failed:,}",
        percent(row.accuracy_base),
        percent(row.accuracy_new),
        points_interval(row.difference, row.lower, row.upper),
        points(-row.max_drop),
        f"{row.block}",
    )


def sentences(outcome: SequentialGate) -> list[str]:
    """Say what the intervals are of, and what the numbers are not."""
    level = f"{100 * (1 - outcome.alpha):g} %"
    said = [
        f"In brackets: bounds of the difference over all samples, each one-sided {level}, at every "
        "look and for all rows together. The verdicts have a test of their own, aimed at what is "
        "allowed, which may know sooner."
    ]
    if outcome.whole is None:
        runs, its, it = ("run was", "its", "it")
        if outcome.old is not None:
            runs, its, it = ("runs were", "their", "them")
        said.append(
            f"The {runs} stopped early: {its} accuracies are no estimates of the benchmark's, and "
            f"leaderboards leave {it} out."
        )
    n_failed = sum(row.n_failed for row in outcome.rows)
    if n_failed:
        said.append(f"{counted(n_failed, 'failed answer')} counted as no difference.")
    return said


def verdict(outcome: SequentialGate) -> str:
    """Say in one line how the gate ended."""
    asked = f"after {percent(share_asked(outcome))} % of the samples"
    if outcome.dropped:
        rows = "; ".join(
            f"{row.label} {points(row.difference)} points so far, allowed {points(-row.max_drop)}"
            for row in outcome.dropped
        )
        return f"gate: dropped, {asked}: {rows}"
    n = counted(len(outcome.rows), "row")
    return f"gate: passed, {asked}: none of {n} dropped by more than is allowed"


def share_asked(outcome: SequentialGate) -> float:
    """Return which share of the samples of the rows was asked; 0-1."""
    whole = [row for row in outcome.rows if row.group == "all"]
    return sum(row.n for row in whole) / sum(row.n_all for row in whole)


def difference_lines(outcome: SequentialGate) -> list[str]:
    """Say line by line what differs beside the checkpoint, and what else does."""
    apart = outcome.apart
    return [*(f"allowed: differs: {each.words}" for each in apart.differences), *apart.notes]


def summary(outcome: SequentialGate) -> str:
    """Write the verdict as Markdown, for the summary of a CI job."""
    heading = "FAILED" if outcome.dropped else "Passed"
    parts = [
        f"## {heading}: {markdown_text(verdict(outcome))}",
        markdown_list(difference_lines(outcome)),
        markdown_table(table(outcome)),
        *map(markdown_text, sentences(outcome)),
    ]
    if outcome.whole is not None:
        parts += [
            markdown_text(gate_text.verdict(outcome.whole)),
            markdown_table(gate_text.table(outcome.whole)),
            APART,
        ]
    return markdown_page(part for part in parts if part)


def junit(outcome: SequentialGate) -> str:
    """Write the verdict as JUnit XML: a test case a row."""
    counts = {"tests": str(len(outcome.rows)), "failures": str(len(outcome.dropped))}
    suite = Xml.Element(
        "testsuite", counts, name="vipbench gate --sequential", errors="0", skipped="0"
    )
    for row in outcome.rows:
        names = {"classname": xml_text(row.task), "name": xml_text(row.label)}
        case = Xml.SubElement(suite, "testcase", names)
        message = (
            f"{points_interval(row.difference, row.lower, row.upper)} points, allowed "
            f"{points(-row.max_drop)}, p {p_text(row.p)}, {row.n} of {row.n_all} samples asked"
        )
        if row.verdict == "dropped":
            Xml.SubElement(case, "failure", message=message, type="dropped")
        else:
            Xml.SubElement(case, "system-out").text = message
    whole = Xml.Element("testsuites", counts)
    whole.append(suite)
    Xml.indent(whole)
    body = Xml.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'
