"""The hub's own library talks to a hub on loopback, in a process of its own: it reads its settings
when it is imported."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers import Served, Server, add_data_set, serving

REPO = "owner/name"
REVISION = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "q.json": b"[1]",
    "bbox/images/a.png": b"a" * 5000,
    "bbox/.DS_Store": b"junk",
    "README.md": b"not wanted",
}
TREE = f"/api/datasets/{REPO}/tree/{REVISION}"
PROGRAM = (
    "import sys\n"
    "from pathlib import Path\n"
    "from vipbench.data.fetching.hub import Wanted, download_files, list_files\n"
    "wanted = Wanted(sys.argv[1], sys.argv[2], tuple(sys.argv[4:]))\n"
    "listed = list_files(wanted)\n"
    "print(*listed, sep='\\n')\n"
    "download_files(wanted, listed, Path(sys.argv[3]))\n"
)


class Ran(NamedTuple):
    out: str
    last: str
    """The last line of stderr."""


@pytest.fixture
def hub() -> Iterator[Server]:
    with serving() as server:
        add_data_set(server, REPO, REVISION, FILES)
        yield server


def environment(hub: Server, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_secret",
        "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "127.0.0.1",
    }


def load(hub: Server, tmp_path: Path, *patterns: str, **more: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, REPO, REVISION, str(tmp_path / "out"), *patterns],
        cwd=Path(__file__).parent.parent.parent.parent,
        env=environment(hub, tmp_path) | more,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "hf_secret" not in done.stdout + done.stderr
    return Ran(done.stdout, (done.stderr.splitlines() or [""])[-1])


def test_what_is_wanted_is_listed_and_loaded(hub: Server, tmp_path: Path) -> None:
    ran = load(hub, tmp_path, "bbox/*", "q.json")
    assert not ran.last
    assert "path='bbox/images/a.png', size=5000" in ran.out
    assert ran.out.count("Listed(") == 2
    for name in ("q.json", "bbox/images/a.png"):
        assert (tmp_path / "out" / name).read_bytes() == FILES[name]
    loaded = {path.name for path in (tmp_path / "out").rglob("*") if ".cache" not in path.parts}
    assert loaded == {"q.json", "bbox", "images", "a.png"}
    tokens = {each.headers.get("authorization") for each in hub.asked}
    assert "Bearer hf_secret" in tokens  # the library's affair; it is never printed
    # A second time, whole files are not loaded again.
    hub.asked.clear()
    assert not load(hub, tmp_path, "bbox/*", "q.json").last
    assert sum(each.sent for each in hub.asked if "resolve" in each.path) == 0


def test_what_the_hub_lacks_is_named(hub: Server, tmp_path: Path) -> None:
    last = load(hub, tmp_path, "q.json", "human/*").last
    assert f"{REPO}: has no human/* at commit {REVISION}" in last


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (None, "the hub has no such data set for you; look at its page, accept its terms"),
        (
            Served(b"", statuses=[403] * 9, headers={"X-Error-Code": "GatedRepo"}),
            "accept its terms there where it has any",
        ),
        (
            Served(b"", statuses=[404] * 9, headers={"X-Error-Code": "RevisionNotFound"}),
            f"has no commit {REVISION}",
        ),
        (Served(b"", statuses=[400] * 9), "the hub says 400 Bad Request; check the connection"),
    ],
    ids=["missing", "gated", "revision", "400"],
)
def test_a_hub_that_refuses(hub: Server, tmp_path: Path, served: Served | None, said: str) -> None:
    del hub.files[TREE]
    if served is None:
        served = Served(b"", statuses=[404] * 9, headers={"X-Error-Code": "RepoNotFound"})
    hub.files[TREE] = served
    last = load(hub, tmp_path, "q.json").last
    assert last.startswith("vipbench.errors.DataError")
    assert said in last


def test_a_hub_that_is_out_of_reach(hub: Server, tmp_path: Path) -> None:
    last = load(hub, tmp_path, "q.json", HF_HUB_OFFLINE="1").last
    assert f"{REPO}: the hub cannot be reached (OfflineModeIsEnabled)" in last
    assert "check the connection, HF_HUB_OFFLINE and HF_ENDPOINT" in last


def test_a_file_that_is_not_the_listed_one_is_refused(hub: Server, tmp_path: Path) -> None:
    path = f"/datasets/{REPO}/resolve/{REVISION}/bbox/images/a.png"
    hub.files[path].content = b"b" * 5000  # of the same size
    last = load(hub, tmp_path, "bbox/*").last
    assert "bbox/images/a.png did not arrive as the hub lists it (5,000 bytes, sha256" in last
    assert not (tmp_path / "out/bbox/images/a.png").exists()


def test_a_path_that_leaves_the_folder_is_refused(hub: Server, tmp_path: Path) -> None:
    add_data_set(hub, REPO, REVISION, {"bbox/../../x": b"1", "q.json": b"1"})
    last = load(hub, tmp_path, "*").last
    assert "'bbox/../../x' would leave the folder; refused" in last
    assert not (tmp_path / "out").exists()
