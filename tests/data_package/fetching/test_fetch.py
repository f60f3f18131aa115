import hashlib
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_package.fetching.hub_process import HubProcess, Ran
from tests.data_package.fetching.test_sources import GOOD, write_source
from tests.servers import Served, Server, add_data_set, serving
from vipbench.console import Console
from vipbench.data.cache import FETCHED, fetched_folder
from vipbench.data.fetching.fetch import FetchSettings, fetch
from vipbench.data.fetching.lock import staged_path, status
from vipbench.data.fetching.sources import (
    STAGE,
    Part,
    RemoteFile,
    Source,
    load_source,
)
from vipbench.data.fetching.transfer import Patience, note_path
from vipbench.data.locate import locate
from vipbench.demo.generate import make
from vipbench.errors import DataError, RunError, RunInterrupted, TaskError
from vipbench.files import locked
from vipbench.schema import DataSource
from vipbench.trials.check import check_tasks

QUICK = Patience(attempts=3, pause=0.0, timeout=10.0)
SETTINGS = FetchSettings(patience=QUICK)
ACCEPT = SETTINGS._replace(accept_changed=True)
QUESTIONS = b'[{"id": 1}]'
IMAGES = {f"pictures/{n}.jpg": bytes([n]) * 1000 for n in range(5)}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.files["/q.json"] = Served(QUESTIONS)
        server.files["/i.zip"] = Served(zipped(IMAGES))
        yield server


@pytest.fixture
def source(server: Server) -> Source:
    """Describe a set of one question file and an archive of images."""
    return Source(
        key="toy",
        title="A toy",
        parts={
            "questions": Part(
                title="q",
                licence="CC0",
                files=(RemoteFile(url=f"{server.url}/q.json?key=word", to="deep/q.json"),),
            ),
            "images": Part(
                title="i",
                licence="CC0",
                files=(RemoteFile(url=f"{server.url}/i.zip", unpack=True, to="images"),),
            ),
            "more": Part(
                title="m",
                licence="CC0",
                optional=True,
                files=(RemoteFile(url=f"{server.url}/more.json", to="more.json"),),
            ),
        },
    )


def states(source: Source, folder: Path) -> dict[str, str]:
    return {each.name: each.state for each in status(source, folder)}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != FETCHED
    }


WHOLE = {"deep/q.json": QUESTIONS} | {
    name.replace("pictures", "images"): content for name, content in IMAGES.items()
}


# --- fetching


