"""The deterministic batch plan: which requests go through the model together.

In 16 bit, rounding depends on who shares a batch; so the plan is a pure function of the full list
of requests, and a resumed run redoes whole batches of it.
"""

import hashlib
import json
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vipbench.errors import RunError
from vipbench.runfolder.sharing import Group
from vipbench.schema import Request


class BatchLimit(NamedTuple):
    """How large a batch may become; at least one of the two is given."""

    requests: int | None = None
    tokens: int | None = None
    """Of the prompts, image and padding included: requests x the longest of them. Where something
    is read once for several requests: tokens that are read, of which none are padding."""

    def __str__(self) -> str:
        limits = [(self.requests, "request"), (self.tokens, "token")]
        return " and ".join(
            f"{limit:,} {what}{'' if limit == 1 else 's'}"
            for limit, what in limits
            if limit is not None
        )


def prompt_length(request: Request) -> int:
    """Characters of the whole conversation: a length that needs no tokenizer."""
    return sum(map(len, request.turns))


def plan_batches(
    lengths: Sequence[int],
    limit: BatchLimit,
    samples: Sequence[tuple[Hashable, ...]] | None = None,
    groups: Sequence[Group] | None = None,
    room: int | None = None,
) -> list[tuple[int, ...]]:
    """Cut requests into batches of similar length; every index is in exactly one batch.

    Requests of one sample, which differ in style, stay together, so that its image is opened once;
    samples are sorted by (longest request, first index), the longest first: what does not fit into
    memory shows at once, and the last batches, with which several workers end, are short ones. Each
    batch takes as many as it may.

    Where there are `groups`, the requests of each stay together instead, in one batch where they
    fit into one; groups with a sample in common, which show one photograph, follow each other. Of
    what requests have in common, the limit of tokens counts what is read.

    Args:
        lengths: one a request; in tokens where the limit is one of tokens.
        limit: of a batch.
        samples: what names the sample of each request; None: each is one of its own.
        groups: what each request has in common with others; None: each is read by itself.
        room: where there are groups, how many tokens a batch may hold in all, padding included.

    Raises:
        RunError: a limit is below 1, or one request is longer than the limit of tokens.
    """
    for number, option in ((limit.requests, "--batch-size"), (limit.tokens, "--token-budget")):
        if number is not None and number < 1:
            raise RunError(f"{option} {number} · expected at least 1")
    names: Sequence[Hashable] = range(len(lengths)) if samples is None else samples
    first: dict[Hashable, int] = {}
    longest: dict[Hashable, int] = {}
    for i, (name, length) in enumerate(zip(names, lengths, strict=True)):
        first.setdefault(name, i)
        longest[name] = max(longest.get(name, 0), length)
    if limit.tokens is not None and max(lengths, default=0) > limit.tokens:
        i = max(range(len(lengths)), key=lambda i: lengths[i])
        which = "" if samples is None else f" ({' '.join(map(str, samples[i]))})"
        raise RunError(
            f"--token-budget {limit.tokens}: is below the {lengths[i]} tokens of one request{which}"
            " · expected at least that many · give a larger budget, or leave it out"
        )
    if groups is not None:
        return _plan_groups(lengths, limit, groups, room, names)
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    width = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-longest[names[i]], first[names[i]], i)):
        width = max(width, lengths[i])
        is_full = len(batch) == limit.requests
        if batch and (is_full or (limit.tokens and width * (len(batch) + 1) > limit.tokens)):
            batches.append(tuple(batch))
            batch, width = [], lengths[i]
        batch.append(i)
    return [*batches, tuple(batch)] if batch else batches


