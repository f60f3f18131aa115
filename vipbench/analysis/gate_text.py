"""The verdict of the gate as people and CI read it: a table, one line, Markdown, JUnit XML."""

from xml.etree import ElementTree as Xml  # only written, never read

from vipbench.analysis.gate import Gate, GateRow, told_findings
from vipbench.report.names import short_weights
from vipbench.report.text import (
    MISSING,
    Grid,
    counted,
    markdown_list,
    markdown_page,
    markdown_table,
    markdown_text,
    p_text,
    percent,
    points,
    xml_text,
)

HEADER = ("", "row", "base", "new", "difference", "upper", "allowed", "Holm", "finds", "lost", "n")
SPARE = (("finds",), ("n",), ("lost",), ("upper", "allowed"), ("Holm",))
"""Columns that a narrow terminal is spared, first to go first; the summary has them all."""
SHOWN_FLIPS = 10
"""Lost samples that are listed for each row that fails."""


def table(outcome: Gate) -> Grid:
    """Lay out the rows, the verdict first, in percent and percentage points."""
    models = " → ".join(dict.fromkeys(outcome.apart.models))
    title = f"{outcome.base.name} → {outcome.new.name} ({models}): percent and percentage points"
    return Grid(title, HEADER, [_cells(row) for row in outcome.rows], words=(0,))


def _cells(row: GateRow) -> tuple[str, ...]:
    return (
        "FAIL" if row.failed else "pass",
        row.label,
        percent(row.accuracy_base),
        percent(row.accuracy_new),
        points(row.difference),
        points(row.upper),
        points(-row.max_drop),
        p_text(row.p_holm),
        percent(row.smallest_drop),
        f"{len(row.lost)} (gained {row.n_gained})",
        f"{row.n:,} on {row.n_clusters:,} images",
    )


def verdict(outcome: Gate) -> str:
    """Say in one line how the gate ended."""
    failures, forbidden = outcome.failures, outcome.apart.forbidden(outcome.allowed)
    if forbidden:
        names = " ".join(f"--allow-difference {difference.name}" for difference in forbidden)
        return (
            f"gate: failed: not only the checkpoint differs: "
            f"{'; '.join(difference.words for difference in forbidden)} · run both in the same "
            f"way, or allow it: {names}"
        )
    if failures:
        return f"gate: failed: {'; '.join(failures)}"
    parts = [f"gate: passed: none of {counted(len(outcome.rows), 'row')} got worse"]
    if outcome.left_out:
        parts.append("on the samples that both runs have")
    if outcome.untested:
        parts.append(f"not tested: {', '.join(outcome.untested)}")
    return " · ".join(parts)


def models_table(outcome: Gate) -> Grid:
    """Say which models were compared: names that tell them apart, steps and weights."""
    sides = (outcome.base, outcome.new)
    weights = short_weights(side.manifest for side in sides)
    rows = []
    for word, side, model, digest in zip(
        ("base", "new"), sides, outcome.apart.models, weights, strict=True
    ):
        run = side.called
        step = MISSING if run.step is None else str(run.step)
        rows.append((word, model, run.name, step, digest or MISSING, side.name))
    return Grid("", ("", "model", "name", "step", "weights", "run"), rows, words=(0, 1, 2, 4, 5))


def difference_lines(outcome: Gate) -> list[str]:
    """Say line by line what differs beside the checkpoint, and what is not known of that."""
    apart = outcome.apart
    failing = apart.forbidden(outcome.allowed)
    return [
        *(
            f"{'FAIL' if difference in failing else 'allowed'}: differs: {difference.words}"
            for difference in apart.differences
        ),
        *apart.notes,
    ]


def finding_lines(outcome: Gate) -> list[tuple[str, str]]:
    """Say what was found beside the accuracy of rows: `FAIL` or `warning`, and the words."""
    return [
        (word, text)
        for word, is_failed in (("FAIL", True), ("warning", False))
        for text in told_findings([e for e in outcome.findings if e.failed is is_failed])
    ]


def overlap_lines(outcome: Gate) -> list[str]:
    """Say which samples and tasks only one of the two runs has."""
    lone = f"{', '.join(outcome.new_only)}: in {outcome.new.name} alone, and not compared"
    return [*outcome.left_out, *([lone] if outcome.new_only else [])]


