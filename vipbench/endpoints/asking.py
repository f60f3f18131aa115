"""Questions whose outcomes are written down one by one: threads, and when to give up."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Generic, Protocol, TypeVar

from vipbench.endpoints.chat import Chat
from vipbench.endpoints.ledger import Ledger, Paid
from vipbench.endpoints.replies import SHOWN, Reply
from vipbench.errors import RunError, RunInterrupted, VipbenchError

Line = TypeVar("Line", bound=Paid)
Job = TypeVar("Job")


class Bar(Protocol):
    """What moves with each outcome."""

    def update(self) -> object:
        """Move by one."""


class Asker(Generic[Line]):
    """Whoever asks an endpoint and writes what comes of it into a ledger; knows when to stop.

    A reply that is what was asked for is a *result*.
    """

    def __init__(
        self, chat: Chat, ledger: Ledger[Line], *, give_up_after: int, has_result: bool
    ) -> None:
        """Take who is asked, and whether it has given any result before.

        Args:
            chat: of the endpoint.
            ledger: takes the lines.
            give_up_after: questions in a row without a reply, or first ones without a result.
            has_result: whether there has been any, in an earlier command.
        """
        self.chat, self.ledger = chat, ledger
        self.added: list[Line] = []
        self.stopped: VipbenchError | None = None
        """Why asking ended before its end."""
        self.has_result = has_result
        self.n_without_result = 0
        self.last: Reply | str | None = None
        """What came to nothing last: a reply, or why there was none."""
        self._give_up_after = give_up_after
        self._n_without_reply = 0
        self._lock = threading.Lock()

    @property
    def is_proven(self) -> bool:
        """Whether it has given a result, by parameters that are known to be taken."""
        return self.has_result and self.chat.is_settled

    def fruitless(self) -> VipbenchError | None:
        """Say why the questions so far came to nothing; None where one did not."""
        raise NotImplementedError

    def shown(self, text: str) -> str:
        """Return the start of a text, and of a longer one its end too, without the key."""
        if len(text) <= SHOWN:
            return self.chat.clean(text)
        start, end = self.chat.clean(text[: 10 * SHOWN]), self.chat.clean(text[-10 * SHOWN :])
        return f"{start[: SHOWN // 2]} … {end[-SHOWN // 2 :]}"

    def write(self, line: Line) -> None:
        """Put a line on the disk; where it refuses, nothing more is asked."""
        try:
            self.ledger.add(line)
        except RunError:
            self.chat.stop.set()
            raise
        with self._lock:
            self.added.append(line)

    def replied(self) -> None:
        """Count a reply, whatever it says."""
        self._n_without_reply = 0

    def count(self, last: Reply | str, *, is_result: bool) -> None:
        """Stop where the endpoint answers nothing, or has never given a result."""
        with self._lock:
            self.has_result = self.has_result or is_result
            self._n_without_reply += isinstance(last, str)
            self.n_without_result = 0 if is_result else self.n_without_result + 1
            self.last = None if is_result else last
            is_gone = self._n_without_reply >= self._give_up_after
            is_useless = not self.has_result and self.n_without_result >= self._give_up_after
        if is_gone:
            purpose = self.chat.endpoint.purpose
            self.end(
                purpose.error(
                    f"{purpose.name}: {self._give_up_after} questions in a row got no reply, the "
                    f"last one: {last}"
                )
            )
        elif is_useless and (error := self.fruitless()):
            self.end(error)

    def end(self, error: VipbenchError) -> None:
        """Ask nothing more; the first reason counts."""
        with self._lock:
            self.stopped = self.stopped or error
        self.chat.stop.set()


def ask_all_jobs(
    asker: Asker[Line],
    ask: Callable[[Job], None],
    left: Callable[[], Sequence[Job]],
    tried: set[Job],
    *,
    workers: int,
    bar: Bar,
    done: str,
) -> None:
    """Ask for all that is left; the first ones alone, until there has been a result.

    A wrong key or address, parameters that the server refuses and replies that are no results show
    there. What is under way has been paid for: it is waited for, and written down.

    Args:
        asker: who asks.
        ask: asks for one, and writes down what came of it.
        left: what is to be asked, without `tried`; may change with the server's parameters.
        tried: takes what is asked alone.
        workers: calls at once.
        bar: moves with each.
        done: what has become of an outcome, such as `graded`, for who presses Ctrl-C.

    Raises:
        RunInterrupted: Ctrl-C; the same call resumes.
    """
    name = asker.chat.endpoint.purpose.name
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        while (waiting := left()) and not asker.chat.stop.is_set():
            if asker.is_proven:
                break
            tried.add(waiting[0])
            pool.submit(ask, waiting[0]).result()
            bar.update()
        futures: list[Future[None]] = [pool.submit(ask, job) for job in waiting]
        for future in as_completed(futures):
            future.result()
            bar.update()
    except KeyboardInterrupt:
        asker.chat.stop.set()
        raise RunInterrupted(
            f"{asker.ledger.path}: interrupted · what is {done} is kept · give the same command "
            "again to resume"
        ) from None
    finally:
        asker.chat.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        asker.chat.close()
