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

from pydantic import Field

from vipbench.console import QUIET, Console
from vipbench.endpoints.chat import (
    BYTES_PER_TOKEN,
    SHOWN,
    Chat,
    Endpoint,
    Limits,
    Meter,
    NoReply,
    Stopped,
    Tally,
    estimated_tokens,
)
from vipbench.errors import JudgeError, RunError, RunInterrupted
from vipbench.judge import ledger as ledgers
from vipbench.judge.ledger import Grade, Judge, Ledger, grade_key
from vipbench.judge.rubric import OWN_PROMPT, Prompt, message, parse_score
from vipbench.runfolder.lines import TrialId
from vipbench.schema import Record, Trial

CAPABILITY = "capability"
"""The tag that holds what a question asks of a model, such as `rec` and `ocr`."""
N_RUNS = 5
"""As in the paper; the released evaluator is set to 1 (`num_run`)."""
WORKERS = 8
TEMPERATURE = 0.0
MAX_TOKENS = 3
"""These two as in the released evaluator."""
TEMPERATURES = (TEMPERATURE, 0.0, 0.5, 1.0, 1.5)
"""Of the first question, and of each further one where the reply was no score. The released
evaluator asks once more, at 2.0, never reads that reply and takes 0; here the sample stays without
a grade. Its further questions name the mark as `<obj>`, which is an oversight: here they repeat the
question as it was."""


