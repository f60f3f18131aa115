import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import Served, Server, serving
from vipbench.console import Console
from vipbench.data.fetching import transfer
from vipbench.data.fetching.transfer import Patience, download, finish, plain_url
from vipbench.errors import DataError

CONTENT = random.Random(0).randbytes(300_000)
QUICK = Patience(attempts=4, pause=0.0, timeout=10.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "below" / "file.zip.part"


def serve(server: Server, **behaviour: object) -> str:
    server.files["/file.zip"] = Served(**{"content": CONTENT, **behaviour})  # type: ignore[arg-type]
    return f"{server.url}/file.zip"


def load(url: str, part: Path, size: int | None = None) -> int:
    return download(url, part, size=size, patience=QUICK)


def test_a_file_is_loaded_whole(server: Server, part: Path) -> None:
    assert load(serve(server), part, len(CONTENT)) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert server.asked[0].headers["accept-encoding"] == "identity"
    assert "range" not in server.asked[0].headers
    finish(part, part.with_name("new") / "file.zip")
    assert [path.name for path in sorted(part.parent.rglob("*"))] == ["new", "file.zip"]


@pytest.mark.parametrize("cuts", [[0], [1], [150_000], [299_999], [100_000, 100_000], [0, 1, 2]])
def test_a_broken_transfer_goes_on_where_it_ended(
    server: Server, part: Path, cuts: list[int]
) -> None:
    assert load(serve(server, cuts=list(cuts)), part) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert server.sent == [*cuts, len(CONTENT) - sum(cuts)]  # nothing twice
    starts = [each.headers.get("range") for each in server.asked[1:]]
    wanted = [sum(cuts[: n + 1]) for n in range(len(cuts))]
    assert starts == [f"bytes={at}-" if at else None for at in wanted]


@pytest.mark.parametrize("cut", [1, 100_000, 299_999])
def test_a_later_call_goes_on_where_an_earlier_one_gave_up(
    server: Server, part: Path, cut: int
) -> None:
    url = serve(server, cuts=[cut, 0, 0, 0])
    with pytest.raises(DataError, match=r"gave up after 4 attempts .* are kept · give the same"):
        load(url, part)
    assert part.read_bytes() == CONTENT[:cut]
    assert load(url, part) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert sum(server.sent) == len(CONTENT)


def test_a_date_names_a_version_where_there_is_no_strong_etag(server: Server, part: Path) -> None:
    date = "Tue, 15 Nov 1994 12:45:26 GMT"
    load(serve(server, etag='W/"weak"', modified=date, cuts=[1000]), part)
    assert part.read_bytes() == CONTENT
    assert server.asked[1].headers["if-range"] == date
    assert server.sent == [1000, len(CONTENT) - 1000]


@pytest.mark.parametrize("behaviour", [{"etag": None}, {"etag": 'W/"weak"'}, {"ranges": False}])
def test_without_a_version_or_ranges_a_transfer_starts_over(
    server: Server, part: Path, behaviour: dict[str, object]
) -> None:
    assert load(serve(server, cuts=[1000], **behaviour), part) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert server.sent == [1000, len(CONTENT)]


@pytest.mark.parametrize("heeds", [True, False])
def test_two_versions_are_never_mixed(server: Server, part: Path, heeds: bool) -> None:
    url = serve(server, cuts=[1000, 0, 0, 0])
    with pytest.raises(DataError, match="gave up"):
        load(url, part)
    other = bytes(reversed(CONTENT))
    serve(server, content=other, etag='"v2"', heeds_if_range=heeds)
    assert load(url, part) == len(other)
    assert part.read_bytes() == other


def test_a_server_that_sends_another_part_is_not_believed(server: Server, part: Path) -> None:
    url = serve(server, cuts=[1000, 0, 0, 0])
    with pytest.raises(DataError, match="gave up"):
        load(url, part)
    served = server.files["/file.zip"]
    served.headers = {"Content-Range": f"bytes 999-{len(CONTENT) - 1}/{len(CONTENT)}"}
    assert load(url, part) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert server.sent[-1] == len(CONTENT)


def test_a_whole_part_is_only_asked_after(server: Server, part: Path) -> None:
    url = serve(server)
    load(url, part)
    assert load(url, part) == len(CONTENT)
    assert [each.status for each in server.asked] == [200, 416]
    serve(server, content=CONTENT[:-1], etag='"v2"')
    assert load(url, part) == len(CONTENT) - 1
    assert part.read_bytes() == CONTENT[:-1]


def test_a_part_longer_than_the_file_is_loaded_anew(server: Server, part: Path) -> None:
    url = serve(server)
    load(url, part)
    part.write_bytes(CONTENT + b"more")
    assert load(url, part) == len(CONTENT)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["{", "[]", '{"url": 3}', '{"url": "http://elsewhere/x"}'])
