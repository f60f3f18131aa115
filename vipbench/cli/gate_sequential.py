"""`vipbench gate --sequential`: ask a checkpoint until it is known whether it got worse."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vipbench.cli.options import RawValues, read_fields
from vipbench.cli.printing import CONSOLE, print_tables, put, put_sentence, say
from vipbench.errors import CheckFailed, RunError

if TYPE_CHECKING:
    from vipbench.analysis.gate import Thresholds
    from vipbench.analysis.pairs import Side
    from vipbench.run.settings import RunSettings

GATE_COLUMNS = 80
"""Width of the table in a file or a pipe."""


def check_options(others: Mapping[str, bool]) -> None:
    """Refuse options of the other gate; RunError."""
    given = [option for option, is_given in others.items() if is_given]
    if given:
        raise RunError(
            f"{given[0]} with --sequential: cannot be combined · it is for two finished runs: "
            "leave one of the two out"
        )


def base_of(runs: Sequence[str], base_summary: Path | None) -> "Side":
    """Return the base; RunError where it is not one."""
    from vipbench.analysis.baselines import read_baseline
    from vipbench.analysis.pairs import read_side
    from vipbench.report.text import counted

    n = 1 if base_summary is None else 0
    if len(runs) != n:
        shown = f" ({', '.join(runs)})" if runs else ""
        expected = "BASE alone: the new run is asked now" if n else "no run beside the summary"
        raise RunError(
            f"gate --sequential: got {counted(len(runs), 'run')}{shown} · expected {expected}"
        )
    return read_side(runs[0]) if base_summary is None else read_baseline(base_summary)


def settings(raw: RawValues, block: int | None) -> "RunSettings":
    """Return the settings of the new run, as far as they are given."""
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.manifest import Blocks
    from vipbench.trials.blocks import DEFAULT
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    blocks = DEFAULT if block is None else Blocks(size=block)
    fields |= {"variables": raw.variables, "blocks": blocks}
    return checked(RunSettings, fields, "vipbench gate")


def run_gate(
    base: "Side",
    given: "RunSettings",
    thresholds: "Thresholds",
    by: Sequence[str],
    allowed: Collection[str],
    paths: tuple[Path | None, Path | None],
) -> None:
    """Ask, and print what came of it, with JUnit XML and Markdown in the files of `paths`.

    Raises:
        CheckFailed: A row has dropped.
    """
    from vipbench import files
    from vipbench.analysis import gate_text
    from vipbench.report.terminal import FittingTable, SparingTable
    from vipbench.run.defaults import with_defaults
    from vipbench.sequential import gate as gates
    from vipbench.sequential import gate_text as text

    asked = with_defaults(gates.settings_of(base, given), CONSOLE)
    result = gates.sequential_gate(base, asked, thresholds, CONSOLE, by=by, allow=allowed)
    for path, write in zip(paths, (text.junit, text.summary), strict=True):
        if path is not None:
            files.write_text(path, [write(result)])
    for line in text.difference_lines(result):
        say(line)
    table = FittingTable(text.tables(result), (), len(result.rows))
    print_tables(table, columns=GATE_COLUMNS)
    for sentence in text.sentences(result):
        put_sentence(sentence)
    if result.whole is not None:
        grid = gate_text.table(result.whole)
        print_tables(SparingTable(grid, gate_text.SPARE, "--summary FILE", "row"))
        put_sentence(gate_text.verdict(result.whole))
        put_sentence(text.APART)
    put(result.new.path)
    if result.dropped:
        raise CheckFailed(text.verdict(result))
    put_sentence(text.verdict(result))
