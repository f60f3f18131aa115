"""`vipbench verify`: check an archive of `vipbench kit`."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.printing import put, put_json


@app.command()
def verify(
    archive: Annotated[
        Path,
        typer.Argument(help="What `vipbench kit` has packed.", show_default=False),
    ],
    digest: Annotated[
        str | None,
        typer.Option(
            metavar="HEX", help="What the digest over all should be.", show_default="not compared"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check an archive of `vipbench kit` as far as that needs no data and no model.

    Members and digests, scores from answers, rows from scores, verdicts from rows. Exit code 1 if
    anything is not what was packed or does not follow, 2 if the archive cannot be read.
    """
    from vipbench.kit.verify import verify as check

    found = check(archive, digest)
    if as_json:
        put_json(
            {
                "digest": found.contents.digest,
                "run_id": found.contents.run_id,
                "about": found.about,
                "confirmed": list(found.confirmed),
                "unchecked": list(found.unchecked),
                "verdict": found.verdict,
            }
        )
        return
    put(found.verdict)
    put(found.about)
    put(f"digest {found.contents.digest}")
    put("Confirmed:")
    for text in found.confirmed:
        put(f"  {text}")
    put("Not checked:")
    for text in found.unchecked:
        put(f"  {text}")
