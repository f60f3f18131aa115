"""HTTP servers on loopback: files with every fault that a test asks for, and a hub of data sets."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Served:
    """A file, and how the server behaves about it."""

    content: bytes
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True
    heeds_if_range: bool = True
    statuses: list[int] = field(default_factory=list)
    """Answers to the first requests, instead of the file."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the connection is closed, for the requests that follow."""
    headers: dict[str, str | None] = field(default_factory=dict)
    """More headers, or None for one that is left out."""
    chunked: bool = False
    pause: Callable[[], None] | None = None
    """Called when a cut answer has been sent, before the connection is closed."""


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0
    """Bytes of the file."""


class Server:
    """What is served, and what was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []

    @property
    def sent(self) -> list[int]:
        return [each.sent for each in self.asked]


@contextmanager
def serving() -> Iterator[Server]:
    class Handler(_Handler):
        pass

    with _Http(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}")
        Handler.shown = server
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients go away when they have seen enough."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shown: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        asked = Asked(path, {name.lower(): value for name, value in self.headers.items()})
        self.shown.asked.append(asked)
        served = self.shown.files.get(path)
        if served is None:
            self._status(asked, 404)
        elif served.statuses:
            self._status(asked, served.statuses.pop(0), served.headers)
        else:
            self._file(asked, served)

    def _status(
        self, asked: Asked, status: int, headers: dict[str, str | None] | None = None
    ) -> None:
        asked.status = status
        self.send_response(status)
        for name, value in {"Content-Length": "0", **(headers or {})}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def _file(self, asked: Asked, served: Served) -> None:
        whole = served.content
        start = self._start(asked, served)
        if start is not None and start >= len(whole):
            self._status(asked, 416, {"Content-Range": f"bytes */{len(whole)}"})
            return
        body = whole[start or 0 :]
        asked.status = 200 if start is None else 206
        headers: dict[str, str | None] = {"ETag": served.etag, "Last-Modified": served.modified}
        if served.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body))
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        self.send_response(asked.status)
        for name, value in {**headers, **served.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = served.cuts.pop(0) if served.cuts else None
        body = body[:cut]
        asked.sent = len(body)
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if served.chunked else body)
        if cut is None and served.chunked:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        if cut is not None:
            if served.pause:
                served.pause()
            self.close_connection = True

    def _start(self, asked: Asked, served: Served) -> int | None:
        wanted = asked.headers.get("range", "")
        validator = asked.headers.get("if-range")
        same = validator in (None, served.etag, served.modified)
        if not (wanted and served.ranges and (same or not served.heeds_if_range)):
            return None
        return int(wanted.removeprefix("bytes=").removesuffix("-"))


def add_data_set(server: Server, repo: str, revision: str, files: dict[str, bytes]) -> None:
    """Serve a data set as the hub does: a list of its files, and each at its commit."""
    entries: list[dict[str, object]] = []
    for path, content in files.items():
        git = hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        digest = hashlib.sha256(content).hexdigest()
        entry: dict[str, object] = {
            "type": "file",
            "path": path,
            "size": len(content),
            "oid": git,
        }
        large = len(content) > 1000
        if large:
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
        entries.append(entry)
        server.files[f"/datasets/{repo}/resolve/{revision}/{path}"] = Served(
            content,
            etag=f'"{digest if large else git}"',
            headers={"X-Repo-Commit": revision},
        )
    tree = json.dumps(entries).encode()
    server.files[f"/api/datasets/{repo}/tree/{revision}"] = Served(
        tree, headers={"Content-Type": "application/json"}
    )
