from pathlib import Path

import pytest

from vipbench.data.task_data import locate_task
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.schema import DataSource

DATA = Path(__file__).parents[1] / "data"


def test_data_of_files_are_as_they_lie(tmp_path: Path) -> None:
    source = DataSource(DATA / "vcr", DATA / "vcr")
    assert locate_task(load_task("vcr_qa"), {"vcr": source}) == source


def test_rows_become_files_where_the_reader_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path))
    source = DataSource(DATA / "blink", DATA / "blink")
    found = locate_task(load_task("blink_relative_depth"), {"blink": source})
    assert found.questions.is_file()
    assert found.images.is_relative_to(tmp_path)


def test_nothing_is_found() -> None:
    with pytest.raises(DataError, match=r"data 'blink': not found anywhere"):
        locate_task(load_task("blink_relative_depth"), {})
