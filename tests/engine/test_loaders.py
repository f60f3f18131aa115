"""Processes that load images give the same as a thread does, and leave nothing behind."""

import contextlib
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.made import PATIENCE, wait_until
from tests.runs import FATES, Brightness, make_task, settings
from vipbench import files
from vipbench.console import Console
from vipbench.engine import loaders
from vipbench.engine.loaders import (
    AHEAD,
    LoadedBatch,
    LoaderPool,
    LoadSettings,
    count_ahead,
    count_loaders,
    split_by_image,
)
from vipbench.errors import RunError, RunnerError
from vipbench.images.load import PreparedRequest, load_or_error
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.runfolder import folder as runfolder_folder
from vipbench.runfolder.lines import ResponseLine
from vipbench.schema import Region, Request, Response, VisualPrompt

ROOT = Path(__file__).parent.parent.parent
SIDE = 24


def request(id_: str, image: str, style: str = "s") -> Request:
    mark = VisualPrompt(
        region=Region(box=(3, 2, 20, 12)), shape="rectangle", color=(255, 0, 0),
        alpha=255, width=2, seed=0,
    )  # fmt: skip
    return Request(
        task="own", style=style, id=id_, turns=("?",), image=image, visual_prompts=(mark,),
        fit="pad", max_new_tokens=1, key="k",
    )  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of ten images of noise; the last is cut off in its middle."""
    rng = np.random.default_rng(0)
    for i in range(10):
        pixels = rng.integers(0, 256, (30 + i, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "9.png").read_bytes()
    (tmp_path / "9.png").write_bytes(whole[: len(whole) // 2])
    return tmp_path


REQUESTS = [request(str(i), f"{i % 11}.png") for i in range(15)]
"""About all images, some of them twice, and one that is not there."""


@contextlib.contextmanager
def pool(
    folder: Path, n: int = 2, size: int | None = SIDE, said: Callable[[str], None] = print
) -> Iterator[LoaderPool]:
    with contextlib.closing(
        LoaderPool(n, LoadSettings({"own": folder}, size, 8), Console(said))
    ) as made:
        yield made


def assert_same(found: Sequence[PreparedRequest], expected: Sequence[PreparedRequest]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.request, one.error) == (other.request, other.error)
        assert (one.loaded is None) == (other.loaded is None)
        if one.loaded is not None and other.loaded is not None:
            assert np.array_equal(one.loaded.pixels, other.loaded.pixels)
            assert one.loaded[1:] == other.loaded[1:]


def here(
    folder: Path, requests: Sequence[Request], size: int | None = SIDE
) -> list[PreparedRequest]:
    return [load_or_error(each, {"own": folder}, size, 8) for each in requests]


def processes() -> dict[int, str]:
    """Return what runs on this machine, zombies left out: pid -> command."""
    done = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return {int(row[0]): row[2] for row in rows if len(row) == 3 and not row[1].startswith("Z")}


def blocks() -> dict[int, int]:
    """Return the bytes that each shared block of this process takes, by its number."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if "memfd:vipbench" in str(path.readlink()):
                status = path.stat()
                found[status.st_ino] = status.st_blocks * 512
    return found


# --- the same


@pytest.mark.parametrize("size", [SIDE, None])
@pytest.mark.parametrize("n", [1, 3])
def test_loaders_load_as_this_process_does(photos: Path, n: int, size: int | None) -> None:
    expected = here(photos, REQUESTS, size)
    assert [each.request.image for each in expected if each.error] == ["9.png", "10.png"]
    with pool(photos, n, size) as made:
        for _ in range(AHEAD + 2):
            batch = made.load(REQUESTS)
            assert_same(batch.requests, expected)
            made.release(batch)
        # A larger batch than before, and a smaller one, in the same memory.
        larger, smaller = made.load(REQUESTS * 3), made.load(REQUESTS[:1])
        assert_same(larger.requests, expected * 3)
        assert_same(smaller.requests, expected[:1])


