"""The data of a task: where they lie, and as files where its reader says how they become some."""

from collections.abc import Mapping

from vipbench.data.locate import locate
from vipbench.data.tasks import import_files
from vipbench.schema import DataSource, TaskSpec


def locate_task(spec: TaskSpec, data: Mapping[str, DataSource]) -> DataSource:
    """Find the data of a task as `locate` does; pictures in rows become files once.

    Args:
        spec: with the file that it was read from.
        data: what the user has named by key.

    Raises:
        DataError: Nothing is found, or it cannot be read.
    """
    base = spec.path.parent if spec.path else None
    as_files = import_files(spec)
    if as_files is None:
        return locate(str(spec.data), data, base, of_rows=spec.reader == "jsonl")
    return as_files(locate(str(spec.data), data, base, as_it_is=True))
