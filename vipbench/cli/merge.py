"""`vipbench merge`: put the shards of a run together, or runs of one model."""

from pathlib import Path
from typing import Annotated

import typer

from vipbench.cli.app import app
from vipbench.cli.options import RawValues, record_command
from vipbench.cli.printing import print_results


@record_command(app, "merge", fields=("max_errors",), before={"out": "max_errors"})
def merge(
    raw: RawValues,
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="What `vipbench run --shard` has written, or finished runs of one model.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="PATH", help="The run folder.", show_default=False),
    ],
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a run that is there.")] = False,
) -> None:
    """Put all shards of a run together, or runs of one model, and score it as if asked at once.

    Runs may differ in tasks and styles; what two of them ask is answered by the first.
    """
    from vipbench.run.merge import merge as put_together

    print_results(put_together(folders, out, fresh=fresh, max_errors=raw["max_errors"]))