def test_batches_that_are_loaded_at_a_time_do_not_mix(photos: Path) -> None:
    parts = [REQUESTS[i : i + 5] for i in (0, 5, 10)]
    with pool(photos, 2) as made, ThreadPoolExecutor(len(parts)) as threads:
        batches = list(threads.map(made.load, parts))
        for part, batch in zip(parts, batches, strict=True):
            assert_same(batch.requests, here(photos, part))


def test_requests_about_an_image_go_to_one_loader() -> None:
    styles = [request(id_, f"{id_}.png", style) for style in "abc" for id_ in "01234"]
    shares = split_by_image(styles, 2)
    assert sorted(i for share in shares for i in share) == list(range(15))
    assert [{styles[i].image for i in share} for share in shares] == [
        {"0.png", "2.png", "4.png"},
        {"1.png", "3.png"},
    ]
    assert split_by_image(styles, 2) == shares
    assert len(split_by_image(styles, 99)) == 5
    other = styles[0].model_copy(update={"task": "other"})  # whose images lie elsewhere
    assert split_by_image([styles[0], other], 2) == [[0], [1]]


def test_an_image_is_read_once_for_all_its_styles(tmp_path: Path) -> None:
    n_bytes = 0
    for name in "012":
        path = tmp_path / f"{name}.bmp"
        Image.effect_noise((500, 400), 60).convert("RGB").save(path)
        n_bytes += path.stat().st_size
    styles = [request(id_, f"{id_}.bmp", style) for style in "abcd" for id_ in "012"]
    with pool(tmp_path, 1) as made:
        made.release(made.load([request("0", "none.bmp")]))  # all is imported
        before = bytes_read(made.pids[0])
        assert all(each.error is None for each in made.load(styles).requests)
        assert n_bytes <= bytes_read(made.pids[0]) - before < 1.5 * n_bytes