class JudgeSettings(Record):
    """Who grades, how often, and what it may cost."""

    endpoint: Endpoint
    prompt: Prompt = OWN_PROMPT
    n_runs: int = Field(default=N_RUNS, ge=1)
    workers: int = Field(default=WORKERS, ge=1)
    """Calls that are under way at once."""
    limits: Limits = Limits()
    ledger: Path | None = None
    """File of grades; None: `grades.jsonl` in the run folder."""
    give_up_after: int = Field(default=5, ge=1)
    """So many questions in a row without any reply, and grading stops."""

    @property
    def judge(self) -> Judge:
        """What the grades are keyed by."""
        return Judge(
            model=self.endpoint.model,
            prompt_digest=self.prompt.digest,
            temperature=TEMPERATURE,
            max_tokens=self.endpoint.max_tokens,
        )


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
        RunInterrupted: Ctrl-C; the same call goes on.
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
        work = _Work(settings, judge, book, console)
        if jobs:
            _check_estimate(jobs, settings, console)
            _ask_all(work, jobs, len(by_key) * settings.n_runs, console)
        stopped = work.stopped
        rest = f"not asked: {stopped}" if stopped else "not asked"
        return Graded(
            samples=_samples(items, keys, book, settings.n_runs, rest),
            models=_models(book, set(keys.values()), settings.n_runs),
            spent=_spent(book.lines(set(keys.values())), settings.limits),
            spent_now=_spent(work.added, settings.limits),
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


class _Work:
    """What the threads share."""

    def __init__(
        self, settings: JudgeSettings, judge: Judge, book: Ledger, console: Console
    ) -> None:
        self.settings = settings
        self.judge = judge
        self.book = book
        self.chat = Chat(
            settings.endpoint, Meter(settings.limits), connections=settings.workers, console=console
        )
        self.added: list[Grade] = []
        self.stopped: JudgeError | None = None
        self._without_reply = 0
        self._lock = threading.Lock()

    def do(self, job: _Job) -> None:
        """Ask for one grade, and write down what came of it."""
        if self.chat.stop.is_set():
            return
        tally = Tally()
        replies: list[str] = []
        model, score, reason, failed = None, None, None, False
        try:
            for number, temperature in enumerate(TEMPERATURES):
                reply = self.chat.ask(self._message(job.item, number), temperature, tally)
                self._count(replied=True)
                replies.append(self.chat.clean(reply.text[: 10 * SHOWN])[:SHOWN])
                model, score = reply.model, parse_score(reply.text)
                if score is not None:
                    break
            else:
                reason = f"no score: {len(replies)} replies, the last {replies[-1]!r}"
        except NoReply as error:
            reason, failed = str(error), True
            self._count(replied=False, reason=reason)
        except Stopped:
            reason = "stopped"
        except JudgeError as error:
            reason = str(error)
            self._stop(error)
        if not tally.n_calls and not failed:
            return  # it was not asked
        self._write(
            Grade(
                key=job.key,
                run=job.run,
                score=score,
                reason=reason,
                replies=tuple(replies),
                model=model,
                judge=self.judge,
                task=job.item.task,
                style=job.item.style,
                id=job.item.id,
                **vars(tally),
            )
        )

    def _message(self, item: Item, number: int) -> str:
        prompt = self.settings.prompt
        text = message(prompt, item.question, item.answer, item.prediction)
        return text + prompt.reminder if number else text

    def _write(self, line: Grade) -> None:
        try:
            self.book.add(line)
        except RunError:
            self.chat.stop.set()
            raise
        with self._lock:
            self.added.append(line)

    def _count(self, *, replied: bool, reason: str = "") -> None:
        """Stop where the judge has answered nothing for some time."""
        with self._lock:
            self._without_reply = 0 if replied else self._without_reply + 1
            given_up = self._without_reply >= self.settings.give_up_after
        if given_up:
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


def _ask_all(work: _Work, jobs: Sequence[_Job], n_all: int, console: Console) -> None:
    """Ask for all grades; the first alone, since a wrong key or address shows there."""
    pool = ThreadPoolExecutor(work.settings.workers, thread_name_prefix="judge")
    done = n_all - len(jobs)
    with console.bar("grading", total=n_all, initial=done, unit=" grades") as bar:
        try:
            pool.submit(work.do, jobs[0]).result()
            bar.update()
            futures: list[Future[None]] = [pool.submit(work.do, job) for job in jobs[1:]]
            for future in as_completed(futures):
                future.result()
                bar.update()
        except KeyboardInterrupt:
            work.chat.stop.set()
            raise RunInterrupted(
                f"{work.book.path}: interrupted; what is graded is kept: give the same command to "
                "go on"
            ) from None
        finally:
            # What is under way has been paid for: it is waited for, and written down.
            work.chat.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            work.chat.close()


def _check_estimate(jobs: Sequence[_Job], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take without retries; JudgeError where that exceeds a limit."""
    limits, prompt = settings.limits, settings.prompt
    n_prompt = sum(
        estimated_tokens(message(prompt, item.question, item.answer, item.prediction))
        for _, _, item in jobs
    )
    n_reply = len(jobs) * settings.endpoint.max_tokens
    cost = limits.cost(n_prompt, n_reply)
    price = "" if cost is None else f", ${cost:,.2f}"
    text = (
        f"{len(jobs):,} calls, {n_prompt:,} prompt tokens (a token for {BYTES_PER_TOKEN} bytes) "
        f"and {n_reply:,} reply tokens{price}"
    )
    advice = "nothing was asked"
    if limits.max_calls is not None and len(jobs) > limits.max_calls:
        raise JudgeError(
            f"--judge-max-calls {limits.max_calls:,}: {text} are needed; {advice}: raise it, or "
            "lower --judge-runs"
        )
    if limits.budget is not None and cost is not None and cost > limits.budget:
        raise JudgeError(
            f"--judge-budget {limits.budget:g}: an estimated {text} are needed; {advice}: raise "
            "it, or lower --judge-runs"
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
    items: Iterable[Item], keys: Mapping[TrialId, str], book: Ledger, n_runs: int, rest: str
) -> dict[TrialId, SampleGrade]:
    """Collect the grades of each sample; `rest` says why there is no line of one at all."""
    samples = {}
    for item in items:
        lines = [book.get(keys[item.name], run) for run in range(1, n_runs + 1)]
        reasons = [
            (line.reason if line else rest) or rest for line in lines if not _is_complete(line)
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
    begun = {(line.key, line.run) for line in lines if line.n_calls}
    return Spent(
        n_calls=n_calls,
        n_retries=n_calls - len(begun),
        n_prompt_tokens=n_prompt,
        n_completion_tokens=n_completion,
        n_estimated=sum(line.n_estimated for line in lines),
        dollars=limits.cost(n_prompt, n_completion),
    )
