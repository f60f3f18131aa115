"""Many questions to one endpoint at once, with no more of them in memory than are under way."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from time import monotonic
from typing import NamedTuple

from vipbench.endpoints.chat import Chat
from vipbench.endpoints.failures import NoReply
from vipbench.endpoints.messages import Call
from vipbench.endpoints.meter import Tally
from vipbench.endpoints.replies import Reply


class Outcome(NamedTuple):
    """What one question came to."""

    number: int
    """Of the call, from 0."""
    reply: Reply | None
    """None: `error` says why there is none."""
    error: str | None
    tally: Tally
    """What it took, retries included."""
    began: float
    ended: float
    """When the thread that asks took it up, and was done with it, in s of `time.monotonic`."""
    is_refused: bool = False
    """There is no reply because the server, or whoever makes the call, refuses this question."""


def ask_all(chat: Chat, calls: Iterable[Call | Callable[[], Call]]) -> Iterator[Outcome]:
    """Ask all calls, and yield each outcome as it comes; calls are taken as places become free.

    One may be given by what makes it, in the thread that asks it; that may raise NoReply.

    How many are under way follows what the server refuses. Where nothing is known of the server
    yet, the first call goes alone. After an error, or Ctrl-C, no further call is sent; those under
    way are paid for, so they are waited for and yielded, and the error is raised last. Leaving the
    loop early stops the chat, and what is under way is lost.

    Raises:
        VipbenchError: As when one is asked.
        Stopped: The chat was stopped.
    """
    numbered = enumerate(calls)
    waiting: set[Future[Outcome]] = set()
    failure: BaseException | None = None
    with ThreadPoolExecutor(chat.gate.ceiling, thread_name_prefix="endpoint") as pool:
        try:
            while True:
                free = 0 if failure else max(_places(chat) - len(waiting), 0)
                waiting |= {
                    pool.submit(_ask, chat, number, call) for number, call in islice(numbered, free)
                }
                if not waiting:
                    break
                try:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt as interrupt:
                    if failure:
                        raise
                    failure = interrupt
                    chat.stop.set()
                    continue
                for future in done:
                    error = future.exception()
                    if error is None:
                        yield future.result()
                        continue
                    failure = failure or error
                    chat.stop.set()
        finally:
            if waiting or failure:
                chat.stop.set()
    if failure is not None:
        raise failure


def _places(chat: Chat) -> int:
    """Return how many questions may be under way: as many again as the server is asked at once."""
    return min(2 * chat.gate.limit, chat.gate.ceiling) if chat.is_settled else 1


def _ask(chat: Chat, number: int, call: Call | Callable[[], Call]) -> Outcome:
    tally, began = Tally(), monotonic()
    try:
        made = call if isinstance(call, Call) else call()
        return Outcome(number, chat.ask(made, tally), None, tally, began, monotonic())
    except NoReply as error:
        refused = error.is_refused
        return Outcome(number, None, str(error), tally, began, monotonic(), is_refused=refused)