def test_a_part_of_unknown_origin_is_loaded_anew(server: Server, part: Path, note: str) -> None:
    url = serve(server, cuts=[1000, 0, 0, 0])
    with pytest.raises(DataError):
        load(url, part)
    path = part.with_name(part.name + ".json")
    assert json.loads(path.read_text())["etag"] == '"v1"'
    path.write_text(note)
    load(url, part)
    assert part.read_bytes() == CONTENT
    assert server.sent[-1] == len(CONTENT)


def test_chunks_need_no_length(server: Server, part: Path) -> None:
    assert load(serve(server, chunked=True), part) == len(CONTENT)
    assert part.read_bytes() == CONTENT


def test_chunks_that_end_too_early_are_noticed(server: Server, part: Path) -> None:
    assert load(serve(server, chunked=True, cuts=[1000]), part, len(CONTENT)) == len(CONTENT)
    assert part.read_bytes() == CONTENT


def test_a_server_that_does_not_say_how_long_is_refused(server: Server, part: Path) -> None:
    url = serve(server, headers={"Content-Length": None, "Connection": "close"}, cuts=[50])
    with pytest.raises(DataError, match="does not say how long"):
        load(url, part)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("expected", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_than_the_known_one_is_refused(
    server: Server, part: Path, chunked: bool, expected: int
) -> None:
    url = serve(server, chunked=chunked)
    with pytest.raises(DataError, match=rf"expected {expected:,}: .* --accept-changed"):
        load(url, part, expected)
    assert not part.exists()
    assert len(server.asked) == 1


def test_more_than_the_disk_has_room_for_is_refused(server: Server, part: Path) -> None:
    url = serve(server, headers={"Content-Length": str(10**18)}, cuts=[0])
    with pytest.raises(DataError, match=r"1e\+06 TB are still to be loaded, and .* are free"):
        load(url, part)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_a_server_in_trouble_is_asked_again(server: Server, part: Path, status: int) -> None:
    assert load(serve(server, statuses=[status] * 3), part) == len(CONTENT)
    assert len(server.asked) == 4
    url = serve(server, statuses=[status] * 4)
    with pytest.raises(DataError, match=f"gave up after 4 attempts .*the server says {status}"):
        load(url, part)
    assert len(server.asked) == 8


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 501])
def test_a_server_that_refuses_is_not_asked_again(server: Server, part: Path, status: int) -> None:
    url = serve(server, statuses=[status] * 2)
    with pytest.raises(DataError, match=f"the server says {status}"):
        load(url, part)
    assert len(server.asked) == 1


def test_the_server_may_ask_for_a_pause_but_not_a_long_one(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    later: dict[str, str | None] = {"Retry-After": "7"}
    url = serve(server, statuses=[429], headers=later)
    download(url, part, patience=Patience(pause=1.0))
    url = serve(server, statuses=[503, 503, 503], headers={"Retry-After": "99999"})
    download(url, part, patience=Patience(pause=1.0, longest=20.0))
    assert pauses == [7.0, 20.0, 20.0, 20.0]
    url = serve(
        server, statuses=[500] * 5, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    )
    pauses.clear()
    download(url, part, patience=Patience(pause=1.0, longest=6.0))
    for pause, limit in zip(pauses, (1, 2, 4, 6, 6), strict=True):
        assert limit / 2 <= pause <= limit  # doubled, not all clients at once


def test_progress_gives_new_attempts(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PROGRESS", 1000)
    assert load(serve(server, cuts=[1000] * 10), part) == len(CONTENT)
    url = serve(server, cuts=[999] * 10, etag='"v2"')
    with pytest.raises(DataError, match="gave up"):
        load(url, part)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with serving() as server:
        url = f"{server.url}/file.zip"
    with pytest.raises(DataError, match=r"gave up after 4 attempts .*0 bytes are kept"):
        load(url, tmp_path / "file.part")


# --- redirects and addresses


def redirect(server: Server, path: str, target: str, status: int = 302) -> str:
    served = Served(b"", statuses=[status] * 100, headers={"Location": target})
    server.files[path] = served
    return f"{server.url}{path}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: Server, part: Path, status: int) -> None:
    serve(server)
    redirect(server, "/middle", "file.zip?signature=secret", status)
    url = redirect(server, "/first", f"{server.url}/middle", status)
    assert load(url, part) == len(CONTENT)
    assert [each.path for each in server.asked] == ["/first", "/middle", "/file.zip"]


@pytest.mark.parametrize("target", ["/loop", "/other"])
def test_endless_redirects_end(server: Server, part: Path, target: str) -> None:
    redirect(server, "/other", "/loop")
    url = redirect(server, "/loop", target)
    with pytest.raises(DataError, match="redirects more than 10 times"):
        load(url, part)
    assert len(server.asked) == 11


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "gopher://x/"]
)
def test_other_schemes_are_refused(server: Server, part: Path, target: str) -> None:
    for url in (target, redirect(server, "/first", target)):
        with pytest.raises(DataError, match="expected an address of http or https"):
            load(url, part)
    assert not part.exists()


