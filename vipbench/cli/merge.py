"""`vipbench merge`: put the shards of a run together."""

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
            metavar="SHARD...", help="What `vipbench run --shard` has written.", show_default=False
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="PATH", help="The run folder.", show_default=False),
    ],
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a run that is there.")] = False,
) -> None:
    """Put all shards of a run together, and score it as if one machine had asked all."""
    from vipbench.run.merge import merge as put_together

    print_results(put_together(folders, out, fresh=fresh, max_errors=raw["max_errors"]))
