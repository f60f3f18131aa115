"""How a pool hands out batches and counts deaths, with workers that pretend to be processes."""

from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path

import pytest

from tests.engine.made import trials
from tests.runs import Brightness
from vipbench.console import Console
from vipbench.engine.workers import (
    Answers,
    Batch,
    Job,
    NotScheduled,
    Result,
    Worker,
    WorkerInfo,
    WorkerPool,
    WorkerState,
)
from vipbench.errors import RunError, RunnerError
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.trials_file import RawTrials
from vipbench.runners import remembered
from vipbench.runners.contract import RunnerSettings

PLAN = [(2, 0), (1, 4), (3,)]
INFO = WorkerInfo(RunnerSettings(model="it", weights="a" * 64), 24)
DIED = BrokenExecutor("killed")
LOST = NotScheduled("no machine")


def done(result: Result | BaseException) -> Future[Result]:
    future: Future[Result] = Future()
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


class Scripted(Worker):
    """Loads and answers at once, except as its scripts say: what comes of the next attempts."""

    def __init__(
        self,
        number: int,
        loads: Sequence[WorkerInfo | Exception] = (),
        batches: Sequence[Exception | None] = (),
    ) -> None:
        super().__init__(number)
        self._loads, self._batches = list(loads), list(batches)
        self.asked: list[tuple[int, list[int]]] = []
        """Each batch, and those that it was to prepare meanwhile."""
        self.calls: list[str] = []
        self._scheduled = True

    @property
    def is_scheduled(self) -> bool:
        return self._scheduled

    def _submit_load(self) -> Future[Result]:
        result = self._loads.pop(0) if self._loads else INFO
        self._scheduled = not isinstance(result, NotScheduled)
        self.calls.append("load")
        return done(result)

    def _submit_batch(self, batch: Batch, following: Sequence[Batch]) -> Future[Result]:
        self.asked.append((batch.number, [other.number for other in following]))
        error = self._batches.pop(0) if self._batches else None
        return done(error or Answers([line(batch.number)], 2))

    def kill(self) -> None:
        self.calls.append("kill")

    def wait(self) -> None:
        self.calls.append("wait")


def line(batch: int) -> ResponseLine:
    return ResponseLine(task="own", style="none", id=f"q{batch}", key="k", batch=batch, text="A")


class Pool:
    """A pool that has loaded, what it said, and the batches that it wrote."""

    def __init__(self, folder: Path, *workers: Worker, ahead: int = 0, weights: str | None = None):
        self.messages: list[str] = []
        self.written: list[int] = []
        self._trials = trials(folder)
        console = Console(self.messages.append)
        self.pool = WorkerPool(workers, console, ahead=ahead, weights=weights)
        assert self.pool.load() == INFO

    def answer(self, *todo: int) -> list[int]:
        self.written.clear()
        self.pool.answer(self._trials, PLAN, todo, self._write)
        return self.written

    def _write(self, lines: list[ResponseLine]) -> None:
        self.written += [line.batch for line in lines]


def test_each_batch_is_answered_once(tmp_path: Path) -> None:
    workers = Scripted(0), Scripted(1)
    pool = Pool(tmp_path, *workers)
    assert sorted(pool.answer(0, 1, 2)) == [0, 1, 2]
    assert all(worker.asked for worker in workers)
    assert pool.messages == []
    assert (pool.pool.n_restarts, pool.pool.n_splits) == (0, 6)


def test_nothing_to_do_asks_nothing(tmp_path: Path) -> None:
    worker = Scripted(0)
    assert Pool(tmp_path, worker).answer() == []
    assert worker.asked == []


@pytest.mark.parametrize(
    ("ahead", "asked"),
    [(0, [(2, []), (0, []), (1, [])]), (1, [(2, [0]), (0, [1]), (1, [])])],
)
def test_batches_come_in_order_with_those_to_prepare(
    tmp_path: Path, ahead: int, asked: list[tuple[int, list[int]]]
) -> None:
    worker = Scripted(0)
    assert Pool(tmp_path, worker, ahead=ahead).answer(2, 0, 1) == [2, 0, 1]
    assert worker.asked == asked


