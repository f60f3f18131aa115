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


def base_of(runs: Sequence[str], base_summary: Path | None, base_model: str | None) -> "Side | str":
    """Return the base, or the model that is asked for it; RunError where it is not one."""
    from vipbench.analysis.baselines import read_baseline
    from vipbench.analysis.pairs import read_side
    from vipbench.report.text import counted

    if base_model is not None:
        given = [*runs, *(["--base-summary"] if base_summary is not None else [])]
        if given:
            raise RunError(
                f"--base-model {base_model} with {given[0]}: two bases · expected one: a finished "
                "run, its summary, or a model that is asked now"
            )
        return base_model
    n = 1 if base_summary is None else 0
    if len(runs) != n:
        shown = f" ({', '.join(runs)})" if runs else ""
        expected = (
            "BASE alone: the new run is asked now · or --base-model MODEL, which is asked as well"
            if n
            else "no run beside the summary"
        )
        raise RunError(
            f"gate --sequential: got {counted(len(runs), 'run')}{shown} · expected {expected}"
        )
    return read_side(runs[0]) if base_summary is None else read_baseline(base_summary)


def settings(raw: RawValues, block: int | None, base: "Side | str") -> "RunSettings":
    """Return the settings of the new run, as far as they are given.

    Raises:
        RunError: Something is given that a finished base says.
        VipbenchError: An option cannot be read.
    """
    from vipbench.cli.gate import WHAT
    from vipbench.cli.options import field_options, typed_words
    from vipbench.run.settings import RunSettings
    from vipbench.runfolder.manifest import Blocks
    from vipbench.trials.blocks import DEFAULT
    from vipbench.validation import checked

    what = typed_words(field_options(RunSettings, WHAT), raw)
    if what and not isinstance(base, str):
        raise RunError(
            f"{what[0]}: {base.name} says what is asked, so that both runs are asked the same · "
            f"leave it out · or give a model in place of the base: --base-model"
        )
    fields = read_fields(RunSettings, raw)
    blocks = DEFAULT if block is None else Blocks(size=block)
    fields |= {"variables": raw.variables, "blocks": blocks}
    return checked(RunSettings, fields, "vipbench gate")


def run_gate(
    base: "Side | str",
    given: "RunSettings",
    thresholds: "Thresholds",
    by: Sequence[str],
    allowed: Collection[str],
    paths: tuple[Path | None, Path | None],
) -> None:
    """Ask, and print what came of it, with JUnit XML and Markdown in the files of `paths`.

    `base` is a finished run, or a model that is asked as well.

    Raises:
        CheckFailed: A row has dropped.
    """
    from vipbench import files
    from vipbench.analysis import gate_text
    from vipbench.report.terminal import SparingTable
    from vipbench.run.defaults import with_defaults
    from vipbench.sequential import gate as gates
    from vipbench.sequential import gate_text as text

    held: Side | RunSettings
    if isinstance(base, str):
        held, asked = gates.settings_of_both(with_defaults(given, CONSOLE), base)
    else:
        held, asked = base, with_defaults(gates.settings_of(base, given), CONSOLE)
    result = gates.sequential_gate(held, asked, thresholds, CONSOLE, by=by, allow=allowed)
    for path, write in zip(paths, (text.junit, text.summary), strict=True):
        if path is not None:
            files.write_text(path, [write(result)])
    for line in text.difference_lines(result):
        say(line)
    table = SparingTable(text.table(result), text.SPARE, "--summary FILE", "row")
    print_tables(table, columns=GATE_COLUMNS)
    for sentence in text.sentences(result):
        put_sentence(sentence)
    if result.whole is not None:
        grid = gate_text.table(result.whole)
        print_tables(SparingTable(grid, gate_text.SPARE, "--summary FILE", "row"))
        put_sentence(gate_text.verdict(result.whole))
        put_sentence(text.APART)
    for results in (result.old, result.new):
        if results is not None:
            put(results.path)
    if result.dropped:
        raise CheckFailed(text.verdict(result))
    put_sentence(text.verdict(result))
