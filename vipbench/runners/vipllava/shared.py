"""What several rows of a batch have in common, found: pictures, and how prompts begin.

The prompts of a batch become a tree: each piece of it is a run of tokens that follows the piece
before it, and is read once, however many rows go on behind it. `packed.py` reads such a tree.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from vipbench.runfolder.sharing import Reading, Readings, n_common
from vipbench.runners.vipllava import arithmetic
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.runners.vipllava.tokens import Row

LEAST = 0.05
"""Share of a batch's tokens, padding included, below which nothing is gained by reading it as a
tree."""
LEAST_TOKENS = 8
"""Tokens of a piece that is worth one of its own, for all its rows together."""
MOST_LEVELS = 3
"""Pieces that a prompt is cut into: each more is another call for attention in every layer."""


class Piece(NamedTuple):
    """Tokens that are read once."""

    row: int
    """The first row that they are of."""
    begin: int
    """Their positions in the prompt: from this one,"""
    end: int
    """to this one, exclusive; at least one token."""
    before: int | None
    """The piece that they follow; None: they begin the prompt."""

    @property
    def n(self) -> int:
        """Number of tokens."""
        return self.end - self.begin


class Tree(NamedTuple):
    """The prompts of a batch, cut into pieces."""

    pieces: list[Piece]
    """Each behind the one that it follows."""
    last: list[int]
    """The piece that each row ends with, which is its own."""

    @property
    def n_tokens(self) -> int:
        """Tokens that are read."""
        return sum(piece.n for piece in self.pieces)

    def path(self, number: int) -> list[int]:
        """Return the numbers of the pieces that lead to one, and its own, in order."""
        path: list[int] = []
        current: int | None = number
        while current is not None:
            path.append(current)
            current = self.pieces[current].before
        return path[::-1]


def number_pictures(images: Sequence[np.ndarray]) -> list[int]:
    """Number the pictures of a batch; images with the same pixels have the same number."""
    numbers: dict[bytes, int] = {}
    by_object: dict[int, int] = {}
    for image in images:
        if id(image) not in by_object:  # drawn once for several requests
            digest = hashlib.blake2b(np.ascontiguousarray(image).data).digest()
            by_object[id(image)] = numbers.setdefault(digest, len(numbers))
    return [by_object[id(image)] for image in images]


def find_tree(rows: Sequence[Row], image_token_id: int) -> Tree | None:
    """Find what rows of a batch have in common; None: too little, or their pictures are not known.

    Rows share a beginning if it holds their picture and all that comes before it.
    """
    pictures: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for i, row in enumerate(rows):
        if row.picture is None or image_token_id not in row.ids:
            return None
        end = len(row.ids) - row.ids[::-1].index(image_token_id)
        pictures.setdefault((row.picture, tuple(row.ids[:end])), []).append(i)
    tree = Tree([], [0] * len(rows))
    for (_, before), members in pictures.items():
        members.sort(key=lambda i: (rows[i].ids, i))
        _cut(tree, rows, members, 0, len(before), ())
    n_padded = len(rows) * max(len(row.ids) for row in rows)
    return tree if n_padded - tree.n_tokens >= LEAST * n_padded else None


def _cut(
    tree: Tree,
    rows: Sequence[Row],
    members: list[int],
    begin: int,
    known: int,
    path: tuple[int, ...],
) -> None:
    """Add the pieces of some rows from a position on.

    Args:
        tree: grows.
        rows: of the batch.
        members: sorted by their ids.
        begin: position.
        known: at least so many of their first tokens are the same.
        path: the pieces that lead there.
    """
    before = path[-1] if path else None
    if len(members) == 1 or len(path) == MOST_LEVELS - 1:
        for i in members:
            tree.last[i] = len(tree.pieces)
            tree.pieces.append(Piece(i, begin, len(rows[i].ids), before))
        return
    first, last = rows[members[0]].ids, rows[members[-1]].ids
    # Of all, since they are sorted; each row has a last piece of its own.
    same = known + n_common(first[known:], last[known:])
    end = min(same, min(len(rows[i].ids) for i in members) - 1)
    if (len(members) - 1) * (end - begin) >= LEAST_TOKENS:
        path = (*path, len(tree.pieces))
        tree.pieces.append(Piece(members[0], begin, end, before))
        begin = end
    for part in _parts(rows, members, same):
        _cut(tree, rows, part, begin, same, path)


def _parts(rows: Sequence[Row], members: list[int], n: int) -> Iterable[list[int]]:
    """Part rows by their next token behind the first `n`; those that end there go each alone."""
    for token, part in groupby(members, key=lambda i: rows[i].ids[n : n + 1]):
        if token:
            yield list(part)
        else:
            yield from ([i] for i in part)


def _count_alone(rows: Sequence[Row], sizes: ModelSizes) -> Reading:
    """Count what reading each row by itself takes."""
    vision = arithmetic.vision(sizes)
    return Reading(
        tokens=sum(len(row.ids) for row in rows),
        images=len(rows),
        operations=sum(vision + arithmetic.prompt(sizes, len(row.ids)) for row in rows),
    )


def count_readings(rows: Sequence[Row], tree: Tree | None, sizes: ModelSizes) -> Readings:
    """Count what reading rows takes: each by itself, and each picture and piece of a tree once."""
    alone = _count_alone(rows, sizes)
    n_pictures = len({row.picture for row in rows})
    tokens = alone.tokens
    operations = alone.operations - (alone.images - n_pictures) * arithmetic.vision(sizes)
    if tree is not None:
        tokens = tree.n_tokens
        pieces = sum(
            arithmetic.beginning(sizes, piece.end) - arithmetic.beginning(sizes, piece.begin)
            for piece in tree.pieces
        )
        operations -= sum(arithmetic.beginning(sizes, len(row.ids)) for row in rows) - pieces
    read = Reading(tokens=tokens, images=n_pictures, operations=operations)
    return Readings(asked=alone, read=read)