def test_a_killed_worker_is_restarted_and_its_batches_are_redone_in_order(tmp_path: Path) -> None:
    worker = Scripted(0, batches=[DIED])
    pool = Pool(tmp_path, worker, ahead=1)
    assert pool.answer(0, 1, 2) == [0, 1, 2]
    # The first was killed with a batch behind that one, which was asked for already.
    assert [number for number, _ in worker.asked] == [0, 1, 0, 1, 2]
    assert worker.calls == ["load", "kill", "wait", "load"]
    assert pool.pool.n_restarts == 1
    assert pool.messages == [
        "worker 1 was killed in batch 0 (own demo q2 and 1 more); it is restarted"
    ]


def test_a_worker_that_is_killed_while_it_loads_is_restarted(tmp_path: Path) -> None:
    pool = Pool(tmp_path, Scripted(0), Scripted(1, loads=[DIED, DIED]))
    message = "worker 2 was killed while it loaded the model; it is restarted"
    assert pool.messages == [message] * 2
    assert sorted(pool.answer(0, 1, 2)) == [0, 1, 2]


def test_a_worker_that_is_killed_whenever_it_loads_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="worker 1 was killed 3 times in a row, now while it loaded"):
        Pool(tmp_path, Scripted(0, loads=[DIED] * 3))
    # Also while another answers.
    pool = Pool(tmp_path, Scripted(0), Scripted(1, [INFO, DIED, DIED], batches=[DIED]))
    with pytest.raises(RunError, match="worker 2 was killed 3 times in a row, now while it loaded"):
        pool.answer(0, 1, 2, *[0] * 9)


def test_deaths_are_counted_from_0_after_an_answer(tmp_path: Path) -> None:
    worker = Scripted(0, batches=[DIED, DIED, None, DIED, DIED, None, DIED, DIED])
    pool = Pool(tmp_path, worker)
    assert [[*pool.answer(number)] for number in (0, 1, 2)] == [[0], [1], [2]]
    assert pool.pool.n_restarts == 6


def test_a_batch_that_kills_every_worker_ends_the_run(tmp_path: Path) -> None:
    workers = [Scripted(number, batches=[DIED] * 3) for number in range(3)]
    with pytest.raises(RunError, match=r"^3 workers were killed in batch 0 \(own .*\), m") as end:
        Pool(tmp_path, *workers).answer(0)
    assert "what is answered is kept · give the same command to resume" in str(end.value)
    assert "\n" not in str(end.value)


def test_deaths_in_a_batch_are_counted_for_each_plan(tmp_path: Path) -> None:
    pool = Pool(tmp_path, Scripted(0, batches=[DIED, DIED, None, DIED, DIED]))
    assert pool.answer(0) == pool.answer(0) == [0]
    assert pool.pool.n_restarts == 4


def test_others_continue_while_a_worker_finds_no_machine(tmp_path: Path) -> None:
    lost = Scripted(1, loads=[INFO, LOST, LOST], batches=[DIED])
    pool = Pool(tmp_path, Scripted(0), lost)
    assert set(pool.answer(0, 1, 2, *[0] * 9)) == {0, 1, 2}
    assert lost.asked[1:]  # it helped again
    assert pool.pool.n_restarts == 1


def test_when_no_worker_finds_a_machine_the_run_ends(tmp_path: Path) -> None:
    pool = Pool(tmp_path, Scripted(0, loads=[INFO, LOST], batches=[DIED]))
    with pytest.raises(NotScheduled, match="no machine"):
        pool.answer(0)


def test_a_worker_with_other_weights_is_refused(tmp_path: Path) -> None:
    expected = rf"worker 1: loaded weights with sha256 {'a' * 12}… · expected {'b' * 12}…"
    with pytest.raises(RunError, match=expected):
        Pool(tmp_path, Scripted(0), weights="b" * 64)
    # Also one that was restarted: somebody replaced the file.
    other = INFO._replace(settings=RunnerSettings(model="it", weights="c" * 64))
    pool = Pool(tmp_path, Scripted(0, loads=[INFO, other], batches=[DIED]), weights="a" * 64)
    with pytest.raises(RunError, match=rf"sha256 {'c' * 12}… · expected {'a' * 12}…"):
        pool.answer(0)