def test_a_set_is_loaded_unpacked_and_recorded(
    source: Source, server: Server, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = fetch(source, tmp_path / "out", settings=SETTINGS, console=Console(said.append))
    assert folder == tmp_path / "out"
    assert files(folder) == WHOLE
    assert states(source, folder) == {
        "questions": "complete",
        "images": "complete",
        "more": "not fetched",
    }
    assert said == ["toy questions: q; licence: CC0", "toy images: i; licence: CC0"]
    lock = json.loads((folder / FETCHED).read_text())
    assert lock["key"] == "toy"
    questions, images = lock["files"]
    assert questions["name"] == "deep/q.json"
    assert questions["url"] == f"{server.url}/q.json"  # without the query
    assert questions["size"] == len(QUESTIONS)
    assert questions["sha256"] == hashlib.sha256(QUESTIONS).hexdigest()
    assert questions["time"].endswith("+00:00")
    archive = server.files["/i.zip"].content
    assert images["sha256"] == hashlib.sha256(archive).hexdigest()
    assert (images["name"], images["size"]) == ("i.zip", len(archive))
    assert (images["n_files"], images["n_bytes"]) == (5, 5000)


def test_a_second_fetch_asks_nobody_and_checks_all(
    source: Source, server: Server, tmp_path: Path
) -> None:
    fetch(source, tmp_path, settings=SETTINGS)
    before = (tmp_path / FETCHED).read_text()
    server.asked.clear()
    said: list[str] = []
    fetch(source, tmp_path, settings=SETTINGS, console=Console(said.append))
    assert not server.asked
    assert sum("unchanged since" in message for message in said) == 2
    assert (tmp_path / FETCHED).read_text() == before


def test_nothing_is_left_of_a_process_that_was_killed(
    source: Source, server: Server, tmp_path: Path
) -> None:
    (tmp_path / STAGE).mkdir()
    for _ in range(2):  # whether something is loaded or not
        fetch(source, tmp_path, settings=SETTINGS)
        assert not (tmp_path / STAGE).exists()
        (tmp_path / STAGE).mkdir()
    needed = [part for part in source.parts.values() if not part.optional]
    whole = [staged_path(tmp_path, file) for part in needed for file in part.files]
    for staged in whole:  # killed while it cleared up
        staged.touch()
        note_path(staged).touch()
        staged.with_name(f"{staged.name.removesuffix('.part')}.unpacked").mkdir()
    fetch(source, tmp_path, settings=SETTINGS)
    assert not (tmp_path / STAGE).exists()
    (tmp_path / STAGE).mkdir()
    (tmp_path / STAGE / "other.part").touch()
    fetch(source, tmp_path, settings=SETTINGS)
    assert (tmp_path / STAGE / "other.part").exists()


def test_an_archive_that_is_to_be_kept_is_kept_after_a_kill(
    source: Source, server: Server, tmp_path: Path
) -> None:
    settings = SETTINGS._replace(keep_archives=True)
    fetch(source, tmp_path, ["images"], settings)
    kept = tmp_path / "archives/i.zip"
    [staged] = [staged_path(tmp_path, file) for file in source.parts["images"].files]
    staged.parent.mkdir()
    kept.rename(staged)
    fetch(source, tmp_path, ["images"], settings)
    assert kept.read_bytes() == server.files["/i.zip"].content
    assert not (tmp_path / STAGE).exists()


def test_single_parts_and_optional_ones(source: Source, server: Server, tmp_path: Path) -> None:
    server.files["/more.json"] = Served(b"{}")
    fetch(source, tmp_path, ["more"], SETTINGS)
    assert files(tmp_path) == {"more.json": b"{}"}
    fetch(source, tmp_path, ["questions"], SETTINGS)
    assert states(source, tmp_path)["images"] == "not fetched"
    with pytest.raises(TaskError, match="--part 'image': toy has none · did you mean 'images'"):
        fetch(source, tmp_path, ["image"], SETTINGS)


def test_archives_are_kept_where_that_is_asked_for(
    source: Source, server: Server, tmp_path: Path
) -> None:
    fetch(source, tmp_path, ["images"], SETTINGS._replace(keep_archives=True))
    assert (tmp_path / "archives/i.zip").read_bytes() == server.files["/i.zip"].content
    assert not (tmp_path / STAGE).exists()


def test_one_file_of_an_archive(server: Server, tmp_path: Path) -> None:
    file = RemoteFile(url=f"{server.url}/i.zip", unpack=True, take=("3.jpg",), to="three.jpg")
    part = Part(title="", licence="", files=(file,))
    source = Source(key="toy", title="", parts={"one": part})
    for _ in range(2):
        fetch(source, tmp_path, settings=SETTINGS)
        assert files(tmp_path) == {"three.jpg": IMAGES["pictures/3.jpg"]}
    assert states(source, tmp_path) == {"one": "complete"}
    (tmp_path / "three.jpg").write_bytes(b"other")
    assert states(source, tmp_path) == {"one": "changed"}
    with pytest.raises(DataError, match=r"three\.jpg: has changed since it was fetched"):
        fetch(source, tmp_path, settings=SETTINGS)
    (tmp_path / "three.jpg").unlink()
    missing = file.model_copy(update={"take": ("9.jpg",)})
    with pytest.raises(DataError, match=r"holds 0 files 9\.jpg \(pictures\) · expected one"):
        fetch(
            source.model_copy(
                update={"parts": {"one": part.model_copy(update={"files": (missing,)})}}
            ),
            tmp_path,
            settings=SETTINGS,
        )


def test_a_known_size_is_checked(source: Source, tmp_path: Path) -> None:
    part = source.parts["questions"]
    file = part.files[0].model_copy(update={"size": len(QUESTIONS) + 1})
    wrong = source.model_copy(
        update={"parts": {"questions": part.model_copy(update={"files": (file,)})}}
    )
    with pytest.raises(DataError, match="has 11 bytes · expected 12"):
        fetch(wrong, tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out").exists()
    fetch(wrong, tmp_path / "out", settings=ACCEPT)
    assert states(wrong, tmp_path / "out") == {"questions": "complete"}


# --- interruptions


@pytest.mark.parametrize("cut", [0, 1, 2000, 5000])
def test_a_broken_fetch_goes_on(source: Source, server: Server, tmp_path: Path, cut: int) -> None:
    served = server.files["/i.zip"]
    served.cuts = [cut, 0, 0]
    with pytest.raises(DataError, match="gave up after 3 attempts"):
        fetch(source, tmp_path, settings=SETTINGS)
    assert states(source, tmp_path)["questions"] == "complete"
    assert states(source, tmp_path)["images"] == "partial"
    fetch(source, tmp_path, settings=SETTINGS)
    assert files(tmp_path) == WHOLE
    sent = [each.sent for each in server.asked if each.path == "/i.zip"]
    assert sum(sent) == len(served.content)  # nothing twice
    assert [each.path for each in server.asked].count("/q.json") == 1


def test_a_fetch_that_is_stopped_goes_on(source: Source, server: Server, tmp_path: Path) -> None:
    thread = threading.main_thread().ident
    assert thread is not None
    stopped = threading.Event()

    def stop() -> None:
        end = time.monotonic() + 20
        while not list(tmp_path.rglob("*.part")) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.2)  # a file that is interrupted while it opens is left to Python to close
        signal.pthread_kill(thread, signal.SIGINT)
        stopped.wait(20)

    server.files["/i.zip"] = Served(zipped(IMAGES), cuts=[3000], pause=stop)
    with pytest.raises(RunInterrupted, match="what was loaded is kept · give the same command"):
        fetch(source, tmp_path, settings=SETTINGS)
    stopped.set()
    fetch(source, tmp_path, settings=SETTINGS)
    assert files(tmp_path) == WHOLE


def test_a_crash_before_the_last_step_loses_nothing(
    source: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vipbench.data.fetching.fetch._move", crash)
        with pytest.raises(RunInterrupted):
            fetch(source, tmp_path, settings=SETTINGS)
    assert states(source, tmp_path)["images"] == "partial"
    server.asked.clear()
    fetch(source, tmp_path, settings=SETTINGS)
    assert files(tmp_path) == WHOLE
    assert server.sent == [0]  # it was all there: 416


def test_two_processes_do_not_fetch_into_one_folder(source: Source, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="another process"):
        fetch(source, tmp_path, settings=SETTINGS)


def test_a_disk_that_fills_up_keeps_what_was_loaded(
    source: Source, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "source.json").write_text(source.model_dump_json())
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vipbench.data.fetching.fetch import fetch\n"
        "from vipbench.data.fetching.sources import Source\n"
        "source = Source.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, -1))\n"
        "fetch(source, Path(sys.argv[2]))\n"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "source.json"), str(out)],
        cwd=Path(__file__).parent.parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "the first 3 kB are kept · make room, then give the same command again" in last
    fetch(source, out, settings=SETTINGS)
    assert files(out) == WHOLE
    sent = [each.sent for each in server.asked if each.path == "/i.zip"]
    assert sent[-1] == len(server.files["/i.zip"].content) - 3000


