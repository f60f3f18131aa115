"""What several rows of a batch have in common, read once: pictures, and how prompts begin.

The beginnings are read first, each once; then the rest of each prompt behind the keys and values of
its beginning. In float32 the answers are those of `fast.py` reading each prompt by itself.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from vipbench.runfolder.sharing import Reading, n_common
from vipbench.runners.vipllava import arithmetic
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.runners.vipllava.tokens import Row

LEAST = 0.05
"""Share of a batch's tokens below which nothing is gained by reading it in two steps."""


class Beginnings(NamedTuple):
    """How the prompts of a batch are cut in two."""

    of_row: list[int]
    """The beginning that each row has; it begins where the first such row does."""
    lengths: list[int]
    """Tokens of each beginning: at least one, and fewer than of any of its rows."""
    first: list[int]
    """A row that has it."""


def number_pictures(images: Sequence[np.ndarray]) -> list[int]:
    """Number the pictures of a batch; images with the same pixels have the same number."""
    numbers: dict[bytes, int] = {}
    by_object: dict[int, int] = {}
    for image in images:
        if id(image) not in by_object:  # drawn once for several requests
            digest = hashlib.blake2b(np.ascontiguousarray(image).data).digest()
            by_object[id(image)] = numbers.setdefault(digest, len(numbers))
    return [by_object[id(image)] for image in images]


def find_beginnings(rows: Sequence[Row], image_token_id: int) -> Beginnings | None:
    """Find what rows of a batch have in common; None: too little, or their pictures are not known.

    Rows share a beginning if it holds their picture and all that comes before it. One that shares
    none is cut where the rest is as long as the longest of the others, which is no more work.
    """
    pictures: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for i, row in enumerate(rows):
        if row.picture is None or image_token_id not in row.ids:
            return None
        end = len(row.ids) - row.ids[::-1].index(image_token_id)
        pictures.setdefault((row.picture, tuple(row.ids[:end])), []).append(i)
    groups = [
        group
        for (_, before), members in pictures.items()
        for group in _split(sorted(members, key=lambda i: rows[i].ids), rows, len(before))
    ]
    if sum(group.saved for group in groups) < LEAST * sum(len(row.ids) for row in rows):
        return None
    shared = [group for group in groups if len(group.rows) > 1]
    rest = max(len(rows[i].ids) - group.length for group in shared for i in group.rows)
    of_row = [0] * len(rows)
    found = Beginnings(of_row, [], [])
    for group in sorted(groups, key=lambda group: min(group.rows)):
        first = min(group.rows)
        for i in group.rows:
            of_row[i] = len(found.lengths)
        alone = max(1, len(rows[first].ids) - rest)
        found.first.append(first)
        found.lengths.append(group.length if len(group.rows) > 1 else alone)
    return found


class _Group(NamedTuple):
    rows: list[int]
    length: int

    @property
    def saved(self) -> int:
        """Tokens that need not be read again."""
        return (len(self.rows) - 1) * self.length


def _split(members: list[int], rows: Sequence[Row], known: int) -> list[_Group]:
    """Group rows so that most tokens need not be read again; they are sorted by their ids.

    The first `known` tokens of all are the same. Either all are one group, or those are that go on
    with the same token, each split likewise.
    """
    first, last = rows[members[0]].ids, rows[members[-1]].ids
    n = known + n_common(first[known:], last[known:])  # of all, since they are sorted
    whole = _Group(members, min(n, min(len(rows[i].ids) for i in members) - 1))
    if len(members) < 3:
        return [whole]
    parts = []
    for _, equal in groupby(members, key=lambda i: rows[i].ids[n : n + 1]):
        part = list(equal)
        # Those that end here are equal, and so are one group.
        parts += _split(part, rows, n) if len(part) < len(members) else [whole]
    return parts if sum(part.saved for part in parts) > whole.saved else [whole]


def count_alone(rows: Sequence[Row], sizes: ModelSizes) -> Reading:
    """Count what reading each row by itself takes."""
    return Reading(
        tokens=sum(len(row.ids) for row in rows),
        images=len(rows),
        operations=sum(
            arithmetic.vision(sizes) + arithmetic.prompt(sizes, len(row.ids)) for row in rows
        ),
    )


def count_shared(rows: Sequence[Row], beginnings: Beginnings | None, sizes: ModelSizes) -> Reading:
    """Count what reading rows takes where each picture and beginning is read once."""
    alone = count_alone(rows, sizes)
    n_again = len(rows) - len({row.picture for row in rows}) if rows[0].picture is not None else 0
    tokens, operations = 0, n_again * arithmetic.vision(sizes)
    for i, number in enumerate(beginnings.of_row if beginnings else ()):
        assert beginnings is not None
        if i != beginnings.first[number]:
            tokens += beginnings.lengths[number]
            operations += arithmetic.beginning(sizes, beginnings.lengths[number])
    return Reading(
        tokens=alone.tokens - tokens,
        images=alone.images - n_again,
        operations=alone.operations - operations,
    )