def bytes_read(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


# --- whole runs


class Unfitted(Brightness):
    """Sees images as they are, whatever their size."""

    image_size = None  # type: ignore[assignment]


class Killer(Brightness):
    """Kills all loaders whenever it is asked, but every second time."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        responses = super().generate(requests, images)
        for pid in children(os.getpid()) if self.batches % 2 else ():
            with contextlib.suppress(ProcessLookupError):  # one that was dying already
                os.kill(pid, signal.SIGKILL)
        return responses


class Stormy(Brightness):
    """Lets a storm begin at its second batch, the first time: no loader outlives it."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        storm = Path(os.environ[FATES])
        if self.batches == 1 and not storm.exists():
            storm.write_text("1")
            for pid in children(os.getpid()):
                os.kill(pid, signal.SIGKILL)
        return super().generate(requests, images)


class Watcher(Brightness):
    """Answers with the bytes that shared memory takes, and leaves time to load ahead."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        time.sleep(0.05)
        found = blocks()
        return [Response(text=f"{len(found)} {sum(found.values())}") for _ in requests]


class Failing(Brightness):
    """Breaks its contract at the second batch."""

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        return super().generate(requests, images)[: 9 if self.batches == 1 else 1]


def children(parent: int) -> list[int]:
    """Return the loaders of a process."""
    done = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return [
        int(row[0]) for row in rows if len(row) == 3 and int(row[1]) == parent and "serve" in row[2]
    ]


def descendants(process: int) -> list[int]:
    """Return a process, those that it started, and theirs."""
    done = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    found = [process]
    for parent in found:  # which grows
        found += [pid for pid, of in rows if of == parent]
    return found


def task_with_a_broken_image(folder: Path) -> Path:
    make_task(folder)
    whole = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(whole[: len(whole) // 2])  # the header is whole
    return folder


def asked(folder: Path, name: str, **fields: object) -> tuple[Results, list[str]]:
    said: list[str] = []
    given = settings(folder, out=folder / name, max_errors=1, **fields)
    return run(given, console=Console(said.append)), said


def answers(folder: Path) -> list[str]:
    return (folder / runfolder_folder.RESPONSES).read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("runner", "batch_size", "loaders"),
    [
        ("tests.runs:Brightness", 1, (0, 2)),
        ("tests.runs:Brightness", 7, (0, 1, 2)),
        ("tests.engine.test_loaders:Unfitted", 7, (0, 2)),
    ],
)
def test_runs_are_the_same_with_any_number_of_loaders(
    tmp_path: Path, runner: str, batch_size: int, loaders: tuple[int, ...]
) -> None:
    task_with_a_broken_image(tmp_path)
    done = [
        asked(tmp_path, str(n), loaders=n, batch_size=batch_size, runner=runner)[0].path
        for n in loaders
    ]
    first = answers(done[0])
    assert len(first) == 20
    assert sum('"error":"image: ' in line for line in first) == 4
    for folder in done[1:]:
        assert answers(folder) == first
        for file in (runfolder_folder.REQUESTS, runfolder_folder.SCORES, runfolder_folder.SUMMARY):
            assert (folder / file).read_bytes() == (done[0] / file).read_bytes()


def test_workers_have_loaders_of_their_own(tmp_path: Path) -> None:
    task_with_a_broken_image(tmp_path)
    alone, _ = asked(tmp_path, "alone", loaders=0)
    both, said = asked(tmp_path, "both", loaders=1, workers=2)
    assert sorted(answers(both.path)) == sorted(answers(alone.path))
    assert said == []


def test_loaders_are_no_part_of_a_run(tmp_path: Path) -> None:
    first, _ = asked(make_task(tmp_path), "run", loaders=1)
    again, said = asked(tmp_path, "run", loaders=2)
    assert again.n_answered == 0
    assert "finished" in said[0]
    assert first.manifest.identity == again.manifest.identity


def test_no_more_is_in_memory_than_two_batches_ahead(tmp_path: Path) -> None:
    make_task(tmp_path, kind="short_answer")
    done, _ = asked(
        tmp_path, "run", loaders=2, batch_size=3, runner="tests.engine.test_loaders:Watcher"
    )
    texts = {
        str(line.text)
        for line in files.read_lines(done.path / runfolder_folder.RESPONSES, ResponseLine)
    }
    sizes = [tuple(map(int, text.split())) for text in texts]
    page = os.sysconf("SC_PAGE_SIZE")
    pages = -(-3 * SIDE * SIDE * 3 // page)
    assert {n for n, _ in sizes} == {AHEAD + 1}
    assert max(n_bytes for _, n_bytes in sizes) == (AHEAD + 1) * pages * page


def test_a_batch_waits_until_there_is_room(photos: Path) -> None:
    with pool(photos, 1) as made, ThreadPoolExecutor(1) as threads:
        batches = [made.load(REQUESTS[i : i + 2]) for i in range(AHEAD + 1)]
        waiting: Future[LoadedBatch] = threads.submit(made.load, REQUESTS[3:5])
        time.sleep(0.3)
        assert not waiting.done()
        for i, batch in enumerate(batches):
            assert_same(batch.requests, here(photos, REQUESTS[i : i + 2]))
        made.release(batches[0])
        assert_same(waiting.result(PATIENCE).requests, here(photos, REQUESTS[3:5]))


# --- killed


def test_a_killed_loader_is_restarted(photos: Path) -> None:
    said: list[str] = []
    expected = here(photos, REQUESTS)
    with pool(photos, 2, said=said.append) as made, ThreadPoolExecutor(1) as threads:
        before = made.pids
        # One while it has something to do, though it does not come to do it.
        os.kill(before[0], signal.SIGSTOP)
        coming = threads.submit(made.load, REQUESTS)
        time.sleep(0.3)
        os.kill(before[0], signal.SIGKILL)
        assert_same(coming.result(PATIENCE).requests, expected)
        assert made.n_restarts == 1
        # And both while they have not.
        for pid in made.pids:
            os.kill(pid, signal.SIGKILL)
        assert_same(made.load(REQUESTS).requests, expected)
        assert not set(before) & set(made.pids)
    assert made.n_restarts == len(said) == 3
    assert said[0].startswith("loader 1 was killed (signal 9) while it loaded own s 0 (0.png) and ")
    assert said[0].endswith("it is restarted")


def test_a_loader_that_is_killed_again_and_again_ends_the_run(photos: Path) -> None:
    said: list[str] = []
    done = threading.Event()

    def kill(made: LoaderPool) -> None:
        while not done.wait(0.02):
            with contextlib.suppress(ProcessLookupError):
                os.kill(made.pids[0], signal.SIGKILL)

    with pool(photos, 1, said=said.append) as made, ThreadPoolExecutor(1) as threads:
        threads.submit(kill, made)
        try:
            with pytest.raises(RunError, match=r"loader 1: was killed 3 times in a row") as end:
                made.load(REQUESTS)
        finally:
            done.set()
        assert "\n" not in str(end.value)
        assert "what is answered is kept" in str(end.value)
        assert made.n_restarts == len(said) == 2
    with pool(photos, 1) as made:
        assert made.load(REQUESTS[:1]).requests[0].error is None


def test_a_run_continues_however_often_loaders_are_killed(tmp_path: Path) -> None:
    task_with_a_broken_image(tmp_path)
    whole, _ = asked(tmp_path, "whole", batch_size=2)
    killer = "tests.engine.test_loaders:Killer"
    done, said = asked(tmp_path, "done", batch_size=2, loaders=2, runner=killer)
    assert answers(done.path) == answers(whole.path)
    assert len(said) >= 3
    assert all("was killed (signal 9)" in line for line in said)


def test_a_run_that_loses_its_loaders_keeps_what_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = asked(make_task(tmp_path), "whole", batch_size=2)
    storm = tmp_path / "storm"
    (tmp_path / "sitecustomize.py").write_text(  # which each interpreter runs as it starts
        "import os, pathlib, signal\n"
        f"storm = pathlib.Path({str(storm)!r})\n"
        "if storm.exists() and storm.read_text() == '1': os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv(FATES, str(storm))
    stormy = "tests.engine.test_loaders:Stormy"
    with pytest.raises(RunError, match="was killed 3 times in a row"):
        asked(tmp_path, "run", batch_size=2, loaders=1, runner=stormy)
    storm.write_text("over")
    kept = answers(tmp_path / "run")
    assert 4 <= len(kept) < 20
    assert kept == answers(whole.path)[: len(kept)]
    done, said = asked(tmp_path, "run", batch_size=2, loaders=1, runner=stormy)
    assert answers(done.path) == answers(whole.path)
    assert done.n_answered == 20 - len(kept)
    assert len(said) == 1


def test_a_loader_that_fails_is_not_tried_again(
    photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = LoaderPool(1, LoadSettings({"other": photos}, SIDE, None), Console(pytest.fail))
    with contextlib.closing(elsewhere), pytest.raises(RunError, match="loader 1: failed with exit"):
        elsewhere.load(REQUESTS)
    assert "KeyError: 'own'" in capfd.readouterr().err


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Refuse any file above 1,000 bytes, those in memory included."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_memory_that_is_refused_is_an_error(photos: Path) -> None:
    refusal = r"^loaders: the system gives no memory to share \(.+\) · give --loaders 0"
    with pool(photos, 1) as made:
        with small_files(), pytest.raises(RunError, match=refusal):
            made.load(REQUESTS)
        assert_same(made.load(REQUESTS).requests, here(photos, REQUESTS))
    with small_files():
        refused = LoaderPool(1, LoadSettings({"own": photos}, SIDE, 8), Console(pytest.fail))
    with contextlib.closing(refused), pytest.raises(RunError, match=refusal):
        refused.load(REQUESTS)


# --- nothing is left


def test_nothing_is_left_after_the_end_and_after_an_error(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, "good", loaders=2)
    with pytest.raises(RunnerError, match="returned 1 responses"):
        asked(tmp_path, "bad", loaders=2, runner="tests.engine.test_loaders:Failing")
    assert children(os.getpid()) == []
    gc.collect()  # what the error held
    assert blocks() == {}


@pytest.mark.parametrize(
    ("how", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 1)]
)
def test_nothing_is_left_when_the_run_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, workers: int
) -> None:
    make_task(tmp_path)
    fates = tmp_path / "fates"
    fates.mkdir()
    (fates / "stall").touch()
    monkeypatch.setenv(FATES, str(fates))
    arguments = ["run", "--tasks", "own", "--include", tmp_path, "--runner", "tests.runs:Fated"]
    arguments += ["--workers", workers, "--loaders", 2, "--batch-size", 4, "-o", tmp_path / "run"]
    with subprocess.Popen(
        [sys.executable, "-c", "from vipbench.cli import main; main()", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        wait_until(lambda: len(list(fates.glob("pid-*"))) == workers, "an answered batch")
        pids = [loader for pid in descendants(driver.pid) for loader in children(pid)]
        assert len(pids) == 2 * workers
        if how == signal.SIGINT:
            os.killpg(driver.pid, how)
        else:
            driver.kill()
        _, err = driver.communicate(timeout=PATIENCE)
    assert "Traceback" not in err
    assert driver.returncode == (130 if how == signal.SIGINT else -how)
    wait_until(lambda: not set(pids) & set(processes()), "the end of the loaders")
    assert len(answers(tmp_path / "run")) == 4 * workers


# --- what they are


def test_a_loader_is_light_and_has_one_thread(photos: Path) -> None:
    import torch  # noqa: F401  # so that this process has it

    with pool(photos, 1) as made:
        made.load(REQUESTS)
        assert len(list(Path(f"/proc/{made.pids[0]}/task").iterdir())) == 1
        theirs = Path(f"/proc/{made.pids[0]}/maps").read_text()
        links = [str(path.readlink()) for path in Path(f"/proc/{made.pids[0]}/fd").iterdir()]
        ours = Path("/proc/self/maps").read_text()
    assert "libtorch" in ours
    assert "libtorch" not in theirs
    assert "numpy" in theirs
    # Memory without a name: what nobody holds any more is gone.
    assert sum("memfd:vipbench" in link for link in links) == AHEAD + 1
    assert not any("/dev/shm" in link for link in links)


def test_a_loader_does_not_run_the_main_script_again(photos: Path) -> None:
    script = photos / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from vipbench.engine.loaders import LoaderPool, LoadSettings\n"
        "from vipbench.schema import Request\n"
        "print('once', flush=True)\n"
        "made = LoaderPool(1, LoadSettings({'own': Path(sys.argv[1])}, 24, 8), print)\n"
        "[ready] = made.load([Request.model_validate_json(sys.argv[2])]).requests\n"
        "print(ready.loaded.digest)\n"
        "made.close()\n"
    )
    done = subprocess.run(
        [sys.executable, script, photos, REQUESTS[0].model_dump_json()],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = here(photos, REQUESTS)[0].loaded
    assert loaded is not None
    assert (done.stdout.split(), done.stderr) == (["once", loaded.digest], "")


def test_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in (0, 1, 5):
        assert count_loaders(wanted, "cpu", 2) == count_loaders(wanted, "cuda:0", 2) == wanted
    for n_cores, n_models, n in (
        (16, 1, 8),
        (16, 4, 3),
        (8, 1, 7),
        (2, 1, 1),
        (1, 1, 1),
        (4, 8, 1),
    ):
        monkeypatch.setattr(loaders, "_n_cores", lambda n_cores=n_cores: n_cores)
        assert count_loaders("auto", "cuda", n_models) == n
        assert count_loaders("auto", "mps", n_models) == n
        assert count_loaders("auto", "cpu", n_models) == count_loaders("auto", "", n_models) == 0


def test_a_model_on_the_cpu_is_not_disturbed_by_drawing() -> None:
    assert [count_ahead(0, device) for device in ("cpu", "cuda:0", "mps")] == [0, 1, 1]
    assert [count_ahead(2, device) for device in ("cpu", "cuda:0")] == [AHEAD, AHEAD]


def test_several_images_of_a_request_come_whole(photos: Path) -> None:
    pair = request("pair", "0.png").model_copy(update={"images": ("0.png", "1.png")})
    asked = [REQUESTS[0], pair, REQUESTS[1]]
    with pool(photos, n=1) as loaders:
        found = loaders.load(asked).requests
    expected = here(photos, asked)
    for one, other in zip(found, expected, strict=True):
        assert one.loaded is not None
        assert other.loaded is not None
        assert one.loaded.digest == other.loaded.digest
        for ours, theirs in zip(one.loaded.shown, other.loaded.shown, strict=True):
            assert np.array_equal(ours, theirs)
