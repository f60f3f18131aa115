"""text: part of what was vipbench/analysis/reproduce/verdicts.py."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from rich.table import Table
from rich.text import Text

from vipbench import files
from vipbench.analysis.reproduce.published import Published
from vipbench.analysis.reproduce.records import Comparison, Ours, Reproduction, Unlisted, Verdict
from vipbench.report.text import MISSING
from vipbench.runfolder.summary import ALL

# --- what is printed and written


def write(found: Reproduction, out: Path) -> list[Path]:
    """Write `reproduce.md` and `reproduce.json` to a folder; returns the paths written."""
    paths = [out / "reproduce.json", out / "reproduce.md"]
    files.write_json(paths[0], found.model_dump(mode="json"))
    files.write_text(paths[1], [_markdown(found)])
    return paths


def summary(found: Reproduction) -> str:
    """Say in one sentence what came out."""
    counts: dict[Verdict, int] = {
        verdict: len(found.verdicts(verdict)) for verdict in ("reproduced", "outside")
    }
    if not any(counts.values()):
        return "No published number is comparable with what was run."
    n = sum(counts.values())
    of = f"Of {n} comparable published number{'s' * (n != 1)}, "
    return f"{of}{counts['reproduced']} reproduced, {counts['outside']} outside."


_HEADER = ("task", "published", "value", "ours", "points", "verdict")


def table(found: Reproduction) -> Table:
    """Lay out all verdicts for a terminal; loses no letter in a narrow one."""
    made = Table(title=Text("published numbers, % [95 % interval]"), title_justify="left")
    for name in _HEADER:
        right = name in ("value", "ours", "points")
        made.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for each in found.comparisons:
        made.add_row(*map(Text, _cells(each)))
    return made


def _cells(each: Comparison) -> tuple[str, ...]:
    number = each.published
    group = "" if number.group == ALL else f" {number.group}"
    return (
        f"{number.task}{group}",
        number.system,
        f"{number.value:g}",
        _percent(each.ours),
        MISSING if each.points is None else f"{each.points:+.2f}",
        _verdict_text(each),
    )


def _verdict_text(each: Comparison) -> str:
    codes = dict.fromkeys(reason.code for reason in each.reasons)
    return f"{each.verdict}: {', '.join(codes)}" if codes else each.verdict


def _percent(ours: Ours | None) -> str:
    if ours is None or ours.accuracy is None or ours.ci_low is None or ours.ci_high is None:
        return MISSING
    return f"{100 * ours.accuracy:.2f} [{100 * ours.ci_low:.2f}, {100 * ours.ci_high:.2f}]"


def details(found: Reproduction) -> list[str]:
    """Return what stands under the table, line by line: all that a verdict rests on."""
    lines: list[str] = []
    for each in found.comparisons:
        lines.append(title(each))
        lines += [f"  {name:<10} {text}" for name, text in _facts(each)]
    lines += [_unlisted_text(each) for each in found.unlisted]
    return lines


def title(each: Comparison) -> str:
    """Name a published number and its verdict in one line."""
    number = each.published
    group = "" if number.group == ALL else f" {number.group}"
    return f"{number.task}{group}, {number.system} {number.value:g}: {each.verdict}"


def _facts(each: Comparison) -> list[tuple[str, str]]:
    """Return name and text of everything that is known of a comparison."""
    number = each.published
    facts = [("because", reason.text) for reason in each.reasons]
    facts.append(("run", f"{', '.join(each.runs)} ({each.model})"))
    if each.ours is not None:
        facts.append(("ours", _ours_text(each.ours, each.seeds)))
    if each.points is not None:
        facts.append(("difference", f"{each.points:+.2f} points"))
    facts.append(("source", _source(number)))
    if number.remarks:
        facts.append(("remark", number.remarks))
    facts += [
        ("differs", f"{each.what}: {each.run}; published: {each.published}")
        for each in each.differences
    ]
    facts += [
        ("disagrees", f"{other.value:g} ({other.system}): {_source(other)}")
        for other in each.disagreeing
    ]
    return facts


def _ours_text(ours: Ours, seeds: Sequence[int]) -> str:
    text = f"{_percent(ours)}, n {ours.n:,} of {ours.n_expected:,}, {ours.metric}, {ours.style}"
    if ours.spread is not None and ours.accuracy is not None:
        each = ", ".join(f"{100 * accuracy:.2f}" for accuracy in ours.by_seed)
        mean, spread = 100 * fmean(ours.by_seed), 100 * ours.spread
        text += f"; {mean:.2f} ± {spread:.2f} over {len(seeds)} seeds ({each})"
    return text


def _source(number: Published) -> str:
    parts = [number.source, number.table, number.url or "no address known"]
    return ", ".join(part for part in parts if part)


def _unlisted_text(each: Unlisted) -> str:
    reasons = "; ".join(reason.text for reason in each.reasons)
    head = f"{each.task}, {', '.join(each.runs)} ({each.model}): "
    if each.n == 0:
        text = "not comparable: no published number is known for this task"
    else:
        numbers = f"{each.n} published number{'s' * (each.n != 1)}"
        text = f"{numbers} of other systems not listed (--all lists them)"
        text = f"not comparable: {reasons}; {text}" if reasons else text
    return head + text


def _markdown(found: Reproduction) -> str:
    """Write the table, then a section on each number."""
    notes = [
        summary(found),
        "A published number is reproduced where it lies inside our 95 % interval, clustered by "
        f"image and widened by {found.widening:g} points on each side. Percent throughout.",
    ]
    parts = ["# Published numbers and these runs", *notes]
    if found.comparisons:
        lines = [_line(_HEADER), "|" + " --- |" * len(_HEADER)]
        lines += [_line(_cells(each)) for each in found.comparisons]
        parts.append("\n".join(lines))
    for each in found.comparisons:
        facts = [*_facts(each), ("published protocol", each.protocol.text)]
        items = "\n".join(f"- {name}: {_escaped(text)}" for name, text in facts)
        parts += [f"## {_escaped(title(each))}", items]
    if found.unlisted:
        items = "\n".join(f"- {_escaped(_unlisted_text(each))}" for each in found.unlisted)
        parts += ["## Not listed", items]
    return "\n\n".join(parts) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|<`*])", r"\\\1", " ".join(text.split()))
