"""A run that is asked block by block, of some tasks and styles at a time, until its caller stops.

What was asked before is not asked again: the answers in the folder are read first, so that a run
that was killed takes the same way once more, without a model, and goes on where it was.
"""

import contextlib
import math
from array import array
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from vipbench.console import Console
from vipbench.errors import RunError
from vipbench.run.ask import Answering, load
from vipbench.run.claim import claimed, run_folder
from vipbench.run.prepare import Prepared, prepare
from vipbench.run.resume import Started, resume
from vipbench.run.score import Results, finish
from vipbench.run.settings import RunSettings
from vipbench.run.share import blocks_of
from vipbench.run.together import Joining
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import Answered
from vipbench.runfolder.bound import TABLES
from vipbench.runfolder.folder import MANIFEST, RESPONSES
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.manifest import Blocks
from vipbench.runfolder.summary import read_summary
from vipbench.runfolder.trials_file import Trials
from vipbench.schema import Tags, Trial
from vipbench.scoring.scorers import score_line, shared_tags
from vipbench.trials.blocks import DEFAULT, block_ends, in_order

FAILED = -1.0
"""Stands for the score of a sample that could not be asked, or whose answer failed."""


class Arm(NamedTuple):
    """What is asked, or left out, as one: a task under a style."""

    task: str
    style: str


