import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import LONGEST, pytest_collection_modifyitems

TESTS = Path(__file__).parent


def test_the_longest_files_are_begun_first() -> None:
    assert all((TESTS / name).is_file() for name in LONGEST)
    names = ["a.py", LONGEST[1], "a.py", LONGEST[0], "b.py", LONGEST[1]]
    items: list[Any] = [
        SimpleNamespace(path=TESTS / name, place=place) for place, name in enumerate(names)
    ]
    pytest_collection_modifyitems(items)
    assert [item.place for item in items] == [3, 1, 5, 0, 2, 4]


def test_the_network_is_closed() -> None:
    with socket.socket() as connection, pytest.raises(OSError, match="closed in tests"):
        connection.connect(("192.0.2.1", 80))


def test_loopback_is_open() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()


def test_what_is_no_open_file_is_not_synced(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        os.fsync(file.fileno())
        number = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(number)
