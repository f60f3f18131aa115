"""Grade free answers by a language model, as ViP-Bench does: ledger, limits, no silent zero.

A sample is asked `n_runs` times. Its score is the mean of these judge runs, if each gave one;
otherwise the sample is ungraded, with the reason, which is neither 0 nor an error.
"""

import statistics
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.failures import NoReply, Stopped
from vipbench.endpoints.messages import Call, Sampling, user
from vipbench.endpoints.meter import BYTES_PER_TOKEN, Limits, Meter, Tally, estimated_tokens
from vipbench.endpoints.replies import SHOWN, Reply
from vipbench.errors import JudgeError, RunError, RunInterrupted
from vipbench.judge import ledger as ledgers
from vipbench.judge.ledger import Grade, Ledger, grade_key
from vipbench.judge.rubric import Prompt, message, parse_score
from vipbench.judge.settings import JUDGE, TEMPERATURES, JudgeSettings
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import TrialId
from vipbench.schema import Record, Trial

CAPABILITY = "capability"
"""The tag that holds what a question asks of a model, such as `rec` and `ocr`."""


class Item(Record):
    """One answer to grade."""

    task: str
    style: str
    id: str
    question: str
    """The user text that was answered."""
    answer: str
    """The right answer, with `<AND>` and `<OR>`."""
    prediction: str
    capabilities: tuple[str, ...] = ()

    @property
    def name(self) -> TrialId:
        """What names the sample in its run."""
        return TrialId(self.task, self.style, self.id)


class SampleGrade(Record):
    """What the judge runs gave for one sample."""

    scores: tuple[float | None, ...]
    """One a judge run, 0-1; None: no grade."""
    ungraded: str | None
    """Why the sample has no score; None where it has one."""

    @property
    def value(self) -> float | None:
        """The mean of all judge runs; None where one of them gave no grade."""
        known = [score for score in self.scores if score is not None]
        return statistics.fmean(known) if len(known) == len(self.scores) else None


class Spent(Record):
    """Calls, tokens and money."""

    n_calls: int = 0
    n_retries: int = 0
    """Calls beyond the first for the same sample and judge run."""
    n_prompt_tokens: int = 0
    n_completion_tokens: int = 0
    n_estimated: int = 0
    """Calls whose tokens the server did not tell; they are estimated."""
    dollars: float | None = None
    """None without `--judge-price`."""


class Graded(NamedTuple):
    """The outcome of grading."""

    samples: dict[TrialId, SampleGrade]
    models: dict[str, int]
    """How many of the grades in use were given by which model, as the server named itself."""
    spent: Spent
    """On these samples by this judge, earlier commands included."""
    spent_now: Spent
    """By this command."""
    unused: dict[str, int]
    """Grades in the ledger that are not valid here, by what they were given for."""
    stopped: JudgeError | None
    """Why grading ended before its end."""


def grade(
    items: Sequence[Item],
    settings: JudgeSettings,
    ledger: Path,
    *,
    console: Console = QUIET,
) -> Graded:
    """Ask the judge for every grade that the ledger does not hold yet.

    Each grade is in the ledger before the next question of its worker is sent. Where grading has to
    stop (see `Graded.stopped`), what has been graded counts, and the rest is ungraded.

    Args:
        items: answers to grade; equal ones are asked once.
        settings: who is asked.
        ledger: file of grades; made where it is missing.
        console: takes the estimate, and what goes wrong; shows a bar.

    Raises:
        JudgeError: The estimate exceeds a limit; nothing was asked.
        RunError: The ledger is in use, broken or cannot be written.
        RunInterrupted: Ctrl-C; the same call resumes.
    """
    judge = settings.judge
    keys = _keys(items, judge)
    by_key = {keys[item.name]: item for item in reversed(items)}
    with ledgers.opened(ledger) as book:
        jobs = [
            _Job(run, key, by_key[key])
            for run in range(1, settings.n_runs + 1)
            for key in dict.fromkeys(keys[item.name] for item in items)
            if not _is_complete(book.get(key, run))
        ]
        grader = _Grader(settings, judge, book, console)
        if jobs:
            _check_estimate(jobs, settings, console)
            _grade_all(grader, jobs, len(by_key) * settings.n_runs, console)
        stopped = grader.stopped
        reason = f"not asked: {stopped}" if stopped else "not asked"
        return Graded(
            samples=_samples(items, keys, book, settings.n_runs, reason),
            models=_models(book, set(keys.values()), settings.n_runs),
            spent=_spent(book.lines(set(keys.values())), settings.limits),
            spent_now=_spent(grader.added, settings.limits),
            unused=book.unused(set(keys.values()), judge),
            stopped=stopped,
        )