def test_what_the_disk_has_no_room_for_is_not_begun(
    source: Source, server: Server, tmp_path: Path
) -> None:
    part = source.parts["images"]
    file = part.files[0].model_copy(update={"about": 10**17})
    huge = source.model_copy(
        update={"parts": {"images": part.model_copy(update={"files": (file,)})}}
    )
    with pytest.raises(DataError, match=r"needs about 2e\+05 TB, and .* are free · make room"):
        fetch(huge, tmp_path, settings=SETTINGS)
    assert not server.asked


# --- what changes


@pytest.mark.parametrize("path", ["/q.json", "/i.zip"])
def test_other_content_at_a_later_fetch_is_refused(
    source: Source, server: Server, tmp_path: Path, path: str
) -> None:
    fetch(source, tmp_path, settings=SETTINGS)
    former = hashlib.sha256(server.files[path].content).hexdigest()
    other = b'[{"id": 2}]' if path == "/q.json" else zipped({"a.jpg": b"new"})
    server.files[path] = Served(other, etag='"v2"')
    shutil.rmtree(tmp_path / "images")
    shutil.rmtree(tmp_path / "deep")
    for _ in range(2):  # and again at the next try
        with pytest.raises(DataError) as caught:
            fetch(source, tmp_path, settings=SETTINGS)
        message = str(caught.value)
        assert former in message
        assert hashlib.sha256(other).hexdigest() in message
        assert "--accept-changed takes it" in message
        assert "\n" not in message
    server.asked.clear()
    fetch(source, tmp_path, settings=ACCEPT)
    assert sum(each.sent for each in server.asked if each.path == path) == 0  # it was kept
    assert hashlib.sha256(other).hexdigest() in (tmp_path / FETCHED).read_text()
    assert former not in (tmp_path / FETCHED).read_text()
    assert set(states(source, tmp_path).values()) == {"complete", "not fetched"}


