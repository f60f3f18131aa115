"""`vipbench kit`: ask the paper's questions on one's own machine, and pack what comes out."""

from typing import TYPE_CHECKING

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_tables, put, put_sentence
from vipbench.option import Option

if TYPE_CHECKING:
    from vipbench.kit.make import Kit
    from vipbench.kit.settings import KitSettings

FIELDS = (
    *("model", "base", "adapter", "runner", "dtype", "quantize", "device"),
    *("batch_size", "token_budget", "prompt_format", "workers", "loaders"),
    *("suite", "tasks", "data", "include", "limit", "hours", "seed", "max_errors"),
    *("n_certificate", "n_bench", "fresh", "out"),
)


def _settings() -> "type[KitSettings]":
    from vipbench.kit.settings import KitSettings

    return KitSettings


@record_command(
    app,
    "kit",
    _settings,
    fields=FIELDS,
    words={
        "model": Option("Checkpoint folder or hub id.", metavar="MODEL", unset="none"),
        "runner": Option("What answers: vipllava or hf.", metavar="NAME"),
        "suite": Option("What is asked; demo tries the kit itself.", metavar="NAME", unset="paper"),
        "fresh": Option("Redo what an earlier start did."),
        "out": Option(
            "The kit's folder.", metavar="DIR", unset="results/kit", flags=("-o", "--out")
        ),
    },
)
def kit(raw: RawValues) -> None:
    """Ask the paper's questions on this machine, and pack what comes out into one archive.

    Runs the suite, the numerics certificate, the bench and the comparison with published numbers;
    the same command goes on where it was stopped. The archive holds no images, questions or paths.
    """
    from vipbench.kit.make import make_kit
    from vipbench.kit.settings import KitSettings
    from vipbench.validation import checked

    fields = read_fields(KitSettings, raw)
    settings = checked(KitSettings, fields, "vipbench kit", places=raw.places)
    _print(make_kit(settings, CONSOLE))


def _print(made: "Kit") -> None:
    from vipbench.analysis.reproduce.screen import screen
    from vipbench.report.terminal import plain_table

    shown = screen(made.outcome)
    put(shown.top[0])
    if shown.table is not None:
        print_tables(plain_table(shown.table))
    put()
    put(f"archive  {made.archive}")
    put(f"digest   {made.digest}")
    put_sentence(
        f"form     {made.submission}  (fill in who and where; see results/community)", indent=9
    )
    for name, why in made.missing.items():
        put_sentence(f"without  {name}: {why}", indent=9)
