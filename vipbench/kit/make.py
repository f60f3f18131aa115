"""The course of a kit: plan, run, certificate, bench, verdicts, archive; each resumes.

The same command goes on where it was stopped: answers that are on the disk are not asked again, and
what is finished is not done again.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from vipbench import certify as certificates
from vipbench import files
from vipbench.analysis.reproduce.records import Reproduction
from vipbench.bench.driver import bench
from vipbench.bench.settings import BenchSettings
from vipbench.console import QUIET, Console
from vipbench.errors import RunInterrupted, VipbenchError
from vipbench.kit import pack, plan
from vipbench.kit.members import BENCH, CERTIFICATE, RUN
from vipbench.kit.plan import Plan
from vipbench.kit.scrub import Scrubber
from vipbench.kit.settings import KIT, SUITE, KitSettings
from vipbench.run.defaults import with_defaults
from vipbench.run.loop import run
from vipbench.run.merge import merge
from vipbench.run.settings import VIPLLAVA

BEGUN = "begun"
"""Folder of the run, until it holds what the probe has asked."""
SCRATCH = "certify"
"""Folder of the certificate's two runs, until it is written."""


class Kit(NamedTuple):
    """What a kit has come to."""

    archive: Path
    digest: str
    """Over all members."""
    submission: Path
    """A draft of the form that goes with the archive."""
    outcome: Reproduction
    missing: dict[str, str]
    """Part that could not be made -> why."""


def make_kit(settings: KitSettings, console: Console = QUIET) -> Kit:
    """Ask, certify, measure, compare with published numbers and pack; or go on where it stopped.

    Args:
        settings: what to ask, of which model.
        console: takes what the user should know; shows bars.

    Raises:
        RunInterrupted: Ctrl-C; the same command resumes.
        VipbenchError: Settings, data or model cannot be used, too many samples failed, or the disk
            is full. A certificate or a bench that cannot be made is noted and left out.
    """
    folder = settings.out or KIT
    if settings.suite is None:
        settings = settings.model_copy(update={"suite": SUITE})
    with files.locked(folder):
        if settings.fresh:
            _remove(folder)
        filled = with_defaults(settings, console)
        assert isinstance(filled, KitSettings)
        settled = plan.settle(folder, filled, console)
        asked = filled.model_copy(
            update={
                "tasks": settled.tasks,
                "limit": settled.limit,
                "fresh": False,
                "out": folder / RUN,
            }
        )
        _ask(folder, asked, settled, console)
        missing = _measure(folder, asked, console)
        return _packed(folder, filled, settled, missing)


def _ask(folder: Path, asked: KitSettings, settled: Plan, console: Console) -> None:
    """Ask what was settled; what the probe has asked of it is not asked again."""
    out = folder / RUN
    probes = [folder / plan.PROBES / task for task in settled.measured if task in settled.tasks]
    if probes and not out.exists():
        begun = folder / BEGUN
        if len(probes) > 1:
            merge(probes, begun, fresh=True, max_errors=1)
        else:
            shutil.rmtree(begun, ignore_errors=True)
            shutil.copytree(probes[0], begun)
        begun.rename(out)
    if probes:
        asked = asked.model_copy(update={"extend": True, "limit": settled.limit or "all"})
    run(asked, console)


def _measure(folder: Path, asked: KitSettings, console: Console) -> dict[str, str]:
    """Make what goes with the answers; return which of it could not be made, and why."""
    missing: dict[str, str] = {}
    steps: tuple[tuple[str, int, Callable[[], object]], ...] = (
        (CERTIFICATE, asked.n_certificate, lambda: _certify(folder, asked, console)),
        (BENCH, asked.n_bench, lambda: _bench(folder, asked, console)),
    )
    for name, n, make in steps:
        if n == 0:
            missing[name] = "was not asked for"
        elif not (folder / name).exists():
            try:
                make()
            except RunInterrupted:
                raise
            except VipbenchError as error:
                missing[name] = str(error)
                console.say(f"{name}: cannot be made, and is left out: {error}")
    return missing


def _certify(folder: Path, asked: KitSettings, console: Console) -> None:
    scratch = folder / SCRATCH
    certificates.certify(
        asked, asked.n_certificate, folder / CERTIFICATE, scratch=scratch, console=console
    )
    shutil.rmtree(scratch)


def _bench(folder: Path, asked: KitSettings, console: Console) -> None:
    if asked.runner != VIPLLAVA:
        raise VipbenchError(f"runner {asked.runner}: is not measured · expected {VIPLLAVA}")
    settings = BenchSettings(
        model=asked.model,
        base=asked.base,
        adapter=asked.adapter,
        quantize=asked.quantize,
        device=asked.device,
        dtype=asked.dtype,
        n=asked.n_bench,
    )
    bench(settings, folder / BENCH, console=console)


def _packed(folder: Path, settings: KitSettings, settled: Plan, missing: dict[str, str]) -> Kit:
    scrubber = Scrubber.of_machine(_own_paths(folder, settings))
    packed = pack.pack(folder, settled, missing, scrubber)
    submission = pack.draft_submission(folder, packed.path, packed.contents, scrubber)
    return Kit(packed.path, packed.contents.digest, submission, packed.outcome, missing)


def _own_paths(folder: Path, settings: KitSettings) -> list[Path]:
    """Return the paths that the user has named, of which nothing is to be packed."""
    sources = settings.data.values()
    given = [settings.model, settings.base, settings.adapter]
    return [
        folder,
        *settings.include,
        *(path for source in sources for path in (source.questions, *files.listed(source.images))),
        *(path for source in sources for path in source.more_images),
        *(Path(each) for each in given if each is not None and Path(each).expanduser().exists()),
    ]


def _remove(folder: Path) -> None:
    """Remove what a kit has left in its folder, and nothing else."""
    for name in (RUN, BEGUN, SCRATCH, plan.PROBES, pack.STAGE, f"{BENCH}.parts"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (plan.PLAN, CERTIFICATE, BENCH, pack.ARCHIVE, pack.SUBMISSION):
        (folder / name).unlink(missing_ok=True)