def summary(outcome: Gate) -> str:
    """Write the verdict as Markdown, for the summary of a CI job."""
    parts = [
        f"## {'FAILED' if outcome.failures else 'Passed'}: "
        f"{markdown_text(outcome.new.name)} against {markdown_text(outcome.base.name)}",
        markdown_table(models_table(outcome)),
        markdown_list(difference_lines(outcome)),
    ]
    if outcome.apart.forbidden(outcome.allowed):
        parts.append(
            "Not only the checkpoint differs, so no row was tested: run both in the same way, or "
            "allow what is meant to differ (`--allow-difference NAME`)."
        )
        parts += [f"- differs: {markdown_text(note)}" for note in outcome.notes]
        return markdown_page(parts)
    parts += [
        markdown_table(table(outcome)),
        "Percent and percentage points, headline metric and style. A row fails where the upper "
        f"bound of the one-sided {100 * (1 - outcome.thresholds.alpha):g} % interval of the "
        "difference, paired and clustered by image, is below what is allowed, by Holm's method "
        "over all rows. Finds: the smallest drop that the row would show with "
        f"{100 * outcome.thresholds.power:g} % power.",
    ]
    parts += [f"- **{word}** {markdown_text(text)}" for word, text in finding_lines(outcome)]
    parts += [f"- {markdown_text(note)}" for note in overlap_lines(outcome)]
    for row in (row for row in outcome.rows if row.failed and row.lost):
        shown = ", ".join(f"`{markdown_text(id_)}`" for id_ in row.lost[:SHOWN_FLIPS])
        more = f" and {len(row.lost) - SHOWN_FLIPS:,} more" * (len(row.lost) > SHOWN_FLIPS)
        parts.append(
            f"Lost in {markdown_text(row.label)}: {shown}{more} "
            f"(`vipbench show {markdown_text(str(outcome.new.folder))} ID` prints one)"
        )
    parts += [f"- rounding: {markdown_text(line)}" for line in outcome.rounding]
    parts += [f"- differs: {markdown_text(note)}" for note in outcome.notes]
    return markdown_page(parts)


def junit(outcome: Gate) -> str:
    """Write the verdict as JUnit XML: a test case a difference, a row and each other finding."""
    n_failed, differences = len(outcome.failures), outcome.apart.differences
    suite = Xml.Element(
        "testsuite",
        name="vipbench gate",
        tests=str(len(differences) + len(outcome.rows) + len(outcome.findings)),
        failures=str(n_failed),
        errors="0",
        skipped="0",
    )
    failing = outcome.apart.forbidden(outcome.allowed)
    for difference in differences:
        case = Xml.SubElement(suite, "testcase", classname="differences", name=difference.name)
        words = xml_text(difference.words)
        if difference in failing:
            Xml.SubElement(case, "failure", message=words, type="difference")
        else:
            Xml.SubElement(case, "system-out").text = f"allowed: {words}"
    for row in outcome.rows:
        case = Xml.SubElement(
            suite, "testcase", classname=xml_text(row.task), name=xml_text(row.label)
        )
        message = (
            f"{points(row.difference)} points, upper bound {points(row.upper)}, allowed "
            f"{points(-row.max_drop)}, p {p_text(row.p_holm)} (Holm), n {row.n}"
        )
        if row.failed:
            failure = Xml.SubElement(case, "failure", message=message, type="worse")
            failure.text = xml_text("lost: " + ", ".join(row.lost))
        else:
            Xml.SubElement(case, "system-out").text = message
    for finding in outcome.findings:
        name = f"{finding.task} {finding.about}"
        case = Xml.SubElement(
            suite, "testcase", classname=xml_text(finding.task), name=xml_text(name)
        )
        if finding.failed:
            Xml.SubElement(case, "failure", message=xml_text(finding.message), type=finding.about)
        else:
            Xml.SubElement(case, "system-out").text = xml_text(f"warning: {finding.message}")
    if lines := overlap_lines(outcome):
        Xml.SubElement(suite, "system-out").text = xml_text("; ".join(lines))
    whole = Xml.Element("testsuites", tests=suite.get("tests", ""), failures=str(n_failed))
    whole.append(suite)
    Xml.indent(whole)
    body = Xml.tostring(whole, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'
