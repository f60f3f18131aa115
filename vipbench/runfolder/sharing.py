"""What of a run's prompts is read once for several requests: found before anything is asked.

Requests of a group show the same picture and begin with the same tokens, up to the picture at
least. Which do is a function of the requests and the tokenizer alone.
"""

import hashlib
from array import array
from collections.abc import Sequence

from pydantic import Field

from vipbench.schema import Record

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


class Sharing(Record):
    """What of a run's prompts is read once for several requests."""

    n_groups: int = Field(ge=0)
    """Groups of two and more requests that show the same picture and begin alike."""
    n_requests: int = Field(ge=0)
    """Requests in them."""
    tokens: float = Field(ge=0, le=1)
    """The part of all prompts' tokens that need not be read again, as counted from all requests."""
    arithmetic: float = Field(ge=0, le=1)
    """The same of the arithmetic of reading all prompts and images."""
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


class Beginnings:
    """Numbers the groups of requests as these come, and finds out how much of it they share."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        """Tokens that the requests of each group begin with; of one request, all but one."""
        self._numbers: dict[bytes, int] = {}
        self._tails: list[bytes] = []

    def add(self, picture: bytes, ids: Sequence[int], n_before: int) -> int:
        """Return the number of a request's group.

        Args:
            picture: what tells its pixels from others.
            ids: of its prompt.
            n_before: tokens up to the last one of the picture, and with it.
        """
        digest = hashlib.blake2b(picture, digest_size=12)
        digest.update(array("I", ids[:n_before]).tobytes())
        tail = array("I", ids[n_before : n_before + MOST_COMPARED])
        number = self._numbers.setdefault(digest.digest(), len(self.lengths))
        most = len(ids) - 1
        if number == len(self.lengths):
            self._tails.append(tail.tobytes())
            self.lengths.append(most)
        else:
            known = array("I", self._tails[number])
            n = n_common(known, tail)
            self._tails[number] = known[:n].tobytes()
            self.lengths[number] = min(self.lengths[number], most, n_before + n)
        return number

    def alone(self) -> int:
        """Return the number of a group that nothing else is in."""
        self._tails.append(b"")
        self.lengths.append(0)
        return len(self.lengths) - 1
