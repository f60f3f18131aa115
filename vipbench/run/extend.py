"""A finished run that grows: other styles, tasks or samples beside what is answered already.

What was asked before is neither planned nor asked again, so that its answers stay what they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vipbench.data.tasks import load_task
from vipbench.errors import RunError
from vipbench.files import read_lines
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.differing import told
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RUN_ADVICE
from vipbench.runfolder.lines import TrialId, trial_id
from vipbench.runfolder.manifest import IMPORTED, Added, Identity, Manifest, trial_digest
from vipbench.schema import Fit, Trial
from vipbench.trials.selection import CUSTOM, Selection, TaskChoice, select


@dataclass(slots=True)
class Earlier:
    """A run that is extended, or was."""

    folder: Path
    manifest: Manifest
    is_extended: bool
    """Whether it is extended now; else the command may mean all of it, or a part."""
    fault: str = ""
    """Why the trials are not those of the run, and more; empty where they are."""

    @property
    def next_segment(self) -> int:
        """The segment that asks what no earlier one has asked."""
        segments = self.manifest.all_segments
        is_under_way = len(segments) > 1 and self.manifest.finished is None
        return len(segments) - is_under_way

    def placed(self, trials: Iterator[Trial]) -> Iterator[Trial]:
        """Yield all trials of the whole run, each with its segment; note a fault."""
        known = dict(self._asked())
        for trial in trials:
            segment, facts = known.pop(trial_id(trial), (self.next_segment, None))
            if facts not in (None, trial_digest(trial)) and not self.fault:
                self.fault = f"{' '.join(trial_id(trial))} was asked or scored otherwise before"
            yield trial.model_copy(update={"segment": segment}) if segment else trial
        if known and not self.fault:
            more = f", and {len(known) - 1:,} more" if len(known) > 1 else ""
            self.fault = f"{' '.join(next(iter(known)))} was asked before and is not now{more}"

    def _asked(self) -> Iterator[tuple[TrialId, tuple[int, bytes]]]:
        """Yield what was asked so far: the segment, and a digest of what it depends on."""
        for trial in read_lines(self.folder / REQUESTS, Trial, RUN_ADVICE):
            yield trial_id(trial), (trial.segment, trial_digest(trial))


def earlier_run(settings: RunSettings) -> Earlier | None:
    """Return the run in the user's folder, if it is extended now, or was.

    Raises:
        RunError: There is none to extend, or it cannot be extended.
    """
    out = settings.out
    if not settings.extend:
        if out is None or settings.fresh or not (out / MANIFEST).is_file():
            return None
        manifest = manifests.read(out)
        return Earlier(out, manifest, is_extended=False) if manifest.segments else None
    for given, option in (
        (settings.fresh, "--fresh"),
        (settings.shard is not None, f"--shard {settings.shard}"),
    ):
        if given:
            raise RunError(
                f"--extend with {option}: cannot be combined · extend a finished run, or the one "
                "that `vipbench merge` has made of its shards"
            )
    if out is None or not (out / MANIFEST).is_file():
        where = "no -o" if out is None else f"-o {out}, which holds no run"
        raise RunError(f"--extend: {where} · expected the folder of a finished run as -o RUN")
    manifest = manifests.read(out)
    if manifest.shard is not None:
        raise RunError(
            f"{out}: is shard {manifest.shard} of a run · expected a whole run · put the shards "
            "together with `vipbench merge`, and extend what it writes"
        )
    if manifest.identity.runner == IMPORTED:
        raise RunError(
            f"{out}: holds imported answers · expected a run that asks · give all files to "
            "`vipbench import` together"
        )
    return Earlier(out, manifest, is_extended=True)


def with_run(settings: RunSettings) -> RunSettings:
    """Fill in what the user leaves out, as the run has it: suite, tasks and samples.

    Raises:
        RunError: There is no run to extend, or not in this way.
    """
    earlier = earlier_run(settings) if settings.extend else None
    if earlier is None:
        return settings
    folder, identity = earlier.folder, earlier.manifest.identity
    suite = None if identity.suite == CUSTOM else identity.suite
    if settings.suite not in (None, suite):
        raise RunError(
            f"--suite {settings.suite} with --extend: {folder} is a run of "
            f"{f'suite {suite}' if suite else 'tasks without a suite'}, which says how they are "
            "asked and read · expected --tasks NAME"
        )
    has_tasks = bool(settings.tasks) or settings.suite is not None
    asked = [[style.name for style in styles] for styles in identity.styles.values()]
    shared = ";".join(asked[0]) if all(names == asked[0] for names in asked) else None
    return settings.model_copy(
        update={
            "suite": suite,
            "tasks": settings.tasks if has_tasks else tuple(identity.tasks),
            "styles": settings.styles if settings.styles is not None else shared,
            "limit": _limit(settings, folder, identity),
            "ids": _ids(settings, folder, identity),
        }
    )


def _limit(settings: RunSettings, folder: Path, identity: Identity) -> int | str | None:
    """Return how many samples are asked of each task in all; `all` is said outright."""
    if settings.limit is None or settings.limit == identity.limit:
        return identity.limit
    if identity.limit is None and settings.limit != "all":
        has = f"{len(identity.ids)} samples by --ids" if identity.ids else "all samples"
        raise RunError(
            f"--limit {settings.limit} with --extend: {folder} asks {has} of each task · leave "
            "--limit out"
        )
    if settings.limit != "all" and identity.limit and settings.limit < identity.limit:
        raise RunError(
            f"--limit {settings.limit} with --extend: {folder} asks {identity.limit} samples of "
            f"each task already · expected more, or --limit all"
        )
    return settings.limit


def _ids(settings: RunSettings, folder: Path, identity: Identity) -> tuple[str, ...]:
    """Return the samples that are asked in all, where they are named."""
    added = set(settings.ids) - set(identity.ids)
    if added and not identity.ids:
        drawn = "all samples" if identity.limit is None else f"{identity.limit} samples by --limit"
        raise RunError(
            f"--ids {' '.join(sorted(added)[:3])} with --extend: {folder} asks {drawn} of each task"
            " · expected --limit N, --limit all or neither"
        )
    return tuple(sorted({*identity.ids, *added}))


def joined(
    selection: Selection, settings: RunSettings, earlier: Earlier, hint: tuple[Fit | None, str]
) -> Selection:
    """Return what the run asks and what the command adds to it, in this order.

    Args:
        selection: what the command names.
        settings: of the command, filled in by `with_run`.
        earlier: the run.
        hint: the checkpoint's fit, and where it says so, as `select` takes them.

    Raises:
        TaskError: A task or style of the run is no more.
        DataError: Its data cannot be found.
    """
    identity = earlier.manifest.identity
    there = {}
    for task, styles in identity.styles.items():
        again = select(
            suite=settings.suite,
            tasks=(task,),
            styles=";".join(style.name for style in styles),
            data=settings.data,
            include=settings.include,
            fit=settings.fit,
            fit_hint=hint[0],
            fit_hint_from=hint[1],
        )
        there[task] = again.tasks[0]
    named = {choice.spec.name: choice for choice in selection.tasks}
    choices = [
        _with_styles(choice, named.get(task) if settings.styles else None)
        for task, choice in there.items()
    ]
    choices += [choice for task, choice in named.items() if task not in there]
    joints = {
        name: load_task(name, settings.include)
        for name in identity.tasks
        if name not in identity.styles
    }
    joints |= {joint.name: joint for joint in selection.joints}
    return selection._replace(tasks=tuple(choices), joints=tuple(joints.values()))


def _with_styles(choice: TaskChoice, added: TaskChoice | None) -> TaskChoice:
    """Return a task as the run asks it, under further styles."""
    styles = {style.name: style for style in choice.styles}
    for style in added.styles if added else ():
        styles.setdefault(style.name, style)
    return choice._replace(styles=tuple(styles.values()))


def added(previous: Identity, current: Identity, *, has_samples: bool) -> tuple[Added, ...]:
    """Say what a run is extended by."""
    found: dict[Added, bool] = {
        "styles": any(
            {style.name for style in current.styles[task]} > {style.name for style in styles}
            for task, styles in previous.styles.items()
        ),
        "tasks": current.tasks.keys() > previous.tasks.keys(),
        "samples": has_samples,
    }
    return tuple(name for name, is_so in found.items() if is_so)


def check_addition(earlier: Earlier, current: Identity) -> None:
    """Refuse an extension that changes what the run is; RunError shows the difference."""
    folder, manifest = earlier.folder, earlier.manifest
    if manifest.finished is None:
        raise RunError(
            f"{folder}: is not finished · give the command that began it, then extend it"
        )
    if manifest.state is not None:
        raise RunError(
            f"{folder}: was stopped early, by a gate or a race · ask all that it holds first: "
            "`vipbench run --extend` without further styles, tasks or samples"
        )
    if found := manifests.conflicts(manifest.identity, current, free=("limit", "ids")):
        raise RunError(
            f"{folder}: cannot be extended by this command, which changes {told(found)} · "
            "expected further styles, tasks or samples, and all else as the run has it"
        )
    if earlier.fault:
        raise RunError(
            f"{folder}: {earlier.fault} · expected all that the run holds, and more · give its "
            "data and settings, or another -o"
        )


def is_part(manifest: Manifest, identity: Identity) -> bool:
    """Say whether a run is all that this one was before it was extended."""
    digest = manifests.identity_digest(identity)
    return any(segment.identity == digest for segment in manifest.segments[:-1])
