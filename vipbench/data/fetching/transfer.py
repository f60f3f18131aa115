"""Load one file over HTTP: resumed where it broke off, and never composed of two versions.

A transfer goes to `NAME.part`; beside it, `NAME.part.json` says what the server called this version
of the file (ETag or Last-Modified). Only bytes of that version are ever appended; where the server
names no version, does not serve ranges, or has another version by now, the transfer starts over.
"""

import ipaddress
import random
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx2
from pydantic import ValidationError

from vipbench._version import __version__
from vipbench.console import QUIET, Console
from vipbench.errors import DataError, RunError
from vipbench.files import read_json, size_in_words, unwritten, write_json
from vipbench.schema import Record

if TYPE_CHECKING:
    from tqdm import tqdm

MAX_REDIRECTS = 10
PROGRESS = 1 << 20
"""Bytes after which a broken transfer has its full number of attempts again."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another one a little later."""


class Patience(NamedTuple):
    """How long a server is waited for."""

    attempts: int = 6
    """In a row without progress."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled for each that follows."""
    longest: float = 60.0
    """Seconds that a pause may last, whatever the server asks for."""
    timeout: float = 60.0
    """Seconds without a byte."""


class _Version(Record):
    """What the server says of the file that is in the `.part`."""

    url: str
    etag: str = ""
    modified: str = ""
    total: int | None = None

    def validator(self) -> str:
        """Return what `If-Range` takes: a strong ETag, else a date; empty where there is none."""
        return self.etag if self.etag.startswith('"') else self.modified


class _Interrupted(Exception):
    """A transfer broke off, or was put off; another attempt may resume it."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    patience: Patience = Patience(),  # noqa: B008  # immutable
    console: Console = QUIET,
) -> int:
    """Load a file into `part`, resuming what an earlier call left there; return its size.

    Args:
        url: http or https.
        part: where the bytes go; the folder is made.
        size: bytes that the file must have, where that is known.
        patience: how often and how long to try.
        console: shows a bar with the rate.

    Raises:
        DataError: The server refuses, sends another size or a web page, or stays away; the disk is
            full. What was loaded is kept but where it is of no use.
    """
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(part, error, "nothing was loaded") from error
    timeout = httpx2.Timeout(patience.timeout)
    headers = {"User-Agent": f"vipbench/{__version__}", "Accept-Encoding": "identity"}
    bar: tqdm[object] = console.bar(part.name.removesuffix(".part"), total=size, unit="B")
    failed, best = 0, 0
    with bar, httpx2.Client(headers=headers, timeout=timeout, follow_redirects=False) as client:
        while True:
            try:
                return _attempt(client, url, part, size, bar)
            except _Interrupted as error:
                have = part.stat().st_size if part.exists() else 0
                failed = 1 if have >= best + PROGRESS else failed + 1
                best = max(best, have)
                if failed >= patience.attempts:
                    raise DataError(
                        f"{plain_url(url)}: gave up after {failed} attempts ({error}) ·"
                        f" {size_in_words(have)} are kept · give the same command again to resume"
                    ) from error
                # Not all who were cut off at once come back at once.
                pause = patience.pause * 2 ** (failed - 1) * random.Random().uniform(0.5, 1.0)
                time.sleep(min(patience.longest, max(pause, error.wait)))


def _attempt(
    client: httpx2.Client, url: str, part: Path, size: int | None, bar: "tqdm[object]"
) -> int:
    """Load what is missing; _Interrupted where the connection ends too early."""
    version = _known_version(part, url)
    have = part.stat().st_size if version and part.exists() else 0
    if version is not None and have:
        headers = {"Range": f"bytes={have}-", "If-Range": version.validator()}
    else:
        headers = {}
    try:
        with _response(client, url, headers) as response:
            if response.status_code == 416 and version is not None:
                return _all_there(response, part, have)
            _check_status(response, url)
            current = _version_of(response, url)
            if response.status_code == 206:
                start, current = _continued(response, current)
                if version is None or start != have or not _is_same(version, current):
                    _forget(part)
                    raise _Interrupted("the server sent another part than was asked for")
            else:
                have = 0
            _check_kind(response, url)
            _check_size(url, current.total, size, part, have)
            return _receive(response, part, current, have, size, bar)
    except httpx2.TransportError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, httpx2.UnsupportedProtocol):
            raise DataError(f"{plain_url(url)}: {reason} · expected http or https") from error
        raise _Interrupted(reason) from error
    except (httpx2.InvalidURL, UnicodeError) as error:  # the latter for an impossible host
        raise DataError(f"{plain_url(url)}: not an address ({error})") from error


def _receive(
    response: httpx2.Response,
    part: Path,
    version: _Version,
    have: int,
    size: int | None,
    bar: "tqdm[object]",
) -> int:
    total = version.total
    bar.total = total if total is not None else size
    bar.n = bar.initial = have
    bar.refresh()
    try:
        if not have:
            part.unlink(missing_ok=True)
            note_path(part).unlink(missing_ok=True)
            if version.validator():
                write_note(note_path(part), version.model_dump(), "nothing was loaded")
        with part.open("ab", buffering=0) as file:
            for chunk in response.iter_raw():
                _write_all(file, chunk)
                have += len(chunk)
                bar.update(len(chunk))
                if size is not None and have > size:
                    break
    except OSError as error:
        kept = f"the first {size_in_words(part.stat().st_size if part.exists() else 0)} are kept"
        raise unwritten(part, error, kept) from error
    if total is not None and have < total:
        raise _Interrupted(f"the connection ended after {have:,} of {total:,} bytes")
    _check_size(str(response.url), have, size, part, have)
    return have


def _write_all(file: IO[bytes], chunk: bytes) -> None:
    """Write a chunk without a buffer: what is written is kept, whatever happens next."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


