"""What of a run's prompts is read once for several requests: found before anything is asked.

Requests of a group show the same picture and begin with the same tokens, up to the picture at
least. Which do is a function of the requests and the tokenizer alone.
"""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import Field

from vipbench.schema import Record, SparseRecord

MOST_COMPARED = 64
"""Tokens behind the picture that are compared: what is kept in memory of a prompt."""


class Reading(Record):
    """What is read of prompts."""

    tokens: int = Field(default=0, ge=0)
    """Those of images among them, without padding."""
    images: int = Field(default=0, ge=0)
    """Images that went through the vision tower."""
    operations: int = Field(default=0, ge=0)
    """Of matrix products, two a multiply-add; see `runners/vipllava/arithmetic.py`."""

    def plus(self, other: "Reading") -> "Reading":
        """Add another one."""
        return Reading(
            tokens=self.tokens + other.tokens,
            images=self.images + other.images,
            operations=self.operations + other.operations,
        )

    def minus(self, other: "Reading") -> "Reading":
        """Take away an earlier one."""
        return Reading(
            tokens=self.tokens - other.tokens,
            images=self.images - other.images,
            operations=self.operations - other.operations,
        )


class Readings(Record):
    """What requests ask to be read, and what was read to answer them."""

    asked: Reading = Reading()
    """Each prompt by itself."""
    read: Reading = Reading()

    def plus(self, other: "Readings") -> "Readings":
        """Add others."""
        return Readings(asked=self.asked.plus(other.asked), read=self.read.plus(other.read))

    def minus(self, other: "Readings") -> "Readings":
        """Take away earlier ones."""
        return Readings(asked=self.asked.minus(other.asked), read=self.read.minus(other.read))


class Sharing(SparseRecord):
    """What of a run's prompts is read once for several requests."""

    SPARSE = frozenset({"across"})

    n_groups: int = Field(ge=0)
    """Groups of two and more requests that show the same picture and begin alike."""
    n_requests: int = Field(ge=0)
    """Requests in them."""
    tokens: float = Field(ge=0, le=1)
    """The part of all prompts' tokens that need not be read again, as counted from all requests."""
    arithmetic: float = Field(ge=0, le=1)
    """The same of the arithmetic of reading all prompts and images."""
    room: int | None = Field(default=None, ge=1)
    """Tokens that a batch holds at most, what is read once counted for each request, and padding
    too; None: the limit is one of requests."""
    across: bool = False
    """Of a run that is asked in blocks: whether styles of a block are read together, too."""
    asked: Reading
    """What the requests take that were answered in starts that were not killed, if each is read by
    itself."""
    read: Reading
    """What was read to answer them."""

    def plus(self, readings: Readings) -> "Sharing":
        """Add what was asked and read."""
        update = {
            "asked": self.asked.plus(readings.asked),
            "read": self.read.plus(readings.read),
        }
        return self.model_copy(update=update)


def n_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two texts have in common before the first that differs."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(first), len(second)))


class Group(NamedTuple):
    """What a request has in common with others that are asked together with it."""

    picture: int
    """Number of those that show the same picture and begin alike, as far as it at least."""
    sample: int
    """Number of those among them that are of the same sample, which read on alike."""
    length: int
    """Tokens that the former begin with; of one request alone, all but one."""
    sample_length: int
    """Tokens that the latter begin with, at least as many."""
    together: int
    """Which of the two numbers is to be asked in one batch: the one by which more is saved."""


class Beginnings:
    """Counts what requests have in common as they come: each with its picture and its sample."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._lengths = array("I")
        """Tokens that the requests of a number begin with; of one request, all but one."""
        self._sizes = array("I")
        """Requests of a number."""
        self._pictures = array("I")
        """Of a sample's number, that of its picture; of a picture's, itself."""
        self._tails: list[bytes] = []

    def add(self, picture: bytes, sample: bytes, ids: Sequence[int], n_before: int) -> int:
        """Count a request, and return a number for `groups`.

        Args:
            picture: what tells its pixels from others.
            sample: what tells its sample from others.
            ids: of its prompt.
            n_before: tokens up to the last one of the picture, and with it.
        """
        digest = hashlib.blake2b(picture, digest_size=12)
        digest.update(array("I", ids[:n_before]).tobytes())
        number = self._add(digest.digest(), None, ids, n_before)
        digest.update(sample)
        return self._add(digest.digest(), number, ids, n_before)

    def alone(self) -> int:
        """Return a number that nothing else has."""
        return self._new(0, b"", None)

    def groups(self, numbers: Iterable[int]) -> list[Group]:
        """Return the groups of requests, by what `add` returned, once all are counted."""
        by_sample = array("Q", bytes(8 * len(self._sizes)))
        for number, picture in enumerate(self._pictures):
            if number != picture:
                by_sample[picture] += (self._sizes[number] - 1) * self._lengths[number]
        found = []
        for number in numbers:
            picture = self._pictures[number]
            by_picture = (self._sizes[picture] - 1) * self._lengths[picture]
            together = picture if by_picture >= by_sample[picture] else number
            lengths = self._lengths[picture], self._lengths[number]
            found.append(Group(picture, number, *lengths, together))
        return found

    def _add(self, key: bytes, picture: int | None, ids: Sequence[int], n_before: int) -> int:
        number = self._numbers.setdefault(key, len(self._lengths))
        tail = array("I", ids[n_before : n_before + MOST_COMPARED])
        most = len(ids) - 1
        if number == len(self._lengths):
            return self._new(most, tail.tobytes(), picture)
        known = array("I", self._tails[number])
        n = n_common(known, tail)
        self._sizes[number] += 1
        self._tails[number] = known[:n].tobytes()
        self._lengths[number] = min(self._lengths[number], most, n_before + n)
        return number

    def _new(self, length: int, tail: bytes, picture: int | None) -> int:
        number = len(self._lengths)
        self._lengths.append(length)
        self._sizes.append(1)
        self._pictures.append(number if picture is None else picture)
        self._tails.append(tail)
        return number
