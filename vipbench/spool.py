"""Records that are too many for memory, in a file without a name that is gone with the process."""

import contextlib
import tempfile
from array import array
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from pydantic import TypeAdapter

from vipbench.errors import RunError

T = TypeVar("T")


class Shelf(Generic[T]):
    """Takes records one after another and gives them back by their place; a context manager.

    In memory, a record takes eight bytes. The file lies in the folder of temporary files, which
    `TMPDIR` names.
    """

    def __init__(self, kind: TypeAdapter[T]) -> None:
        """Take the kind of the records."""
        self._kind = kind
        self._ends = array("q", [0])
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `__exit__`
        except OSError as error:
            raise _refused(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(OSError):  # a full disk: nobody reads it any more
            self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def put(self, record: T) -> int:
        """Keep a record and return its place; RunError where the disk refuses."""
        text = self._kind.dump_json(record)
        try:
            if self._file.tell() != self._ends[-1]:
                self._file.seek(self._ends[-1])
            self._file.write(text)
        except OSError as error:
            raise _refused(error) from error
        self._ends.append(self._ends[-1] + len(text))
        return len(self) - 1

    def __getitem__(self, place: int) -> T:
        """Read one record; RunError where the disk refuses what is still to be written."""
        begin, end = self._ends[place], self._ends[place + 1]
        try:
            if self._file.tell() != begin:
                self._file.seek(begin)
            text = self._file.read(end - begin)
        except OSError as error:
            raise _refused(error) from error
        return self._kind.validate_json(text)

    def __iter__(self) -> Iterator[T]:
        return (self[place] for place in range(len(self)))


def _refused(error: OSError) -> RunError:
    return RunError(
        f"{tempfile.gettempdir()}: cannot be written ({error.strerror}); expected room for "
        "temporary files; make some, or name another folder in TMPDIR"
    )
