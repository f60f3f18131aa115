"""The lines of `scores.jsonl`, made in request order and summed up on the way."""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache, partial
from typing import NamedTuple

from vipbench.extractor.runs import Read
from vipbench.forked import FORKED_FROM, Died, Forked, can_fork
from vipbench.judge.runs import Judged
from vipbench.report.options import OptionNote
from vipbench.runfolder.answers_file import Answered
from vipbench.runfolder.lines import ScoreLine, encoded
from vipbench.runfolder.manifest import Manifest
from vipbench.schema import ExtraMetric
from vipbench.scoring import scorers
from vipbench.scoring.summary import Summary

STRETCH = 4_000
"""Requests that are scored at a time, where two processes take turns."""


class Scored(NamedTuple):
    """A stretch of a run that is scored."""

    lines: bytes
    """Of `scores.jsonl`."""
    summary: Summary
    options: OptionNote


class Scoring(NamedTuple):
    """What the scores of a run are made of."""

    manifest: Manifest
    answered: Answered
    extra: Collection[ExtraMetric]
    """Metrics beside each task's headline metric."""
    judged: Judged
    read: Read

    def lines(self, summary: Summary, options: OptionNote, *, may_fork: bool) -> Iterator[bytes]:
        """Yield all lines, which are added to a summary and a note.

        `may_fork` lets a copy of this process make every second stretch, if there is much to make;
        what comes out is the same.

        Raises:
            RunError: A line of the run is broken, or a joint task lacks a sample.
        """
        n = len(self.answered.trials)
        in_one_process = any(task.parts for task in self.manifest.tasks.values()) or (
            self.judged.report is not None or self.read.reports
        )
        if may_fork and n >= FORKED_FROM and not in_one_process and can_fork():
            for stretch in self._stretches():
                summary.extend(stretch.summary)
                options.extend(stretch.options)
                yield stretch.lines
            return
        for line in with_joints(self.manifest, self._lines(range(n), options)):
            summary.add(line)
            yield encoded(line)

    def _lines(self, indices: range, options: OptionNote) -> Iterator[ScoreLine]:
        """Yield the lines of some trials, without those of joint tasks."""
        metrics = lru_cache(partial(scorers.metrics_of, extra=self.extra))
        for trial, response in self.answered.span(indices.start, indices.stop):
            rule = self.manifest.tasks[trial.task].rule
            headline, *others = metrics(trial.kind, rule=rule)
            line = scorers.score_line(trial, response, headline, rule)
            yield line
            for metric in others:
                yield scorers.score_line(trial, response, metric, rule)
            yield from self.judged.lines(trial, response)
            yield from self.read.lines(trial, response, rule)
            options.add(trial, response, line)

    def _stretches(self) -> Iterator[Scored]:
        """Yield the stretches in order: every second one is made by a copy of this process."""
        n = len(self.answered.trials)
        spans = [range(begin, min(n, begin + STRETCH)) for begin in range(0, n, STRETCH)]
        done = 0
        with contextlib.suppress(OSError, Died), Forked(map(self._scored, spans[1::2])) as copy:
            for number, span in enumerate(spans):
                yield copy.take() if number % 2 else self._scored(span)
                done += 1
        yield from map(self._scored, spans[done:])  # there was no room for a second process

    def _scored(self, indices: range) -> Scored:
        summary, options = Summary(self.manifest), OptionNote()
        made = []
        for line in self._lines(indices, options):
            summary.add(line)
            made.append(encoded(line))
        return Scored(b"".join(made), summary, options)


def with_joints(manifest: Manifest, lines: Iterable[ScoreLine]) -> Iterator[ScoreLine]:
    """Yield the lines of all tasks that are asked, then those of the joint tasks."""
    with contextlib.ExitStack() as stack:
        joints = [
            stack.enter_context(
                scorers.Joint(name, task.parts, is_stopped=manifest.state is not None)
            )
            for name, task in manifest.tasks.items()
            if task.parts
        ]
        for line in lines:
            for joint in joints:
                joint.add(line)
            yield line
        for joint in joints:
            yield from joint.lines()