class _Batch:
    """A batch that grows; what its requests have in common is read once."""

    def __init__(
        self, lengths: Sequence[int], groups: Sequence[Group], limit: BatchLimit, room: int | None
    ) -> None:
        self._lengths, self._groups, self._limit, self._room = lengths, groups, limit, room
        self.members: list[int] = []
        self._width = 0
        self._n_read = 0
        self._known: set[int] = set()
        """Pictures and samples whose beginning is read."""

    def takes(self, members: Sequence[int]) -> bool:
        """Say whether so many more fit into it; an empty one takes any single request."""
        n = len(self.members) + len(members)
        width = max(self._width, *(self._lengths[i] for i in members))
        n_read = self._n_read + self._cost(members)[0]
        limit = self._limit
        return n == 1 or (
            (limit.requests is None or n <= limit.requests)
            and (limit.tokens is None or n_read <= limit.tokens)
            and (self._room is None or n * width <= self._room)
        )

    def add(self, i: int) -> None:
        """Take a request."""
        n_read, known = self._cost([i])
        self.members.append(i)
        self._width = max(self._width, self._lengths[i])
        self._n_read += n_read
        self._known |= known

    def _cost(self, members: Sequence[int]) -> tuple[int, set[int]]:
        """Return how many tokens more are read, and of what the beginning is then known."""
        n_read, known = 0, set(self._known)
        for i in members:
            group = self._groups[i]
            n_read += self._lengths[i] - group.sample_length
            if group.sample not in known:
                n_read += group.sample_length - group.length
            if group.picture not in known:
                n_read += group.length
            known |= {group.picture, group.sample}
        return n_read, known - self._known


def _plan_groups(
    lengths: Sequence[int],
    limit: BatchLimit,
    groups: Sequence[Group],
    room: int | None,
    names: Sequence[Hashable],
) -> list[tuple[int, ...]]:
    """Cut requests into batches, those of one group in one batch where they fit into one.

    Groups that have a sample in common, which `names` tells, follow each other: they show one
    photograph, marked in several ways. Those that fit into no batch do not count: what is shown
    without an image is shown of all samples.
    """
    units: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        units.setdefault(group.together, []).append(i)
    for members in units.values():
        members.sort(key=lambda i: (-lengths[i], i))

    def empty() -> _Batch:
        return _Batch(lengths, groups, limit, room)

    fitting = [members if empty().takes(members) else [] for members in units.values()]
    place: dict[int, tuple[int, int]] = {}
    related = _find_related([[names[i] for i in members] for members in fitting])
    for number, members in zip(related, units.values(), strict=True):
        this = -lengths[members[0]], min(members)
        place[number] = min(place.get(number, this), this)
    order = sorted(
        zip(related, units.values(), strict=True),
        key=lambda unit: (place[unit[0]], -lengths[unit[1][0]], unit[1]),
    )
    batches, batch = [], empty()
    for _, members in order:
        if batch.members and not batch.takes(members) and empty().takes(members):
            batches.append(batch)
            batch = empty()
        for i in members:
            if not batch.takes([i]):
                batches.append(batch)
                batch = empty()
            batch.add(i)
    return [tuple(each.members) for each in [*batches, batch] if each.members]


def _find_related(units: Sequence[Sequence[Hashable]]) -> list[int]:
    """Number units, each of several names: equal for those that have one in common, however far."""
    numbers: dict[Hashable, int] = {}
    pairs = [
        (number, len(units) + numbers.setdefault(name, len(numbers)))
        for number, unit in enumerate(units)
        for name in unit
    ]
    n = len(units) + len(numbers)
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs), bool), (rows, columns)), shape=(n, n))
    _, found = connected_components(graph, directed=False)
    return [int(number) for number in found[: len(units)]]


def join_batches(
    batches: Sequence[Sequence[int]],
    lengths: Sequence[int],
    limit: BatchLimit,
    groups: Sequence[Group],
    room: int | None,
) -> list[list[int]]:
    """Join batches that follow each other as far as they fit into one; return their numbers.

    The other arguments are those of `plan_batches`.
    """
    joined: list[list[int]] = []
    batch = _Batch(lengths, groups, limit, room)
    for number, members in enumerate(batches):
        if joined and batch.takes(members):
            joined[-1].append(number)
        else:
            joined.append([number])
            batch = _Batch(lengths, groups, limit, room)
        for i in members:
            batch.add(i)
    return joined


def plan_digest(plan: Iterable[Sequence[int]]) -> str:
    """Return the sha256 of a plan, in hex; equal for equal batches in equal order."""
    text = json.dumps([list(batch) for batch in plan], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