def test_the_same_content_at_a_later_fetch_is_fine(
    source: Source, server: Server, tmp_path: Path
) -> None:
    fetch(source, tmp_path, settings=SETTINGS)
    lock = tmp_path / FETCHED
    lock.write_text(re.sub(r'"time": ".*?"', '"time": "then"', lock.read_text()))
    first = json.loads(lock.read_text())
    shutil.rmtree(tmp_path / "images")
    assert states(source, tmp_path)["images"] == "not fetched"
    fetch(source, tmp_path, settings=SETTINGS)
    assert files(tmp_path) == WHOLE
    assert json.loads(lock.read_text()) == first  # what was recorded at the first fetch stays


def test_files_that_changed_here_are_seen(source: Source, tmp_path: Path) -> None:
    fetch(source, tmp_path, settings=SETTINGS)
    (tmp_path / "images/0.jpg").write_bytes(b"1" * 1000)  # of the same size
    assert states(source, tmp_path)["images"] == "complete"  # sizes alone do not tell
    with pytest.raises(DataError, match=r"images: has changed since .* sha256 \w{64}, recorded"):
        fetch(source, tmp_path, settings=SETTINGS)
    (tmp_path / "images/new.jpg").write_bytes(b"")
    (tmp_path / "deep/q.json").write_bytes(b"[]")
    assert states(source, tmp_path) == {
        "questions": "changed",
        "images": "changed",
        "more": "not fetched",
    }
    said: list[str] = []
    fetch(source, tmp_path, settings=ACCEPT, console=Console(said.append))
    assert ["taken as it is" in message for message in said] == [False, True, False, True]
    assert set(states(source, tmp_path).values()) == {"complete", "not fetched"}
    fetch(source, tmp_path, settings=SETTINGS)
    assert (tmp_path / "deep/q.json").read_bytes() == b"[]"


@pytest.mark.parametrize("name", ["deep/q.json", "images/0.jpg"])
def test_what_the_user_put_there_is_never_overwritten(
    source: Source, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_bytes(b"mine")
    assert "in place" in states(source, tmp_path).values()
    with pytest.raises(DataError, match="is there already, and was not fetched by vipbench"):
        fetch(source, tmp_path, settings=ACCEPT)
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "is not a record of fetched data"), ('{"key": "vcr"}', "holds the data of 'vcr'")],
)
def test_a_record_that_is_not_ours(source: Source, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / FETCHED).write_text(content)
    with pytest.raises(DataError, match=said):
        fetch(source, tmp_path, settings=SETTINGS)


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a\\x.jpg"])
def test_an_archive_that_reaches_outside_leaves_nothing(
    source: Source, server: Server, tmp_path: Path, name: str
) -> None:
    server.files["/i.zip"] = Served(zipped({"fine.jpg": b"1", name: b"2"}))
    with pytest.raises(DataError, match="would be written outside the folder"):
        fetch(source, tmp_path / "out", ["images"], SETTINGS)
    assert not list(tmp_path.rglob("*.jpg"))
    assert states(source, tmp_path / "out")["images"] == "partial"


def test_a_file_below_a_file_cannot_be(source: Source, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RunError, match="is not a folder"):
        fetch(source, tmp_path / "out", settings=SETTINGS)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    bad = GOOD.replace("http://x/y", "file:///etc/passwd")
    source = load_source("toy", [write_source(tmp_path, "key: toy\n" + bad)])
    with pytest.raises(DataError, match="expected an address of http or https"):
        fetch(source, tmp_path / "out", settings=SETTINGS)


