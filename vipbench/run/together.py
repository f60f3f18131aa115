"""Batches of a plan that go through the model as one, and are written one by one.

So what styles of a block have in common is read once, and each can be left out all the same:
the batches of the plan are of one style, whatever is read together.
"""

from collections.abc import Callable, Sequence
from itertools import chain, groupby, islice

from vipbench.run.share import plan_together
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.plan import join_batches
from vipbench.runfolder.trials_file import Trials


class Joining:
    """Says which batches of a block go through the model as one, of those styles that are left."""

    def __init__(self, trials: Trials, manifest: Manifest, plan: Sequence[Sequence[int]]) -> None:
        """Take a run that is asked in blocks, all planned at once."""
        self._trials, self._manifest, self._plan = trials, manifest, plan
        planned = plan_together(
            trials,
            manifest.batch_limit,
            sharing=manifest.sharing,
            blocks=manifest.blocks,
            seed=manifest.identity.seed,
        )
        self._list_of = [number for number, batches in enumerate(planned) for _ in batches]
        """Of each batch, the list of those that it was planned with."""

    def join(self, batches: Sequence[int]) -> list[list[int]]:
        """Join batches of a block, ascending: a function of them alone, answered or not.

        What was planned together stays together. Where some styles are left out, as many as fit
        into a batch are joined.
        """
        sharing, beginnings = self._manifest.sharing, self._trials.beginnings
        assert sharing is not None
        assert beginnings is not None
        lists = [list(each) for _, each in groupby(batches, key=self._list_of.__getitem__)]
        asked = [i for batch in batches for i in self._plan[batch]]
        entries = [self._trials.entries[i] for i in asked]
        place = {i: n for n, i in enumerate(asked)}
        joined = join_batches(
            [[place[i] for batch in each for i in self._plan[batch]] for each in lists],
            [entry.length for entry in entries],
            self._manifest.batch_limit,
            beginnings.groups(entry.group for entry in entries),
            sharing.room,
        )
        return [list(chain.from_iterable(lists[n] for n in numbers)) for numbers in joined]


class Together:
    """A plan in which some batches are joined, and what writes the batches of the original."""

    def __init__(
        self,
        plan: Sequence[Sequence[int]],
        together: Sequence[Sequence[int]],
        wanted: Sequence[int],
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Join batches.

        Args:
            plan: of each batch, the indices of its trials.
            together: batches that are joined; each is in one list at most.
            wanted: those that are written; the answers of others are known already.
            write: takes the lines of one batch of the plan.
        """
        self._plan, self._wanted, self._write = plan, frozenset(wanted), write
        self._members = {batches[0]: batches for batches in together}
        self.todo = sorted(self._members)
        """Batches of `plan` below, each the first of those that it joins."""
        self.plan = list(plan)
        for number, batches in self._members.items():
            self.plan[number] = tuple(i for batch in batches for i in plan[batch])

    def write(self, lines: list[ResponseLine]) -> None:
        """Take the lines of a joined batch."""
        left = iter(lines)
        for batch in self._members[lines[0].batch]:
            own = list(islice(left, len(self._plan[batch])))
            if batch in self._wanted:
                self._write([line.model_copy(update={"batch": batch}) for line in own])
