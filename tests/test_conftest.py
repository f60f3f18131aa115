import socket

import pytest


def test_the_network_is_closed() -> None:
    with socket.socket() as connection, pytest.raises(OSError, match="closed in tests"):
        connection.connect(("192.0.2.1", 80))


def test_loopback_is_open() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        assert client.getpeername() == server.getsockname()