# --- what was fetched is what the readers take


def packed(folder: Path, *below: str, top: str = "") -> bytes:
    """Zip files of the synthetic release, as its authors may have done."""
    paths = [each for name in below for each in sorted(folder.glob(name)) if each.is_file()]
    return zipped({f"{top}{path.name}": path.read_bytes() for path in paths})


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("release"), 6)


def moved(source: Source, server: Server) -> Source:
    """Replace the hosts of a source by the server on loopback, and forget sizes."""
    parts = {}
    for name, part in source.parts.items():
        files = [
            file.model_copy(
                update={
                    "url": f"{server.url}/{file.url.rpartition('/')[2]}" if file.url else None,
                    "size": None,
                }
            )
            for file in part.files
        ]
        parts[name] = part.model_copy(update={"files": tuple(files)})
    return source.model_copy(update={"parts": parts})


@pytest.mark.parametrize("top", ["", "visual7w_images/"])
def test_visual7w_of_the_release_can_be_checked(
    release: Path, server: Server, tmp_path: Path, top: str
) -> None:
    folder = release / "visual7w"
    server.files["/dataset_v7w_pointing.zip"] = Served(packed(folder, "dataset_v7w_pointing.json"))
    server.files["/visual7w_images.zip"] = Served(packed(folder, "v7w/*", top=top))
    fetch(moved(load_source("visual7w"), server), tmp_path, ["raw", "images"], SETTINGS)
    found = check_tasks(["visual7w_pointing"], {"visual7w": DataSource(tmp_path, tmp_path)})
    assert [report.n_errors for report in found] == [0]
    assert found[0].n_records > 0


def test_pointqa_can_be_checked(release: Path, server: Server, tmp_path: Path) -> None:
    folder = release / "pointqa"
    server.files["/images.zip"] = Served(packed(folder, "vg/VG_100K/*", top="VG_100K/"))
    server.files["/images2.zip"] = Served(packed(folder, "vg/VG_100K_2/*", top="VG_100K_2/"))
    for path in folder.glob("*.json"):
        server.files[f"/{path.name}"] = Served(path.read_bytes())
    fetch(
        moved(load_source("pointqa"), server), tmp_path, ["looktwice", "local", "images"], SETTINGS
    )
    names = ["pointqa_looktwice", "pointqa_looktwice_super", "pointqa_local"]
    found = check_tasks(names, {"pointqa": DataSource(tmp_path, tmp_path)})
    assert [report.n_errors for report in found] == [0, 0, 0]


def from_hub(hub: HubProcess, tmp_path: Path, *arguments: str) -> Ran:
    program = "from vipbench.cli import main; main()"
    ran = hub.run(program, "data", "fetch", *arguments, cwd=tmp_path)
    assert "Traceback" not in ran.err
    return ran


