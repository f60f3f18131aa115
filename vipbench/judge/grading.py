"""Grade free answers by a language model, as ViP-Bench does: ledger, limits, no silent zero.

A sample is asked `n_runs` times. Its score is the mean of these judge runs, if each gave one;
otherwise the sample is ungraded, with the reason, which is neither 0 nor an error.
"""

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.endpoints.asking import Asker, ask_all_jobs
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.failures import NoReply, Stopped
from vipbench.endpoints.ledger import Spent, spent
from vipbench.endpoints.messages import Call, Sampling, user
from vipbench.endpoints.meter import Limits, Meter, Tally
from vipbench.endpoints.replies import Reply, is_cut, told_cut
from vipbench.errors import JudgeError, JudgeStopped, VipbenchError
from vipbench.judge import ledger as ledgers
from vipbench.judge.estimate import check_estimate, tell_estimate
from vipbench.judge.ledger import Grade, Ledger, grade_key
from vipbench.judge.reading import (
    OTHER_SCALE,
    read_grade,
    why_none,
)
from vipbench.judge.rubric import Prompt, message
from vipbench.judge.settings import JUDGE, TEMPERATURES, JudgeSettings
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import TrialId
from vipbench.schema import Record, Trial
from vipbench.scoring.extraction.reasoning import last_spoken

NO_SCORE = "no score"
"""What the reason begins with where all replies came, and none was a grade."""
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
    n_unread: int = 0
    """Judge runs in which no reply was a grade; in others without one there was no reply."""

    @property
    def value(self) -> float | None:
        """The mean of all judge runs; None where one of them gave no grade."""
        known = [score for score in self.scores if score is not None]
        return statistics.fmean(known) if len(known) == len(self.scores) else None

    @property
    def value_with_zeros(self) -> float | None:
        """The mean where replies that are no grade count 0, as in the published evaluator."""
        known = [score for score in self.scores if score is not None]
        is_whole = len(known) + self.n_unread == len(self.scores)
        return statistics.fmean([*known, *[0.0] * self.n_unread]) if is_whole else None


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
    judge: Judge
    """Who graded: as was asked for, without the parameters that the server refused."""


class NothingGraded(JudgeError):
    """The judge answers, but in a way in which it will give no grade: asking on is of no use."""


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
    with ledgers.opened(ledger) as book:
        grader = _Grader(settings, book.as_asked(settings.judge), book, console)
        jobs = _Jobs(items, settings.n_runs, book)
        if left := jobs.left(grader.judge):
            check_estimate(_questions(left, settings), settings, console)
            _grade_all(grader, jobs, console)
        stopped, judge = grader.stopped, grader.judge
        keys = _keys(items, judge)
        reason = f"not asked: {stopped}" if stopped else "not asked"
        samples = _samples(items, keys, book, settings.n_runs, reason)
        if stopped is None and samples and all(s.value is None for s in samples.values()):
            stopped = grader.fruitless() or NothingGraded(
                f"judge: none of {len(samples):,} samples has a grade in each of "
                f"{settings.n_runs} judge runs"
            )
        return Graded(
            samples=samples,
            models=_models(book, set(keys.values()), settings.n_runs),
            spent=spent(book.lines(set(keys.values())), settings.limits),
            spent_now=spent(grader.added, settings.limits),
            unused=book.unused(set(keys.values()), judge),
            stopped=_as_it_ends(stopped, grader.added),
            judge=judge,
        )


def _as_it_ends(stopped: VipbenchError | None, added: Iterable[Grade]) -> JudgeError | None:
    """Return why grading ended, as an error whose exit code says whether it gave any grade."""
    if stopped is None or isinstance(stopped, NothingGraded):
        return stopped
    has_graded = any(line.score is not None for line in added)
    return (JudgeStopped if has_graded else JudgeError)(str(stopped))


