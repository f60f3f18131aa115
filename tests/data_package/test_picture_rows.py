"""Tables with pictures in their rows: parquet, saved folders, what is broken."""

import base64
import hashlib
import json
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from vipbench.data.picture_rows import is_saved, origins, write_pictures
from vipbench.errors import DataError
from vipbench.schema import DataSource

PNG = b"\x89PNG one"
JPEG = b"\xff\xd8\xff two"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def rows_of(source: DataSource) -> list[dict[str, object]]:
    return [json.loads(line) for line in source.questions.read_text("utf-8").splitlines()]


def test_pictures_become_files_of_their_digest(tmp_path: Path, cache: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "one": {"bytes": PNG, "path": "x"}, "two": base64.b64encode(JPEG).decode()},
        {"id": "b", "one": {"bytes": PNG, "path": "y"}, "two": None},
        {"id": "c", "one": None, "two": "no base64 at all"},
    ]
    path = table(tmp_path / "t.parquet", rows)
    source = DataSource(path, tmp_path, boxes="pixels")
    written = write_pictures(source, [path], ["one", "two"])
    assert written.boxes == "pixels"
    found = rows_of(written)
    name = f"images/{hashlib.sha256(PNG).hexdigest()[:32]}.png"
    assert [row["one"] for row in found] == [name, name, None]
    assert (written.images / name).read_bytes() == PNG
    assert (written.images / str(found[0]["two"])).read_bytes() == JPEG
    assert str(found[0]["two"]).endswith(".jpg")
    assert found[1]["two"] is None
    assert (written.images / str(found[2]["two"])).is_file()  # broken when it is opened
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    stated = {"name": "t.parquet", "md5": digest, "bytes": path.stat().st_size}
    assert origins(written.questions) == [stated]
    assert write_pictures(source, [path], ["one", "two"]) == written
    assert len(list(cache.iterdir())) == 1
    table(path, rows[:1])
    assert len(rows_of(write_pictures(source, [path], ["one", "two"]))) == 1


def test_a_folder_that_datasets_has_saved(tmp_path: Path) -> None:
    features = datasets.Features({"id": datasets.Value("string"), "one": datasets.Image()})
    rows = {"id": ["a"], "one": [{"bytes": PNG, "path": None}]}
    saved = datasets.Dataset.from_dict(rows, features=features)
    saved.save_to_disk(str(tmp_path / "saved"))
    assert is_saved(tmp_path / "saved")
    assert not is_saved(tmp_path)
    source = DataSource(tmp_path / "saved", tmp_path)
    [row] = rows_of(write_pictures(source, [tmp_path / "saved"], ["one"]))
    assert row["id"] == "a"
    assert str(row["one"]).endswith(".png")
    datasets.DatasetDict({"val": saved}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(DataError, match="has the splits val · expected the folder of one split"):
        write_pictures(source, [tmp_path / "splits"], ["one"])


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"t\.parquet: no parquet that can be read"):
        write_pictures(DataSource(path, tmp_path), [path], ["one"])
    assert origins(tmp_path / "questions.jsonl") == []