def test_what_a_worker_raises_is_raised(tmp_path: Path) -> None:
    pool = Pool(tmp_path, Scripted(0, batches=[RunnerError("runner it: broke")]))
    with pytest.raises(RunnerError, match="runner it: broke"):
        pool.answer(0, 1)


def test_a_worker_has_its_next_batch_before_the_lines_are_written(tmp_path: Path) -> None:
    worker = Scripted(0)
    pool = WorkerPool([worker], Console())
    pool.load()
    n_asked: list[int] = []
    pool.answer(trials(tmp_path), PLAN, [0], lambda _: n_asked.append(len(worker.asked)))
    assert n_asked == [1]
    # Where there is enough for all, it has one more: it need not wait for this process at all.
    n_asked.clear()
    worker.asked.clear()
    pool.answer(trials(tmp_path), PLAN, [0, 1, 2, 0], lambda _: n_asked.append(len(worker.asked)))
    assert n_asked == [3, 3, 4, 4]


@pytest.mark.parametrize(
    ("n_batches", "ahead", "held"),
    [
        (5, 0, [2, 1, 1, 1]),  # of two workers, in the order in which they are fed
        (3, 0, [1, 1, 1]),
        (7, 1, [3, 2, 1, 1]),
        (5, 1, [2, 2, 1]),
    ],
)
def test_a_worker_holds_one_batch_more_where_there_are_enough_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_batches: int, ahead: int, held: list[int]
) -> None:
    taken = []
    feed = Worker.feed

    def counted(self: Worker, take: Callable[[], Batch | None], *, ahead: int, queue: bool) -> None:
        before = set(map(id, self.batches())) - {id(self.running)}
        feed(self, take, ahead=ahead, queue=queue)
        taken.append(len({id(batch) for batch in self.batches()} - before))

    monkeypatch.setattr(Worker, "feed", counted)
    pool = WorkerPool([Scripted(0), Scripted(1)], Console(), ahead=ahead)
    pool.load()
    written: list[int] = []
    todo = [0, 1, 2, 0, 1, 2, 0][:n_batches]
    pool.answer(
        trials(tmp_path), PLAN, todo, lambda lines: written.extend(line.batch for line in lines)
    )
    assert sorted(written) == sorted(todo)
    assert [n for n in taken if n] == held


def test_at_the_end_busy_workers_are_killed_and_all_are_waited_for(tmp_path: Path) -> None:
    busy, idle = Scripted(0), Scripted(1)
    with WorkerPool([busy, idle], Console()):
        busy.start()
    assert busy.calls == ["load", "kill", "wait", "kill"]
    assert idle.calls == ["wait", "kill"]


def test_what_a_worker_has_in_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_memory", remembered._Memory())
    made = trials(tmp_path)

    def build(
        *, device: str | None, threads: int | None, budget_to_try: int | None = None
    ) -> Brightness:
        assert (device, threads, budget_to_try) == ("cpu", 1, None)
        return Brightness(None)

    prompts = {b"key": array("I", [1, 2])}
    state = WorkerState(Job(build, "it", "cpu", {"own": tmp_path}, prompts=prompts))
    assert remembered.remembered_prompts() == prompts
    assert state.info == WorkerInfo(RunnerSettings(model="it"), 24)
    batch, following = Batch(4, made.read_raw([0, 1])), Batch(5, made.read_raw([2]))
    lines, n_splits, _ = state.answer(batch, [following])
    assert [(line.batch, line.id) for line in lines] == [(4, "q0"), (4, "q1")]
    assert n_splits == 0
    assert [line.batch for line in state.answer(following, []).lines] == [5]
    [line] = made.read_raw([1]).lines
    torn = RawTrials(made.path, [line._replace(content=line.content[:20])])
    with pytest.raises(RunError, match=r"requests\.jsonl:2: "):
        state.answer(Batch(6, torn), [])
