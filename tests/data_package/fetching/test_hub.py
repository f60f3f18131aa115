"""The hub's own library talks to a hub on loopback, in processes of its own."""

from pathlib import Path

import pytest

from tests.data_package.fetching.hub_process import HubProcess, Ran
from tests.servers import Served, add_data_set

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


@pytest.fixture(autouse=True)
def _data_set(hub: HubProcess) -> None:
    add_data_set(hub.server, REPO, REVISION, FILES)


def load(hub: HubProcess, tmp_path: Path, *patterns: str) -> Ran:
    return hub.run(PROGRAM, REPO, REVISION, str(tmp_path / "out"), *patterns, cwd=tmp_path)


def test_what_is_wanted_is_listed_and_loaded(hub: HubProcess, tmp_path: Path) -> None:
    ran = load(hub, tmp_path, "bbox/*", "q.json")
    assert not ran.last
    assert "path='bbox/images/a.png', size=5000" in ran.out
    assert ran.out.count("Listed(") == 2
    for name in ("q.json", "bbox/images/a.png"):
        assert (tmp_path / "out" / name).read_bytes() == FILES[name]
    loaded = {path.name for path in (tmp_path / "out").rglob("*") if ".cache" not in path.parts}
    assert loaded == {"q.json", "bbox", "images", "a.png"}
    tokens = {each.headers.get("authorization") for each in hub.server.asked}
    assert "Bearer hf_secret" in tokens  # the library's own; it is never printed
    # A second time, whole files are not loaded again.
    hub.server.asked.clear()
    assert not load(hub, tmp_path, "bbox/*", "q.json").last
    assert sum(each.sent for each in hub.server.asked if "resolve" in each.path) == 0


def test_what_the_hub_lacks_is_named(hub: HubProcess, tmp_path: Path) -> None:
    last = load(hub, tmp_path, "q.json", "human/*").last
    assert f"{REPO}: has no human/* at commit {REVISION}" in last


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (None, "the hub has no such data set for you · look at its page, accept its terms"),
        (
            Served(b"", statuses=[403] * 9, headers={"X-Error-Code": "GatedRepo"}),
            "accept its terms there where it has any",
        ),
        (
            Served(b"", statuses=[404] * 9, headers={"X-Error-Code": "RevisionNotFound"}),
            f"has no commit {REVISION}",
        ),
        (Served(b"", statuses=[400] * 9), "the hub says 400 Bad Request · check the connection"),
    ],
    ids=["missing", "gated", "revision", "400"],
)
def test_a_hub_that_refuses(
    hub: HubProcess, tmp_path: Path, served: Served | None, said: str
) -> None:
    del hub.server.files[TREE]
    if served is None:
        served = Served(b"", statuses=[404] * 9, headers={"X-Error-Code": "RepoNotFound"})
    hub.server.files[TREE] = served
    last = load(hub, tmp_path, "q.json").last
    assert last.startswith("vipbench.errors.DataError")
    assert said in last


def test_a_hub_that_is_out_of_reach(hub: HubProcess, tmp_path: Path) -> None:
    offline = HubProcess(hub.server, tmp_path, HF_HUB_OFFLINE="1")
    last = load(offline, tmp_path, "q.json").last
    offline.close()
    assert f"{REPO}: the hub cannot be reached (OfflineModeIsEnabled)" in last
    assert "check the connection, HF_HUB_OFFLINE and HF_ENDPOINT" in last


def test_a_file_that_is_not_the_listed_one_is_refused(hub: HubProcess, tmp_path: Path) -> None:
    path = f"/datasets/{REPO}/resolve/{REVISION}/bbox/images/a.png"
    hub.server.files[path].content = b"b" * 5000  # of the same size
    last = load(hub, tmp_path, "bbox/*").last
    assert "bbox/images/a.png did not arrive as the hub lists it (5,000 bytes, sha256" in last
    assert not (tmp_path / "out/bbox/images/a.png").exists()


def test_a_path_that_leaves_the_folder_is_refused(hub: HubProcess, tmp_path: Path) -> None:
    add_data_set(hub.server, REPO, REVISION, {"bbox/../../x": b"1", "q.json": b"1"})
    last = load(hub, tmp_path, "*").last
    assert "'bbox/../../x' would leave the folder · refused" in last
    assert not (tmp_path / "out").exists()
