import errno
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from vipbench.errors import RunError
from vipbench.schema import Problem, Region, Sample
from vipbench.spool import Spool

RECORD: TypeAdapter[Sample | Problem] = TypeAdapter(Sample | Problem)
SAMPLE = Sample(
    id="é",
    image="a.png",
    question="two\nlines\u2028and <r0>",
    target="A",
    regions=(Region(box=(0.1, -1 / 3, 1e-7, 1e6), polygons=(((0.1, 2.0), (3.3, 4.0)),)),),
    group="g",
    tags={"b": ("2", "1"), "a": ()},
    image_size=(3, 4),
)
PROBLEM = Problem(id="p", code="missing_image", message="gone")


@pytest.fixture
def spool() -> Iterator[Spool[Sample | Problem]]:
    with Spool(RECORD) as made:
        yield made


def test_records_come_back_as_they_were(spool: Spool[Sample | Problem]) -> None:
    assert [spool.append(SAMPLE), spool.append(PROBLEM), spool.append(SAMPLE)] == [0, 1, 2]
    assert list(spool) == [SAMPLE, PROBLEM, SAMPLE]
    assert len(spool) == 3


def test_reading_and_writing_may_take_turns(spool: Spool[Sample | Problem]) -> None:
    spool.append(SAMPLE)
    spool.append(PROBLEM)
    first = iter(spool)
    assert next(first) == SAMPLE
    assert spool[0] == SAMPLE
    assert spool.append(SAMPLE) == 2
    assert next(first) == PROBLEM
    assert spool[2] == SAMPLE


def test_an_empty_spool_holds_nothing(spool: Spool[Sample | Problem]) -> None:
    assert list(spool) == []
    with pytest.raises(IndexError):
        spool[0]


def test_nothing_is_left_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spool(RECORD) as spool:
        spool.append(SAMPLE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(RunError, match=r"gone: cannot be written .* TMPDIR"):
        Spool(RECORD)


class _Full(io.BytesIO):
    def write(self, data: object, /) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", _Full)
    with Spool(RECORD) as spool, pytest.raises(RunError, match=r"No space left.*TMPDIR"):
        spool.append(SAMPLE)