def test_vip_bench_comes_from_the_hub(release: Path, hub: HubProcess, tmp_path: Path) -> None:
    folder, out = release / "vip_bench", tmp_path / "out"
    content = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    content["README.md"] = b"not wanted"
    [file] = load_source("vip_bench").parts["release"].files
    add_data_set(hub.server, str(file.hub), str(file.revision), content)
    done = from_hub(hub, tmp_path, "vip_bench", "-o", str(out))
    assert done.code == 0, done.err
    assert done.out == f"--data vip_bench={out}\n"
    names = ["vip_bench_bbox", "vip_bench_human", "vip_bench_drawn"]
    found = check_tasks(names, {"vip_bench": DataSource(out, out)})
    assert [report.n_errors for report in found] == [0, 0, 0]
    assert sorted(path.name for path in out.iterdir()) == [
        "bbox",
        "human",
        "source_image",
        "vip-bench-meta-data.json",
        FETCHED,
    ]
    lock = json.loads((out / FETCHED).read_text())
    metadata = next(each for each in lock["files"] if each["name"] == "vip-bench-meta-data.json")
    assert metadata["url"] == f"hf://datasets/{file.hub}@{file.revision}/vip-bench-meta-data.json"
    assert metadata["sha256"] == hashlib.sha256(content["vip-bench-meta-data.json"]).hexdigest()
    # A file that is lost comes back; the others stay, also those that the user changed and took.
    (out / "bbox/questions.jsonl").unlink()
    (out / "human/questions.jsonl").write_bytes(b"mine")
    done = from_hub(hub, tmp_path, "vip_bench", "-o", str(out))
    assert "human/questions.jsonl: has changed since it was fetched" in done.err
    done = from_hub(hub, tmp_path, "vip_bench", "-o", str(out), "--accept-changed")
    assert done.code == 0, done.err
    assert (out / "human/questions.jsonl").read_bytes() == b"mine"
    assert (out / "bbox/questions.jsonl").read_bytes() == content["bbox/questions.jsonl"]
    # Another content is refused.
    (out / "bbox/questions.jsonl").unlink()
    assert from_hub(hub, tmp_path, "vip_bench", "-o", str(out)).code == 0
    assert (out / "bbox/questions.jsonl").read_bytes() == content["bbox/questions.jsonl"]
    (out / "bbox/questions.jsonl").unlink()
    content["bbox/questions.jsonl"] += b"\n"
    add_data_set(hub.server, str(file.hub), str(file.revision), content)
    done = from_hub(hub, tmp_path, "vip_bench", "-o", str(out))
    assert done.code == 2
    assert "bbox/questions.jsonl: has changed since it was fetched on" in done.err
    assert from_hub(hub, tmp_path, "vip_bench", "-o", str(out), "--accept-changed").code == 0
    assert (out / "bbox/questions.jsonl").read_bytes() == content["bbox/questions.jsonl"]


def test_preprocessed_questions_come_from_the_hub(
    release: Path, hub: HubProcess, tmp_path: Path
) -> None:
    content = {
        name: (release / key / name).read_bytes()
        for key, name in (("visual7w", "v7w-test.json"), ("pointqa", "pointQA_twice_test.json"))
    }
    [file] = load_source("visual7w").parts["preprocessed"].files
    add_data_set(hub.server, str(file.hub), str(file.revision), content)
    for key, name in (("visual7w", "v7w-test.json"), ("pointqa", "pointQA_twice_test.json")):
        done = from_hub(hub, tmp_path, key, "--part", "preprocessed", "-o", key)
        assert done.code == 0, done.err
        assert files(tmp_path / key) == {name: content[name]}
    (tmp_path / "pointqa" / "pointQA_twice_test.json").unlink()
    (tmp_path / "pointqa" / FETCHED).unlink()
    (tmp_path / "pointqa" / "pointQA_twice_test.json").write_bytes(b"mine")
    done = from_hub(hub, tmp_path, "pointqa", "--part", "preprocessed", "-o", "pointqa")
    assert done.code == 2
    assert "is there already, and was not fetched by vipbench" in done.err


# --- a run finds what was fetched


def test_a_run_finds_fetched_data_without_being_told(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="data 'toy': not found anywhere · give --data toy=DIR"):
        locate("toy", {})
    folder = fetch(source, settings=SETTINGS)
    assert folder == fetched_folder("toy") == tmp_path / "data/toy"
    assert locate("toy", {}) == DataSource(folder, folder)
    given = DataSource(tmp_path, tmp_path)
    assert locate("toy", {"toy": given}) == given
    (tmp_path / "beside/toy").mkdir(parents=True)
    beside = tmp_path / "beside/toy"
    assert locate("toy", {}, tmp_path / "beside") == DataSource(beside, beside)


def test_a_broken_off_fetch_is_no_data(
    source: Source, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path))
    server.files["/q.json"].cuts = [3, 0, 0]
    with pytest.raises(DataError, match="gave up"):
        fetch(source, settings=SETTINGS)
    assert [path.name for path in fetched_folder("toy").iterdir()] == [STAGE]
    with pytest.raises(DataError, match="not found anywhere"):
        locate("toy", {})


@pytest.mark.parametrize("key", ["..", ".", "a/b", ""])
def test_only_names_are_looked_up_in_the_cache(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/a/b").mkdir(parents=True)
    (tmp_path / "data/a/b/q.json").write_text("[]")
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path))
    with pytest.raises(DataError):
        locate(key, {})
