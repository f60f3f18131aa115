"""Records that are too many for memory, in a nameless file that disappears with the process."""

import contextlib
import tempfile
from array import array
from collections.abc import Iterator
from typing import Generic, Self, TypeVar

from pydantic import TypeAdapter

from vipbench.errors import RunError

T = TypeVar("T")


class Spool(Generic[T]):
    """A list of records on disk, to append to and to read by index; a context manager.

    In memory, a record takes eight bytes. The file lies in the folder of temporary files, which
    `TMPDIR` names.
    """

    def __init__(self, kind: TypeAdapter[T]) -> None:
        """Open the file; `kind` writes and reads the records.

        Raises:
            RunError: The folder of temporary files takes no file.
        """
        self._kind = kind
        self._ends = array("q", [0])
        """Byte at which each record ends, after a first 0."""
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

    def append(self, record: T) -> int:
        """Keep a record and return its index; RunError where the disk refuses."""
        text = self._kind.dump_json(record)
        try:
            if self._file.tell() != self._ends[-1]:
                self._file.seek(self._ends[-1])
            self._file.write(text)
        except OSError as error:
            raise _refused(error) from error
        self._ends.append(self._ends[-1] + len(text))
        return len(self) - 1

    def __getitem__(self, index: int) -> T:
        """Read one record; RunError where the disk refuses what is still to be written."""
        begin, end = self._ends[index], self._ends[index + 1]
        try:
            if self._file.tell() != begin:
                self._file.seek(begin)
            text = self._file.read(end - begin)
        except OSError as error:
            raise _refused(error) from error
        return self._kind.validate_json(text)

    def __iter__(self) -> Iterator[T]:
        return (self[index] for index in range(len(self)))


def _refused(error: OSError) -> RunError:
    return RunError(
        f"{tempfile.gettempdir()}: cannot be written ({error.strerror}) · expected room for "
        "temporary files · make some, or name another folder in TMPDIR"
    )
