"""What several rows of a batch have in common, read once: pictures, and how prompts begin.

The beginnings are read first, each once; then the rest of each prompt behind the keys and values of
its beginning. In float32 the answers are those of `fast.py` reading each prompt by itself.
"""

import hashlib
from collections.abc import Sequence
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
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for i, row in enumerate(rows):
        if row.picture is None or image_token_id not in row.ids:
            return None
        end = len(row.ids) - row.ids[::-1].index(image_token_id)
        groups.setdefault((row.picture, tuple(row.ids[:end])), []).append(i)
    lengths: dict[int, int] = {}
    for members in groups.values():
        if len(members) > 1:
            first, *others = (rows[i].ids for i in members)
            n = min(n_common(first, other) for other in others)
            lengths[members[0]] = min([n, *(len(rows[i].ids) - 1 for i in members)])
    saved = sum(lengths[m[0]] * (len(m) - 1) for m in groups.values() if m[0] in lengths)
    if saved < LEAST * sum(len(row.ids) for row in rows):
        return None
    rest = max(
        len(rows[i].ids) - lengths[members[0]]
        for members in groups.values()
        if members[0] in lengths
        for i in members
    )
    of_row = [0] * len(rows)
    found = Beginnings(of_row, [], [])
    for members in groups.values():
        alone = max(1, len(rows[members[0]].ids) - rest)
        for i in members:
            of_row[i] = len(found.lengths)
        found.first.append(members[0])
        found.lengths.append(lengths.get(members[0], alone))
    return found


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
