from pathlib import Path

import pytest

from vipbench.data.cache import FETCHED
from vipbench.data.fetching.lock import (
    Fetched,
    Lock,
    State,
    file_state,
    read_lock,
    staged_path,
    target_path,
    write_lock,
)
from vipbench.data.fetching.sources import STAGE, RemoteFile
from vipbench.errors import DataError

FILE = RemoteFile(url="http://x.org/q.json?key=word", to="deep/q.json")
ARCHIVE = RemoteFile(url="http://x.org/i.zip", unpack=True, to="images")
HUB = RemoteFile(hub="a/b", revision="0" * 40, take=("*.json",), to=".")


def fetched(file: RemoteFile = FILE, **fields: object) -> Fetched:
    record: dict[str, object] = {
        "part": "p",
        "to": file.to,
        "name": file.to,
        "url": "http://x.org",
        "size": 3,
        "sha256": "",
        "time": "",
    }
    return Fetched.model_validate(record | fields)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_lock(tmp_path, "toy") == Lock(key="toy")
    lock = Lock(key="toy", files=(fetched(),))
    write_lock(tmp_path, lock)
    assert read_lock(tmp_path, "toy") == lock
    with pytest.raises(DataError, match="holds the data of 'toy', not of 'other'"):
        read_lock(tmp_path, "other")


@pytest.mark.parametrize("content", ["{", "[]", '{"key": 1}', '{"key": "toy", "more": 1}'])
def test_another_file_is_not_a_record(tmp_path: Path, content: str) -> None:
    (tmp_path / FETCHED).write_text(content)
    with pytest.raises(DataError, match="is not a record of fetched data"):
        read_lock(tmp_path, "toy")


def test_a_file_is_recorded_once() -> None:
    other = fetched(ARCHIVE)
    lock = Lock(key="toy", files=(fetched(), other)).replaced("p", FILE.to, [fetched(size=4)])
    assert lock.files == (other, fetched(size=4))
    assert lock.of("p", FILE.to) == (fetched(size=4),)
    assert lock.of("another", FILE.to) == ()


@pytest.mark.parametrize(
    ("recorded", "content", "state"),
    [
        (False, None, "not fetched"),
        (False, b"abc", "in place"),
        (True, None, "not fetched"),
        (True, b"abc", "complete"),
        (True, b"abcd", "changed"),
    ],
)
def test_the_state_of_a_file(
    tmp_path: Path, recorded: bool, content: bytes | None, state: State
) -> None:
    lock = Lock(key="toy", files=(fetched(),) * recorded)
    if content is not None:
        (tmp_path / "deep").mkdir()
        (tmp_path / FILE.to).write_bytes(content)
    assert file_state("p", FILE, tmp_path, lock) == state


def test_the_state_of_an_unpacked_archive(tmp_path: Path) -> None:
    lock = Lock(key="toy", files=(fetched(ARCHIVE, name="i.zip", n_files=1, n_bytes=2),))
    assert target_path(tmp_path, lock.files[0]) == tmp_path / "images"
    (tmp_path / "images").mkdir()
    assert file_state("p", ARCHIVE, tmp_path, lock) == "changed"
    (tmp_path / "images" / "a.jpg").write_bytes(b"ab")
    assert file_state("p", ARCHIVE, tmp_path, lock) == "complete"


def test_an_unfinished_transfer_is_a_part(tmp_path: Path) -> None:
    for file, name in ((FILE, "deep-q.json-q.json.part"), (HUB, "hub-000000000000")):
        staged = staged_path(tmp_path, file)
        assert staged == tmp_path / STAGE / name
        staged.parent.mkdir(exist_ok=True)
        staged.write_bytes(b"")
        assert file_state("p", file, tmp_path, Lock(key="toy")) == "partial"