def recall(
    items: Sequence[Item], judge: Judge, n_runs: int, ledger: Path, limits: Limits
) -> Graded:
    """Use the grades that a ledger holds; asks nobody. RunError where the ledger is broken."""
    keys = _keys(items, judge)
    book = ledgers.read(ledger)
    return Graded(
        samples=_samples(items, keys, book, n_runs, f"no grade in {ledger.name}"),
        models=_models(book, set(keys.values()), n_runs),
        spent=_spent(book.lines(set(keys.values())), limits),
        spent_now=_spent([], limits),
        unused=book.unused(set(keys.values()), judge),
        stopped=None,
    )


def make_item(trial: Trial, text: str) -> Item:
    """Return what the judge is shown of an answered trial.

    The answer goes without the white space around it, as the official `model_vqa.py` writes it.
    """
    assert trial.request is not None
    return Item(
        task=trial.task,
        style=trial.style,
        id=trial.id,
        question=trial.request.turns[-1],
        answer=trial.target,
        prediction=text.strip(),
        capabilities=trial.tags.get(CAPABILITY, ()),
    )


# --- asking


class _Job(NamedTuple):
    """One sample in one judge run."""

    run: int
    key: str
    item: Item


class _Grader:
    """Grades one job after another, from several threads at once."""

    def __init__(
        self, settings: JudgeSettings, judge: Judge, ledger: Ledger, console: Console
    ) -> None:
        self.settings = settings
        self.judge = judge
        self.ledger = ledger
        self.chat = Chat(
            settings.endpoint,
            Meter(settings.limits, JUDGE),
            connections=settings.workers,
            console=console,
            adapts=False,
        )
        self.added: list[Grade] = []
        self.stopped: JudgeError | None = None
        self._n_without_reply = 0
        self._lock = threading.Lock()

    def grade(self, job: _Job) -> None:
        """Ask for one grade, and write down what came of it."""
        if self.chat.stop.is_set():
            return
        tally = Tally()
        replies: list[Reply] = []
        score, reason, is_unanswered = None, None, False
        try:
            score = self._ask(job.item, tally, replies)
            if score is None:
                reason = f"no score: {len(replies)} replies, the last {replies[-1].text or ''!r}"
        except NoReply as error:
            reason, is_unanswered = str(error), True
            self._count(is_answered=False, reason=reason)
        except Stopped:
            reason = "stopped"
        except JudgeError as error:
            reason = str(error)
            self._stop(error)
        if not tally.n_calls and not is_unanswered:
            return  # it was not asked
        self._write(
            Grade(
                key=job.key,
                run=job.run,
                score=score,
                reason=reason,
                replies=tuple(reply.text or "" for reply in replies),
                model=replies[-1].model if replies else None,
                judge=self.judge,
                task=job.item.task,
                style=job.item.style,
                id=job.item.id,
                n_calls=tally.n_calls,
                n_prompt_tokens=tally.n_prompt_tokens,
                n_completion_tokens=tally.n_completion_tokens,
                n_estimated=tally.n_estimated,
            )
        )

    def _ask(self, item: Item, tally: Tally, replies: list[Reply]) -> float | None:
        """Ask until a reply is a score, and return it; all replies are added to `replies`."""
        for number, temperature in enumerate(TEMPERATURES):
            text = _message(self.settings.prompt, item)
            if number:
                text += self.settings.prompt.reminder
            reply = self.chat.ask(_call(text, temperature, self.settings.max_tokens), tally)
            if reply.text is None and reply.finish == "filter" and reply.refusal:
                raise NoReply(reply.refusal)
            self._count(is_answered=True)
            said = reply.text or ""
            shown = self.chat.clean(said[: 10 * SHOWN])[:SHOWN]
            replies.append(reply._replace(text=shown))
            score = parse_score(said)
            if score is not None:
                return score
        return None

    def _write(self, line: Grade) -> None:
        try:
            self.ledger.add(line)
        except RunError:
            self.chat.stop.set()
            raise
        with self._lock:
            self.added.append(line)

    def _count(self, *, is_answered: bool, reason: str = "") -> None:
        """Stop where the judge has answered nothing for some time."""
        with self._lock:
            self._n_without_reply = 0 if is_answered else self._n_without_reply + 1
            is_given_up = self._n_without_reply >= self.settings.give_up_after
        if is_given_up:
            self._stop(
                JudgeError(
                    f"judge: {self.settings.give_up_after} questions in a row got no reply, the "
                    f"last one: {reason}"
                )
            )

    def _stop(self, error: JudgeError) -> None:
        with self._lock:
            self.stopped = self.stopped or error
        self.chat.stop.set()


