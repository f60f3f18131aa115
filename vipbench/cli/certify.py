"""`vipbench certify`: count the answers that rounding flips, and write the certificate."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, read_fields, record_command
from vipbench.cli.printing import CONSOLE, print_columns, put
from vipbench.option import Option

SHOWN_FLIPS = 10
SHOWN_LETTERS = 40


@record_command(
    app,
    "certify",
    fields=(
        *(
            "model",
            "base",
            "adapter",
            "runner",
            "dtype",
            "quantize",
            "device",
            "batch_size",
            "token_budget",
            "prompt_format",
        ),
        *("suite", "tasks", "data", "include", "seed"),
    ),
    words={
        "runner": Option("What answers: vipllava or hf.", metavar="NAME"),
        "suite": Option("Where the samples are from.", metavar="NAME", unset="demo"),
    },
    before={"n": "suite"},
)
def certify(
    raw: RawValues,
    n: Annotated[
        int, typer.Option("--n", metavar="N", min=1, help="Samples in all, as many of each task.")
    ] = 200,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The certificate.",
            show_default="results/certificates/<settings>.json",
        ),
    ] = None,
) -> None:
    """Count the answers that rounding flips, and write the numerics certificate.

    The same samples are answered one at a time in float32, and as a run with these settings does.
    Such a run, and `vipbench gate` and `compare` after it, find the certificate.
    """
    from vipbench import certify as certificates
    from vipbench.run.defaults import with_defaults
    from vipbench.run.settings import RunSettings
    from vipbench.validation import checked

    fields = read_fields(RunSettings, raw)
    settings = with_defaults(
        checked(RunSettings, fields, "vipbench certify", places=raw.places), CONSOLE
    )
    path, certificate = certificates.certify(settings, n, out, console=CONSOLE)
    print_columns(list(certificates.report(certificate).items()))
    flips = [
        (
            flip.task,
            flip.id,
            _shown(flip.text_reference),
            _shown(flip.error if flip.text is None else flip.text),
        )
        for flip in certificate.flips[:SHOWN_FLIPS]
    ]
    if flips:
        put()
        print_columns([("task", "id", "float32", str(certificate.dtype)), *flips])
    if certificate.n_flipped > SHOWN_FLIPS:
        put(f"and {certificate.n_flipped - SHOWN_FLIPS:,} more")
    put(path)


def _shown(text: str | None) -> str:
    """Write an answer in one line that fits."""
    shown = ascii(text or "")[1:-1] if text and not text.isprintable() else text or ""
    return f"{shown[: SHOWN_LETTERS - 1]}…" if len(shown) > SHOWN_LETTERS else shown