@contextmanager
def _response(
    client: httpx2.Client, url: str, headers: Mapping[str, str]
) -> Iterator[httpx2.Response]:
    """Ask for a file, and follow redirects to http and https.

    Never from https to http, and never from a public address to one within a network.
    """
    first = url
    for _ in range(MAX_REDIRECTS + 1):
        _check_address(url)
        response = client.send(client.build_request("GET", url, headers=headers), stream=True)
        try:
            location = response.headers.get("location")
            if not (300 <= response.status_code < 400 and location):
                yield response
                return
        finally:
            response.close()
        url = _redirected(url, location)
    raise DataError(
        f"{plain_url(first)}: redirects more than {MAX_REDIRECTS} times, last to {plain_url(url)} ·"
        " expected a file"
    )


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads; DataError where it is not followed."""
    try:
        target = urljoin(url, location)
        here, there = urlsplit(url), urlsplit(target)
        _ = there.port  # is only read, and found wrong, here
    except ValueError as error:
        raise DataError(
            f"{plain_url(url)}: redirects to what is not an address · expected a file · fetch it by"
            " hand and give --data"
        ) from error
    if leaves_encryption(url, target):
        raise DataError(
            f"{plain_url(url)}: redirects to {plain_url(target)}, which is not encrypted · refused"
        )
    host = there.hostname or ""
    if host != here.hostname and is_internal(host) and not is_internal(here.hostname or ""):
        raise DataError(
            f"{plain_url(url)}: redirects to {plain_url(target)}, which is within this machine or"
            " its network · refused"
        )
    return target


def is_internal(host: str) -> bool:
    """Say whether a host has an address that is not public: loopback, private, link-local.

    A name that is not known here is left to the connection.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return any(not _address(str(place[0])).is_global for *_, place in found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; an IPv4 one that is written as IPv6 counts as what it is."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def leaves_encryption(url: str, target: str) -> bool:
    """Say whether a redirect goes from https to http, where others could change the file."""
    return urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http"


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DataError(f"{plain_url(url)}: expected an address of http or https · refused")


def plain_url(url: str) -> str:
    """Return an address without what may be secret in it: user, password, query, fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(not an address)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _check_status(response: httpx2.Response, url: str) -> None:
    status = response.status_code
    said = f"{status} {response.reason_phrase}".strip()
    if status in (200, 206):
        return
    if status in _AGAIN:
        raise _Interrupted(f"the server says {said}", _retry_after(response))
    if status in (404, 410):
        advice = "the file has moved · fetch it by hand and give --data"
    elif status in (401, 403, 407, 451):
        advice = "not everyone has access to it · fetch it by hand and give --data"
    else:
        advice = "expected 200 OK"
    raise DataError(f"{plain_url(url)}: the server says {said} · {advice}")


def _retry_after(response: httpx2.Response) -> float:
    """Return the seconds that the server asks to wait; a date counts as none."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0.0


def _check_kind(response: httpx2.Response, url: str) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise DataError(
            f"{plain_url(url)}: the server sent a web page, not the file · look at it in a browser,"
            " fetch the file by hand and give --data"
        )
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise DataError(
            f"{plain_url(url)}: the server sent it compressed ({encoding}), though asked not to"
        )
    lengths = response.headers.keys() & {"content-length", "content-range", "transfer-encoding"}
    if not lengths:
        raise DataError(
            f"{plain_url(url)}: the server does not say how long the file is, so that an early end"
            " would go unnoticed · fetch it by hand and give --data"
        )


def _check_size(url: str, size: int | None, expected: int | None, part: Path, have: int) -> None:
    if size is not None and expected is not None and size != expected:
        _forget(part)
        raise DataError(
            f"{plain_url(url)}: has {size:,} bytes · expected {expected:,}: the file has changed or"
            " is another · --accept-changed takes it as it is"
        )
    folder = part.parent
    free = shutil.disk_usage(folder).free
    missing = (size or 0) - have
    if missing > free:
        raise DataError(
            f"{folder}: {size_in_words(missing)} are still to be loaded, and"
            f" {size_in_words(free)} are free · make room, then give the same command again"
        )


def _known_version(part: Path, url: str) -> _Version | None:
    """Return which version of the file is in the `.part`, if it can be resumed."""
    try:
        version = _Version.model_validate(read_json(note_path(part)))
    except (RunError, ValidationError):
        return None
    return version if version.url == plain_url(url) and version.validator() else None


def _version_of(response: httpx2.Response, url: str) -> _Version:
    length = response.headers.get("content-length", "")
    return _Version(
        url=plain_url(url),
        etag=response.headers.get("etag", ""),
        modified=response.headers.get("last-modified", ""),
        total=int(length) if length.isascii() and length.isdigit() else None,
    )


def _continued(response: httpx2.Response, version: _Version) -> tuple[int, _Version]:
    """Return where a part of a file starts, and the version with the size of the whole file."""
    unit, _, rest = response.headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes" or not (start.isascii() and start.isdigit()):
        return -1, version
    known = int(total) if total.isascii() and total.isdigit() else None
    return int(start), version.model_copy(update={"total": known})


def _is_same(former: _Version, now: _Version) -> bool:
    for before, after in ((former.etag, now.etag), (former.total, now.total)):
        if before and after and before != after:
            return False
    return bool(former.etag) or former.modified == (now.modified or former.modified)


def _all_there(response: httpx2.Response, part: Path, have: int) -> int:
    """Return the size of a file of which nothing was missing; else start over."""
    if response.headers.get("content-range", "") == f"bytes */{have}":
        return have
    _forget(part)
    raise _Interrupted("what was loaded is not of this file")


def note_path(part: Path) -> Path:
    """Return where it is noted what the server calls the version of a file that is loaded."""
    return part.with_name(f"{part.name}.json")


def write_note(path: Path, value: object, kept: str) -> None:
    """Write a small JSON file, all or none; the DataError of a full disk says what is kept."""
    try:
        write_json(path, value)
    except RunError as error:
        cause = error.__cause__
        raise unwritten(path, cause if isinstance(cause, OSError) else OSError(), kept) from error


def _forget(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
        note_path(part).unlink(missing_ok=True)
    except OSError as error:
        raise unwritten(part, error, "nothing was lost") from error


def finish(part: Path, target: Path) -> None:
    """Give a loaded file its name; DataError where the disk refuses."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        note_path(part).unlink(missing_ok=True)
    except OSError as error:
        raise unwritten(target, error, "what was loaded is kept") from error