def _grade_all(grader: _Grader, jobs: Sequence[_Job], n_all: int, console: Console) -> None:
    """Ask for all grades; the first alone, since a wrong key or address shows there."""
    pool = ThreadPoolExecutor(grader.settings.workers, thread_name_prefix="judge")
    n_done = n_all - len(jobs)
    with console.bar("grading", total=n_all, initial=n_done, unit=" grades") as bar:
        try:
            pool.submit(grader.grade, jobs[0]).result()
            bar.update()
            futures: list[Future[None]] = [pool.submit(grader.grade, job) for job in jobs[1:]]
            for future in as_completed(futures):
                future.result()
                bar.update()
        except KeyboardInterrupt:
            grader.chat.stop.set()
            raise RunInterrupted(
                f"{grader.ledger.path}: interrupted · what is graded is kept · give the same "
                "command again to resume"
            ) from None
        finally:
            # What is under way has been paid for: it is waited for, and written down.
            grader.chat.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            grader.chat.close()


def _call(text: str, temperature: float, max_tokens: int) -> Call:
    """Return a question as the released evaluator sends it: a temperature, and nothing more."""
    sampling = Sampling(temperature=temperature, top_p=None, seed=None)
    return Call((user(text),), max_tokens, sampling)


def _message(prompt: Prompt, item: Item) -> str:
    return message(prompt, item.question, item.answer, item.prediction)


def _check_estimate(jobs: Sequence[_Job], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take without retries; JudgeError where that exceeds a limit."""
    limits = settings.limits
    n_prompt = sum(estimated_tokens(_message(settings.prompt, job.item)) for job in jobs)
    n_reply = len(jobs) * settings.max_tokens
    cost = limits.cost(n_prompt, n_reply)
    price = "" if cost is None else f", ${cost:,.2f}"
    text = (
        f"{len(jobs):,} calls, {n_prompt:,} prompt tokens (a token for {BYTES_PER_TOKEN} bytes) "
        f"and {n_reply:,} reply tokens{price}"
    )
    advice = "nothing was asked · raise it, or lower --judge-runs"
    if limits.max_calls is not None and len(jobs) > limits.max_calls:
        raise JudgeError(f"--judge-max-calls {limits.max_calls:,}: {text} are needed · {advice}")
    if limits.budget is not None and cost is not None and cost > limits.budget:
        raise JudgeError(
            f"--judge-budget {limits.budget:g}: an estimated {text} are needed · {advice}"
        )
    console.say(f"judge {settings.endpoint.model} at {settings.endpoint.url}: about {text}")


# --- what the ledger holds


def _keys(items: Iterable[Item], judge: Judge) -> dict[TrialId, str]:
    return {
        item.name: grade_key(judge, item.question, item.answer, item.prediction) for item in items
    }


def _is_complete(line: Grade | None) -> bool:
    return line is not None and line.score is not None


def _samples(
    items: Iterable[Item], keys: Mapping[TrialId, str], book: Ledger, n_runs: int, default: str
) -> dict[TrialId, SampleGrade]:
    """Collect the grades of all samples; `default` is the reason where there is no line at all."""
    samples = {}
    for item in items:
        lines = [book.get(keys[item.name], run) for run in range(1, n_runs + 1)]
        reasons = [
            (line.reason if line else default) or default
            for line in lines
            if not _is_complete(line)
        ]
        ungraded = None
        if reasons:
            count = "" if n_runs == 1 else f" ({len(reasons)} of {n_runs} judge runs)"
            ungraded = f"{reasons[0]}{count}"
        scores = tuple(line.score if line else None for line in lines)
        samples[item.name] = SampleGrade(scores=scores, ungraded=ungraded)
    return samples


def _models(book: Ledger, keys: Collection[str], n_runs: int) -> dict[str, int]:
    lines = [book.get(key, run) for key in keys for run in range(1, n_runs + 1)]
    counts = Counter(line.model or "unnamed" for line in lines if line and line.score is not None)
    return dict(sorted(counts.items()))


def _spent(lines: Sequence[Grade], limits: Limits) -> Spent:
    n_prompt = sum(line.n_prompt_tokens for line in lines)
    n_completion = sum(line.n_completion_tokens for line in lines)
    n_calls = sum(line.n_calls for line in lines)
    asked = {(line.key, line.run) for line in lines if line.n_calls}
    return Spent(
        n_calls=n_calls,
        n_retries=n_calls - len(asked),
        n_prompt_tokens=n_prompt,
        n_completion_tokens=n_completion,
        n_estimated=sum(line.n_estimated for line in lines),
        dollars=limits.cost(n_prompt, n_completion),
    )