def test_an_encrypted_address_does_not_lead_to_an_open_one() -> None:
    assert transfer.leaves_encryption("https://a/x", "http://a/x")
    assert not transfer.leaves_encryption("http://a/x", "https://a/x")
    assert not transfer.leaves_encryption("https://a/x", "https://b/x")


@pytest.mark.parametrize(
    "target",
    ["http://[::1", "//[x]/a", "http://127.0.0.1:99999/x", "http://127.0.0.1:x/", "http://a..b/x"],
)
def test_a_redirect_to_what_is_not_an_address(server: Server, part: Path, target: str) -> None:
    with pytest.raises(DataError, match="not an address"):
        load(redirect(server, "/first", target), part)
    assert not part.exists()


@pytest.mark.parametrize(
    ("host", "internal"),
    [
        ("127.0.0.1", True),
        ("127.1", True),
        ("2130706433", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("fd00::1", True),
        ("localhost", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("a..b", False),
    ],
)
def test_which_addresses_are_internal(host: str, *, internal: bool) -> None:
    assert transfer.is_internal(host) is internal


def test_a_public_address_does_not_lead_to_an_internal_one(
    server: Server, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    redirect(server, "/first", f"{serve(server)}?key=word")
    url = f"http://localhost:{port}/first"
    monkeypatch.setattr(transfer, "is_internal", lambda host: host != "localhost")
    with pytest.raises(DataError) as error:
        load(url, part)
    assert str(error.value) == (
        f"{url}: redirects to {server.url}/file.zip, which is within this machine or its network ·"
        " refused"
    )
    assert [each.path for each in server.asked] == ["/first"]
    monkeypatch.undo()  # the source is of that kind itself
    assert load(url, part) == len(CONTENT)


def test_secrets_of_an_address_are_never_shown(server: Server, part: Path) -> None:
    assert (
        plain_url("https://me:word@host:8443/a/b.zip?key=word#word") == "https://host:8443/a/b.zip"
    )
    assert plain_url("http://host:none/x") == "(not an address)"
    serve(server, statuses=[403])
    host = server.url.removeprefix("http://")
    with pytest.raises(DataError) as caught:
        load(f"http://me:word@{host}/file.zip?key=word", part)
    assert "word" not in str(caught.value)
    serve(server, cuts=[10, 0, 0, 0])
    with pytest.raises(DataError) as caught:
        load(redirect(server, "/first", "/file.zip?key=word"), part)
    assert "word" not in str(caught.value)
    assert "word" not in part.with_name(part.name + ".json").read_text()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, "sent a web page, not the file"),
        ({"Content-Encoding": "gzip"}, r"compressed \(gzip\)"),
    ],
)
def test_what_is_not_the_file_is_refused(
    server: Server, part: Path, headers: dict[str, str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        load(serve(server, headers=headers), part)
    assert not part.exists()


# --- the disk, and the user


def test_a_disk_that_fills_up_keeps_what_was_loaded(server: Server, part: Path) -> None:
    url = serve(server)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vipbench.data.fetching.transfer import download\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))\n"
        "download(sys.argv[1], Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, url, str(part)], capture_output=True, text=True, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert "DataError" in last
    assert "the first 100 kB are kept · make room, then give the same command again" in last
    assert part.read_bytes() == CONTENT[:100_000]
    assert load(url, part) == len(CONTENT)
    assert part.read_bytes() == CONTENT
    assert server.sent[-1] == len(CONTENT) - 100_000


def test_a_folder_that_cannot_be_made(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="name another with -o"):
        load(serve(server), tmp_path / "file" / "x.part")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def test_what_was_loaded_is_on_the_disk_at_once(server: Server, part: Path) -> None:
    thread = threading.main_thread().ident
    assert thread is not None

    def stop() -> None:
        until(lambda: part.exists() and part.stat().st_size == 100_000)
        signal.pthread_kill(thread, signal.SIGINT)
        stopped.wait(20)

    stopped = threading.Event()
    url = serve(server, cuts=[100_000], pause=stop)
    with pytest.raises(KeyboardInterrupt):
        load(url, part)
    stopped.set()
    assert part.read_bytes() == CONTENT[:100_000]
    assert load(url, part) == len(CONTENT)
    assert server.sent == [100_000, len(CONTENT) - 100_000]


def test_a_bar_shows_the_rate(
    server: Server, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download(serve(server), part, patience=QUICK, console=Console(shows_bars=True))
    shown = capsys.readouterr().err
    assert shown.startswith("file.zip: 300.0 kB of 300.0 kB (100 %), ")
    assert "B/s, " in shown
