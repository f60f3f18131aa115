"""Workers on a cluster of Ray, which is simulated: two nodes of one CPU each, on the loopback."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from tests.engine.made import FATED, PATIENCE, answers, embedded_settings, run_and_listen, scored
from tests.runs import FATES, make_task, settings
from vipbench import environment
from vipbench.console import Console
from vipbench.engine import ray_actors
from vipbench.engine.ray_actors import DriverInfo, RemoteWorker
from vipbench.engine.workers import Batch, Job
from vipbench.errors import RunError, RunInterrupted, RunnerError
from vipbench.files import read_lines
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import RawTrials, write_trials
from vipbench.runners.registry import make_runner
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

WAITING = "tests.runs:Waiting"
LOOPBACK = "127.0.0.1"


class Nodes:
    """A cluster: a head that places nobody, and as many nodes as a test wants."""

    def __init__(self) -> None:
        self._ray: Any = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "node_ip_address": LOOPBACK,
                "include_dashboard": False,
            },
        )
        self.address = str(self._ray.address)
        self._all: list[Any] = []

    def have(self, n: int) -> None:
        while len(self._all) < n:
            self.add()
        while len(self._all) > n:
            self._remove(self._all[-1])

    def add(self) -> None:
        self._all.append(self._ray.add_node(num_cpus=1, node_ip_address=LOOPBACK))

    def remove_node_of(self, pid: int) -> None:
        """Remove the node whose raylet started a process."""
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for node in self._all:
            if any(each.process.pid == parent for each in node.all_processes["raylet"]):
                return self._remove(node)
        raise AssertionError(f"process {pid} is on no node")

    def _remove(self, node: Any) -> None:
        self._ray.remove_node(node)
        self._all.remove(node)

    def shutdown(self) -> None:
        self._ray.shutdown()


@pytest.fixture(scope="module")
def fates() -> Iterator[Path]:
    """Return the folder of fates, which the nodes know from their start on."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv(FATES, folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def nodes(fates: Path) -> Iterator[Nodes]:
    """Start the cluster; its folder has a short name, for that of a socket is limited."""
    scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", scratch)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        started = Nodes()
        try:
            patch.setenv("RAY_ADDRESS", started.address)
            yield started
        finally:
            started.shutdown()
            shutil.rmtree(scratch, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_fate(fates: Path) -> None:
    for left in fates.iterdir():
        left.unlink()


def ask(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    return run_and_listen(folder, **({"engine": "ray", "workers": 2} | fields))


def when(fates: Path, n: int) -> set[int]:
    """Wait until so many workers have said that they wait, and return their processes."""
    for _ in range(PATIENCE * 20):
        waiting = {int(path.name.removeprefix("pid-")) for path in fates.glob("pid-*")}
        if len(waiting) == n:
            return waiting
        time.sleep(0.05)
    raise TimeoutError(f"no {n} workers wait after {PATIENCE} s")


def when_waiting(fates: Path, n: int, act: Callable[[list[int]], None]) -> threading.Thread:
    """Act when `n` workers wait, on their processes; then let them continue."""
    (fates / "wait").touch()

    def watch() -> None:
        try:
            act(sorted(when(fates, n)))
        finally:
            (fates / "wait").unlink(missing_ok=True)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, fates: Path) -> Path:
    """Return the folder of a run in one process that nothing befell."""
    folder = make_task(tmp_path_factory.mktemp("whole"))
    return run(settings(folder, runner=WAITING)).path


# --- the same results


def test_actors_answer_as_one_process_does(tmp_path: Path, nodes: Nodes, embedded: Results) -> None:
    nodes.have(2)
    results = run(embedded_settings(tmp_path / "run", engine="ray", workers=2))
    assert scored(results.path) == scored(embedded.path)
    assert answers(results.path) == answers(embedded.path)
    manifest = results.manifest
    assert (manifest.engine, manifest.workers, manifest.n_worker_restarts) == ("ray", 2, 0)
    assert (manifest.device, manifest.run_id) == ("cpu", embedded.manifest.run_id)


def test_each_actor_is_a_process_with_one_thread(tmp_path: Path, nodes: Nodes) -> None:
    nodes.have(2)
    make_task(tmp_path, kind="short_answer")
    results, _ = ask(tmp_path, runner="tests.runs:Surroundings")
    lines = read_lines(results.path / RESPONSES, ResponseLine)
    by_pid = dict(str(line.text).split(" ", 1) for line in lines)
    assert str(os.getpid()) not in by_pid
    assert set(by_pid.values()) <= {"0 PASSIVE 1", "1 PASSIVE 1"}


# --- lost


def test_a_killed_actor_is_restarted_and_its_batch_is_redone(
    tmp_path: Path, nodes: Nodes, fates: Path, whole: Path
) -> None:
    nodes.have(2)
    make_task(tmp_path)
    (fates / "q7.1").touch()
    results, messages = ask(tmp_path, runner=WAITING)
    assert list(fates.iterdir()) == []
    assert scored(results.path) == scored(whole)
    assert answers(results.path) == answers(whole)
    assert results.manifest.n_worker_restarts == 1
    (message,) = messages
    assert "was killed in batch" in message
    assert message.endswith("it is restarted")


def test_what_a_runner_raises_in_an_actor_is_raised_here(tmp_path: Path, nodes: Nodes) -> None:
    nodes.have(2)
    make_task(tmp_path)
    short = "tests.engine.test_batches:Short"
    with pytest.raises(RunnerError, match=rf"^runner {short}: returned 3 responses") as end:
        ask(tmp_path, runner=short, workers=1)
    assert "\n" not in str(end.value)


def test_ctrl_c_ends_the_actors(tmp_path: Path, nodes: Nodes, fates: Path) -> None:
    nodes.have(2)
    make_task(tmp_path)
    ended: list[int] = []

    def interrupt(waiting: list[int]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(PATIENCE * 20):  # while they would still wait
            ended[:] = [pid for pid in waiting if not Path(f"/proc/{pid}").exists()]
            if ended == waiting:
                break
            time.sleep(0.05)

    act = when_waiting(fates, 2, interrupt)
    with pytest.raises(RunInterrupted, match="what is answered is kept"):
        ask(tmp_path, runner=WAITING)
    act.join()
    assert len(ended) == 2
    assert len(answers(tmp_path / "run")) == 8


# Fewer nodes from here on: a new one takes seconds.


def test_when_a_node_is_lost_the_others_continue(
    tmp_path: Path, nodes: Nodes, fates: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.have(2)
    make_task(tmp_path)

    def lose(waiting: list[int]) -> None:
        monkeypatch.setattr(ray_actors, "SCHEDULE_SECONDS", 0.5)
        nodes.remove_node_of(waiting[0])
        time.sleep(2)  # while the lost one looks for a place in vain

    act = when_waiting(fates, 2, lose)
    results, messages = ask(tmp_path, runner=WAITING)
    act.join()
    assert scored(results.path) == scored(whole)
    assert answers(results.path) == answers(whole)
    (message,) = messages
    assert "was killed in batch" in message
    assert results.manifest.n_worker_restarts == 1


def test_a_cluster_that_is_too_small_is_not_waited_for_in_vain(
    tmp_path: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_actors, "SCHEDULE_SECONDS", 1.0)
    nodes.have(1)
    messages: list[str] = []
    with pytest.raises(RunError, match=r"no machine took worker [12], .* has 1 CPU on 2 machines"):
        run(
            settings(make_task(tmp_path), runner=FATED, workers=2, engine="ray"),
            console=Console(messages.append),
        )
    assert messages == [
        "2 workers need one CPU each, and the cluster has 1; waiting up to 1 s for more"
    ]
    assert not (tmp_path / "run").exists()


def test_a_lost_actor_goes_to_another_node_until_none_is_left(
    tmp_path: Path, nodes: Nodes, fates: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.have(2)
    make_task(tmp_path)

    def lose_both(waiting: list[int]) -> None:
        nodes.remove_node_of(waiting[0])
        (second,) = when(fates, 2) - {*waiting}
        monkeypatch.setattr(ray_actors, "SCHEDULE_SECONDS", 1.0)
        nodes.remove_node_of(second)

    act = when_waiting(fates, 1, lose_both)
    with pytest.raises(RunError, match="no machine took worker 1, which needs one CPU, ") as end:
        ask(tmp_path, runner=WAITING, workers=1)
    act.join()
    assert "the cluster has 0 CPU on 1 machines, 0 of it free · what is answered is" in str(
        end.value
    )
    monkeypatch.undo()
    nodes.have(1)
    results, messages = ask(tmp_path, runner=WAITING, workers=1)
    # Each of the two answered a batch before it waited.
    assert "2 of 5 batches already answered" in messages[0]
    assert len(messages) == 1
    assert results.n_answered == 12
    assert results.manifest.n_worker_restarts == 2
    assert scored(results.path) == scored(whole)
    assert answers(results.path) == answers(whole)


# --- what cannot be


def test_ray_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        RunError, match=r"ray cannot be imported .* `pip install 'vipbench\[ray\]'`"
    ):
        ask(tmp_path, runner=FATED)


def test_an_address_without_ray_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", f"{LOOPBACK}:1")
    with pytest.raises(RunError, match=r"no connection to 127\.0\.0\.1:1 \(.*refused\)"):
        ask(tmp_path, runner=FATED)


def test_a_baseline_needs_no_actor(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="--engine ray: runner oracle has no model"):
        ask(make_task(tmp_path), runner="oracle", workers=1)


# --- on a machine that lacks something


def job(folder: Path) -> Job:
    return Job(partial(make_runner, "tests.runs:Brightness"), "own", None, {"own": folder})


def raw_trials(folder: Path) -> RawTrials:
    chosen = select(
        suite=None, tasks=("own",), styles="none", data={}, include=(folder,), fit=None,
        fit_hint=None,
    )  # fmt: skip
    made, _ = make_trials(chosen, list, seed=0)
    trials = write_trials(folder / "requests.jsonl", made)
    return trials.read_raw(range(len(trials)))


def test_a_machine_without_the_images_is_refused(tmp_path: Path) -> None:
    driver = DriverInfo(tmp_path, environment.versions())
    with pytest.raises(
        RunError, match=r"there is no folder .*/images \(images of own\) · expected every mach"
    ):
        RemoteWorker().load(job(tmp_path / "images"), driver)
    with pytest.raises(RunError, match=r"no folder .*/none \(the working directory\)"):
        RemoteWorker().load(job(tmp_path), driver._replace(folder=tmp_path / "none"))


def test_a_machine_with_other_versions_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    driver = DriverInfo(tmp_path, environment.versions() | {"torch": "1.0"})
    with pytest.raises(RunError, match=r"has torch .* · expected 1\.0, .* · install the same"):
        RemoteWorker().load(job(tmp_path), driver)


def test_an_image_that_one_machine_lacks_is_not_an_error_of_the_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = raw_trials(make_task(tmp_path, n=4))
    actor = RemoteWorker()
    actor.load(job(tmp_path), DriverInfo(tmp_path, environment.versions()))
    assert all(line.error is None for line in actor.answer(Batch(0, asked), []).lines)
    (tmp_path / "2.png").write_bytes(b"broken")
    broken = [line for line in actor.answer(Batch(1, asked), []).lines if line.error is not None]
    assert len(broken) == 1
    (tmp_path / "2.png").unlink()
    with pytest.raises(RunError, match=r"there is no image .*/2\.png · expected every machine"):
        actor.answer(Batch(2, asked), [])