class BlockRun:
    """A run that is asked block by block; a context manager, which loads the model when needed."""

    def __init__(
        self, settings: RunSettings, console: Console, others: Sequence["BlockRun"] = ()
    ) -> None:
        """Take the settings of the whole run; `settings.blocks` says how it is cut up.

        `others` are open, and it must not be one of them.
        """
        self._others = tuple(others)
        self._settings, self._console = settings, console
        self._stack, self._open = contextlib.ExitStack(), contextlib.ExitStack()
        self._answering: Answering | None = None
        self._was_let_go = False
        self._n_asked = 0

    def __enter__(self) -> Self:
        with self._stack:
            claim = self._stack.enter_context(claimed(self._settings))
            self.prepared: Prepared = prepare(self._settings, claim.draft, self._console)
            self._trials: Trials = self.prepared.trials
            self._check_others()
            self.folder = claim.folder(self.prepared.identity)
            self._has_ended = self._is_ended()
            self._set_started(
                resume(self.folder, self.prepared, self._settings, self._console),
            )
            self.blocks = self._own_blocks()
            self._index_trials()
            self._index_batches()
            self._read_answers()
            self._stack.enter_context(self._open)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _check_others(self) -> None:
        """Refuse a run that is asked already, under another name of its model; RunError."""
        folder = run_folder(self.prepared.identity, self._settings)
        for other in self._others:
            if folder.resolve() == other.folder.resolve():
                raise RunError(
                    f"{self._settings.model} and {other.model}: have the same weights, and are "
                    "asked the same, so that both are one run · expected two models · leave one "
                    "out, or give -o DIR, below which each has a folder"
                )

    @property
    def model(self) -> str | None:
        """The model as the user named it."""
        return self._settings.model

    def _set_started(self, started: Started) -> None:
        self.started = started
        self._left = set(started.todo)

    def _is_ended(self) -> bool:
        """Whether the folder holds a run that was stopped, with its scores."""
        if self._settings.fresh or not (self.folder / MANIFEST).exists():
            return False
        manifest = manifests.read(self.folder)
        has_tables = all(name in manifest.files for name in TABLES)
        return manifest.state is not None and manifest.finished is not None and has_tables

    def _own_blocks(self) -> Blocks:
        """Return how the run is cut up: as it was begun."""
        wanted, blocks = self._settings.blocks or DEFAULT, self.started.manifest.blocks
        if blocks is None and not self.started.is_finished:
            raise RunError(
                f"{self.folder}: holds a run that was begun as a whole, and is not finished · give "
                "the command that began it, another -o, or --fresh to replace it"
            )
        if blocks is not None and blocks != wanted:
            self._console.say(
                f"{self.folder}: keeps the blocks of its first start, of {blocks.size:,} samples "
                "and more"
            )
        return blocks or wanted

    def _index_trials(self) -> None:
        """Find the trials of each arm, and the order of each task's samples."""
        self._indices: dict[Arm, array[int]] = {}
        ids: dict[str, dict[str, int]] = {}
        for index, entry in enumerate(self._trials.entries):
            arm = Arm(entry.name.task, entry.name.style)
            self._indices.setdefault(arm, array("l")).append(index)
            known = ids.setdefault(arm.task, {})
            known.setdefault(entry.name.id, len(known))
        seed = self.prepared.identity.seed
        self._positions = ids
        self._orders = {task: in_order(seed, known) for task, known in ids.items()}
        self._ends = {task: block_ends(len(known), self.blocks) for task, known in ids.items()}
        self._values = array("d", [math.nan]) * len(self._trials)
        for index, entry in enumerate(self._trials.entries):
            if entry.key is None:
                self._values[index] = FAILED

    def _index_batches(self) -> None:
        """Find the batches of each block and arm."""
        self._batches: dict[tuple[int, Arm], list[int]] = {}
        self._joining: Joining | None = None
        if not self.started.plan:
            return
        manifest = self.started.manifest
        if manifest.sharing is not None and manifest.sharing.across:
            self._joining = Joining(self._trials, manifest, self.started.plan)
        block_of = blocks_of(self._trials, self.blocks, self.prepared.identity.seed)
        for number, batch in enumerate(self.started.plan):
            task, style, id_ = self._trials.entries[batch[0]].name
            key = block_of[task, id_], Arm(task, style)
            self._batches.setdefault(key, []).append(number)

    def _read_answers(self) -> None:
        """Score what is answered already."""
        if self.started.is_new or not (self.folder / RESPONSES).exists():
            return
        for trial, response in Answered(self._trials, self.folder / RESPONSES, is_stopped=True):
            self._take(trial, response)

    def _take(self, trial: Trial, response: ResponseLine | None) -> None:
        rule = self.started.manifest.tasks[trial.task].rule
        value = score_line(trial, response, None, rule).value
        arm, id_ = Arm(trial.task, trial.style), trial.id
        index = self._indices[arm][self._positions[trial.task][id_]]
        self._values[index] = FAILED if value is None else value

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All that the run may ask."""
        return tuple(self._indices)

    def order(self, task: str) -> list[str]:
        """Return the samples of a task in the order in which they are asked."""
        return self._orders[task]

    def ends(self, task: str) -> list[int]:
        """Return how many samples of a task have been asked at the end of each block."""
        return self._ends[task]

    def check_blocks(self) -> None:
        """Refuse blocks that somebody chose and that are larger than a task; RunError."""
        wanted = self._settings.blocks
        for task, order in self._orders.items():
            if wanted is not None and wanted != DEFAULT and wanted.size > len(order):
                raise RunError(
                    f"--block {wanted.size}: is more than the {len(order):,} samples of {task}, so "
                    "that nothing could be decided before all is asked · expected less, such as "
                    f"{max(1, len(order) // 20)}, or leave it out"
                )

    def can_ask(self, arm: Arm, id_: str) -> bool:
        """Say whether there is anything to ask of a sample."""
        index = self._indices[arm][self._positions[arm.task][id_]]
        return self._trials.entries[index].key is not None

    def value(self, arm: Arm, id_: str) -> float | None:
        """Return the score of a sample that was asked; None where the answer failed."""
        value = self._values[self._indices[arm][self._positions[arm.task][id_]]]
        if math.isnan(value):
            raise ValueError(f"{arm.task} {arm.style} {id_}: was not asked yet")
        return None if value == FAILED else value

    def joint_value(self, arms: Sequence[Arm], id_: str) -> float | None:
        """Return the score of a sample that was asked as several: right where all are.

        None where an answer failed.
        """
        values = [self.value(arm, id_) for arm in arms]
        known = [value for value in values if value is not None]
        return min(known) if len(known) == len(values) else None

    def tags(self, arms: Sequence[Arm]) -> dict[str, Tags]:
        """Read the tags of samples that are asked as several: those that all have in common."""
        each = zip(*(self._trials.read(self._indices[arm]) for arm in arms), strict=True)
        return {trials[0].id: dict(shared_tags([t.tags for t in trials])) for trials in each}

    def ask(self, block: int, arms: Iterable[Arm]) -> None:
        """Ask a block under some arms, as far as that is not done.

        Raises:
            VipbenchError: The model cannot be loaded or broke its contract, an endpoint answers no
                more or a limit is reached, or the disk is full.
        """
        chosen = tuple(arms)
        todo = self._todo(block, chosen)
        if not todo:
            return
        if self._answering is None:
            self._begin(todo)
            todo = self._todo(block, chosen)  # the batches may be smaller by now
        assert self._answering is not None
        self._answering.ask(todo, self._hear, self._together(block, chosen, todo))
        self._left.difference_update(todo)

    def let_go(self) -> None:
        """Unload the model; the next block that has anything left to ask loads it again."""
        if self._answering is None:
            return
        self._open.close()
        # What is planned and answered by now stays; where to ask and in how many processes, too.
        started = self._answering.started
        self.started = started._replace(todo=sorted(self._left), is_new=False, tried=None)
        self.prepared = self.prepared._replace(trials=self._trials)
        kept = {"fresh": False, "workers": started.manifest.workers}
        self._settings = self._settings.model_copy(update=kept)
        self._answering, self._was_let_go = None, True

    @property
    def n_workers(self) -> int:
        """Processes that answer, or one where that is not settled yet."""
        return self._settings.n_workers

    def _of_block(self, block: int, arms: Sequence[Arm]) -> list[int]:
        batches = (self._batches.get((block, arm), ()) for arm in arms)
        return sorted(number for listed in batches for number in listed)

    def _todo(self, block: int, arms: Sequence[Arm]) -> list[int]:
        return [number for number in self._of_block(block, arms) if number in self._left]

    def _together(
        self, block: int, arms: Sequence[Arm], todo: Sequence[int]
    ) -> list[list[int]] | None:
        """Return the batches that are read as one, as they would be if none were answered yet.

        So the answers are the same after a death between two of them.
        """
        if self._joining is None:
            return None
        left = frozenset(todo)
        joined = self._joining.join(self._of_block(block, arms))
        return [batches for batches in joined if not left.isdisjoint(batches)]

    def _begin(self, first: Sequence[int]) -> None:
        """Load the model, unless nothing is to be asked, and begin the run folder."""
        started = self.started if first else self.started._replace(todo=[])
        session = load(self.prepared, started, self._settings, self._console, first=first)
        self._trials = session.trials
        prepared = 0.0 if self._was_let_go else self.prepared.seconds
        answering = Answering(session, prepared, self._console)
        self._answering = self._open.enter_context(answering)
        if first:
            self._set_started(session.started)
            self._index_batches()

    def _hear(self, lines: Sequence[ResponseLine]) -> None:
        """Score a batch."""
        indices = self.started.plan[lines[0].batch]
        trials = {trial.id: trial for trial in self._trials.read(indices)}
        for line in lines:
            self._take(trials[line.id], line)
        self._n_asked += len(lines)

    def end(self) -> Results:
        """Let the model go, and score what is answered; what is left is left on purpose.

        Raises:
            VipbenchError: The disk is full.
        """
        if self._answering is None and not self._was_let_go:
            if self._has_ended or self.started.is_finished:
                manifest = manifests.read(self.folder)
                return Results(self.folder, read_summary(self.folder), manifest, 0)
            self._begin(())
        self.let_go()
        started, state = self.started, "sequential" if self._left else None
        manifest = started.manifest.model_copy(update={"state": state})
        results = finish(started._replace(manifest=manifest), None, self._console)
        return results._replace(n_answered=self._n_asked)
