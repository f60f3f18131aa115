"""The deterministic batch plan: which requests go through the model together.

In 16 bit, rounding depends on who shares a batch; so the plan is a pure function of the full list
of requests, and a resumed run redoes whole batches of it.
"""

import hashlib
import json
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from vipbench.errors import RunError
from vipbench.runfolder.sharing import Group
from vipbench.schema import Request


class BatchLimit(NamedTuple):
    """How large a batch may become; at least one of the two is given."""

    requests: int | None = None
    tokens: int | None = None
    """Of the prompts, image and padding included: requests x the longest of them."""

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
) -> list[tuple[int, ...]]:
    """Cut requests into batches of similar length; every index is in exactly one batch.

    Requests of one sample, which differ in style, stay together, so that its image is opened once;
    samples are sorted by (longest request, first index), the longest first: what does not fit into
    memory shows at once, and the last batches, with which several workers end, are short ones. Each
    batch takes as many as it may.

    Where there are `groups`, the requests of each stay together instead, in one batch where they
    fit into one. Groups are sorted by the longest rest behind the beginning, then by the longest
    request, since rests are padded apart from beginnings.

    Args:
        lengths: one a request; in tokens where the limit is one of tokens.
        limit: of a batch.
        samples: what names the sample of each request; None: each is one of its own.
        groups: the group of each request, whose beginning is read once; None: each is read by
            itself.

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
        return _plan_groups(lengths, limit, groups)
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
    """A batch of groups while it is filled."""

    def __init__(self, limit: BatchLimit) -> None:
        self.requests: list[int] = []
        self._limit = limit
        self._beginning, self._rest = 0, 0

    def has_room(self, n: int, beginning: int, rest: int) -> bool:
        """Say whether `n` more requests fit; both are padded to the longest there is."""
        n += len(self.requests)
        width = max(self._beginning, beginning) + max(self._rest, rest)
        most = self._limit
        return (most.requests is None or n <= most.requests) and (
            most.tokens is None or n * width <= most.tokens
        )

    def add(self, request: int, beginning: int, rest: int) -> None:
        """Take one request more."""
        self.requests.append(request)
        self._beginning = max(self._beginning, beginning)
        self._rest = max(self._rest, rest)


def _plan_groups(
    lengths: Sequence[int], limit: BatchLimit, groups: Sequence[Group]
) -> list[tuple[int, ...]]:
    """Cut requests into batches, those of one group in one batch where they fit into one."""
    members: dict[Group, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    units = []
    for group, indices in members.items():
        first = indices[0]
        indices.sort(key=lambda i: (-lengths[i], i))
        longest = lengths[indices[0]]
        # What shares nothing has no rest: it may be cut wherever that suits the others.
        beginning = group.length if len(indices) > 1 else longest
        units.append((beginning - longest, -longest, first, beginning, indices))
    batches, batch = [], _Batch(limit)
    for _, _, _, beginning, indices in sorted(units, key=lambda unit: unit[:3]):
        rest, n = lengths[indices[0]] - beginning, len(indices)
        if not batch.has_room(n, beginning, rest) and _Batch(limit).has_room(n, beginning, rest):
            batches.append(batch)
            batch = _Batch(limit)
        for i in indices:
            if batch.requests and not batch.has_room(1, beginning, lengths[i] - beginning):
                batches.append(batch)
                batch = _Batch(limit)
            batch.add(i, beginning, lengths[i] - beginning)
    return [tuple(each.requests) for each in (*batches, batch) if each.requests]


def plan_digest(plan: Iterable[Sequence[int]]) -> str:
    """Return the sha256 of a plan, in hex; equal for equal batches in equal order."""
    text = json.dumps([list(batch) for batch in plan], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
