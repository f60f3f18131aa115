"""The same run under several seeds, and the spread over them."""

from pathlib import Path

from vipbench import files
from vipbench.console import QUIET, Console
from vipbench.errors import RunError
from vipbench.report.names import called, named
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.runfolder.summary import SeedRow
from vipbench.scoring import summary

SEEDS = "seeds.json"


def run_seeds(
    settings: RunSettings, n: int, console: Console = QUIET
) -> tuple[Path, list[SeedRow]]:
    """Run the same with `n` seeds, from `settings.seed` on, and sum up the spread over them.

    Drawing, wording and sampling depend on the seed; the samples of `limit` are the same ones under
    each. Each seed has its run folder: `seed-<n>` below
    `settings.out`, or as `run` names it.

    Returns:
        The file that was written, `seeds.json` in `settings.out` or beside the run folders; and its
        rows.

    Raises:
        VipbenchError: As `run`.
    """
    if settings.shard is not None:
        raise RunError(
            f"--seeds with --shard {settings.shard}: a shard has no scores · give one --seed a run"
        )
    if settings.extend:
        raise RunError("--seeds with --extend: several runs · extend the run of each --seed")
    done = []
    for seed in range(settings.seed, settings.seed + n):
        out = settings.out / f"seed-{seed}" if settings.out else None
        changes = {"seed": seed, "subset_seed": settings.seed, "out": out}
        done.append(run(settings.model_copy(update=changes), console))
    first = done[0].path
    names = named(called(first, done[0].manifest))
    rows = [
        row.model_copy(update=names)
        for row in summary.over_seeds([results.rows for results in done])
    ]
    path = settings.out / SEEDS if settings.out else first.with_name(f"{first.name}-{n}-{SEEDS}")
    files.write_json(path, [row.model_dump(mode="json") for row in rows])
    return path, rows