def recall(
    items: Sequence[Item], judge: Judge, n_runs: int, ledger: Path, limits: Limits
) -> Graded:
    """Use the grades that a ledger holds; asks nobody. RunError where the ledger is broken."""
    keys = _keys(items, judge)
    book = ledgers.read(ledger)
    return Graded(
        samples=_samples(items, keys, book, n_runs, f"no grade in {ledger.name}"),
        models=_models(book, set(keys.values()), n_runs),
        spent=spent(book.lines(set(keys.values())), limits),
        spent_now=spent([], limits),
        unused=book.unused(set(keys.values()), judge),
        stopped=None,
        judge=judge,
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
    item: Item

    def key(self, judge: Judge) -> str:
        """Return what its grade is valid for."""
        return grade_key(judge, self.item.question, self.item.answer, self.item.prediction)


class _Jobs:
    """All that is to be asked: each judge run after the other, equal samples once."""

    def __init__(self, items: Sequence[Item], n_runs: int, book: Ledger) -> None:
        unique = {(item.question, item.answer, item.prediction): item for item in reversed(items)}
        names = dict.fromkeys((item.question, item.answer, item.prediction) for item in items)
        self._all = [_Job(run, unique[name]) for run in range(1, n_runs + 1) for name in names]
        self._book = book
        self.tried: set[_Job] = set()

    def __len__(self) -> int:
        return len(self._all)

    def left(self, judge: Judge) -> list[_Job]:
        """Return those that have no grade of a judge, and were not tried by this command."""
        return [job for job in self._all if job not in self.tried and not self._is_done(job, judge)]

    def _is_done(self, job: _Job, judge: Judge) -> bool:
        line = self._book.get(job.key(judge), job.run)
        return line is not None and line.is_complete


class _Grader(Asker[Grade]):
    """Grades one job after another, from several threads at once."""

    def __init__(
        self, settings: JudgeSettings, judge: Judge, ledger: Ledger, console: Console
    ) -> None:
        chat = Chat(
            settings.endpoint,
            Meter(settings.limits, JUDGE),
            connections=settings.workers,
            console=console,
        )
        super().__init__(
            chat,
            ledger,
            give_up_after=settings.give_up_after,
            has_result=ledger.has_result_of(judge),
        )
        self.settings = settings
        self._judge = judge

    @property
    def judge(self) -> Judge:
        """Who grades, without the parameters that the server refuses, once that is known."""
        if not self.chat.is_settled:
            return self._judge
        return self._judge.model_copy(update={"omitted": self.chat.dialect.omitted})

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
                reason = self._no_score(replies)
            self.count(replies[-1], is_result=score is not None)
        except NoReply as error:
            reason, is_unanswered = str(error), True
            self.count(reason, is_result=False)
        except Stopped:
            reason = "stopped"
        except JudgeError as error:
            reason = str(error)
            self.end(error)
        if not tally.n_calls and not is_unanswered:
            return  # it was not asked
        judge = self.judge
        self.write(
            Grade(
                key=job.key(judge),
                run=job.run,
                score=score,
                reason=reason,
                replies=tuple(self.shown(reply.text or "") for reply in replies),
                model=replies[-1].model if replies else None,
                finish=replies[-1].finish if replies else None,
                judge=judge,
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
            call = _call(text, temperature, self.settings)
            try:
                reply = told_cut(self.chat.ask(call, tally), self.chat.dialect.n_tokens(call))
            except NoReply:
                if replies:  # such as a server that takes no temperature above 1
                    return None
                raise
            if reply.text is None and reply.finish == "filter" and reply.refusal:
                raise NoReply(reply.refusal)
            replies.append(reply)
            self.replied()
            score = read_grade(reply)
            if score is not None:
                return score
        return None

    def _no_score(self, replies: Sequence[Reply]) -> str:
        last, kind, why = replies[-1], NO_SCORE, why_none(replies[-1])
        if why == OTHER_SCALE:
            kind += f", {why}"
        end = f", {why}" if last.finish in ("length", "filter", "refusal") else ""
        return f"{kind}: {len(replies)} replies, the last {self.shown(last.text or '')!r}{end}"

    def fruitless(self) -> NothingGraded | None:
        """Say why the questions so far came to nothing, and what to do; None where one did not."""
        last, n = self.last, self.n_without_result
        if self.has_result or last is None:
            return None
        head = f"judge: none of the first {n} questions got a grade"
        if isinstance(last, str):
            return NothingGraded(f"{head} · the last one: {last}")
        said = f"the last reply: {self.shown(last.text or last.refusal or '')!r}"
        if not (last.text or "").strip() and last.reasoning:
            said += f" behind the reasoning {self.shown(last.reasoning)!r}"
        return NothingGraded(f"{head} · {said} ({why_none(last)}) · {self._advice(last)}")

    def _advice(self, reply: Reply) -> str:
        settings = self.settings
        if is_cut(reply) and (reply.reasoning or last_spoken(reply.text or "") is None):
            return (
                f"the judge thinks first: raise {JUDGE.option('reasoning-tokens')} "
                f"{settings.reasoning_tokens}, or switch thinking off, such as by "
                f"{JUDGE.option('extra-body')} "
                '\'{"chat_template_kwargs": {"enable_thinking": false}}\''
            )
        if is_cut(reply):
            return f"raise --judge-max-tokens {settings.max_tokens}, or take another --judge-model"
        return "expected the grade alone, such as 0.8 · take another --judge-model"


def _grade_all(grader: _Grader, jobs: _Jobs, console: Console) -> None:
    """Ask for all grades, and tell the estimate again where another judge turns out to grade."""
    judge, n_left = grader.judge, len(jobs)

    def left() -> list[_Job]:
        nonlocal judge, n_left
        found = jobs.left(grader.judge)
        if grader.judge != judge and len(found) > n_left:
            tell_estimate(_questions(found, grader.settings), grader.settings, console)
        judge, n_left = grader.judge, len(found)
        return found

    n_done = len(jobs) - len(jobs.left(judge))
    with console.bar("grading", total=len(jobs), initial=n_done, unit=" grades") as bar:
        ask_all_jobs(
            grader,
            grader.grade,
            left,
            jobs.tried,
            workers=grader.settings.workers,
            bar=bar,
            done="graded",
        )


def _call(text: str, temperature: float, settings: JudgeSettings) -> Call:
    """Return a question as the released evaluator sends it: a temperature, and nothing more."""
    sampling = Sampling(temperature=temperature, top_p=None, seed=None)
    return Call(
        (user(text),), settings.max_tokens, sampling, reasoning_tokens=settings.reasoning_tokens
    )


def check_left(items: Sequence[Item], settings: JudgeSettings, ledger: Path, say: Console) -> int:
    """Say what `grade` would ask, and ask nobody; return how many grades are missing.

    Raises:
        JudgeError: Even the least that it takes exceeds a limit.
        RunError: The ledger is broken.
    """
    book = ledgers.read(ledger)
    left = _Jobs(items, settings.n_runs, book).left(book.as_asked(settings.judge))
    if left:
        check_estimate(_questions(left, settings), settings, say)
    return len(left)


def _questions(jobs: Iterable[_Job], settings: JudgeSettings) -> list[str]:
    return [_message(settings.prompt, job.item) for job in jobs]


def _message(prompt: Prompt, item: Item) -> str:
    return message(prompt, item.question, item.answer, item.prediction)


# --- what the ledger holds


def _keys(items: Iterable[Item], judge: Judge) -> dict[TrialId, str]:
    return {
        item.name: grade_key(judge, item.question, item.answer, item.prediction) for item in items
    }


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
            if line is None or not line.is_complete
        ]
        ungraded = None
        if reasons:
            count = "" if n_runs == 1 else f" ({len(reasons)} of {n_runs} judge runs)"
            ungraded = f"{reasons[0]}{count}"
        scores = tuple(line.score if line else None for line in lines)
        n_unread = sum((line.reason or "").startswith(NO_SCORE) for line in lines if line)
        samples[item.name] = SampleGrade(scores=scores, ungraded=ungraded, n_unread=n_unread)
    return samples


def _models(book: Ledger, keys: Collection[str], n_runs: int) -> dict[str, int]:
    lines = [book.get(key, run) for key in keys for run in range(1, n_runs + 1)]
    counts = Counter(line.model or "unnamed" for line in lines if line and line.score is not None)
    return dict(sorted(counts.items()))
