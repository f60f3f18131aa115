"""Ask a model what an unread answer states: each question once, each reply on the disk at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.digests import digest, facts
from vipbench.endpoints.asking import Asker, ask_all_jobs
from vipbench.endpoints.chat import Chat
from vipbench.endpoints.estimate import Plan, check_estimate
from vipbench.endpoints.failures import NoReply, Stopped
from vipbench.endpoints.ledger import Spent, spent
from vipbench.endpoints.messages import Call, Sampling, user
from vipbench.endpoints.meter import Limits, Meter, Tally
from vipbench.endpoints.replies import Reply, told_cut
from vipbench.errors import ExtractorError, ExtractorStopped, VipbenchError
from vipbench.extractor import ledger as ledgers
from vipbench.extractor.ledger import Extraction, Ledger
from vipbench.extractor.reading import read_reply
from vipbench.extractor.settings import EXTRACTOR, TEMPERATURE, ExtractorSettings, message
from vipbench.runfolder.judge_file import Judge
from vipbench.runfolder.lines import TrialId


class Question(NamedTuple):
    """An answer that a rule has left unread."""

    name: TrialId
    question: str
    """The user text that was answered."""
    options: tuple[tuple[str, str], ...]
    """Letter and text of each option; empty: the answer is a short one."""
    text: str
    """What was answered, without reasoning and markup."""

    def key(self, extractor: Judge) -> str:
        """Return what an extraction is valid for."""
        return digest([facts(extractor), self.question, list(self.options), self.text])


class Extracted(NamedTuple):
    """The outcome of asking."""

    extractor: Judge
    """As was asked for, without the parameters that the server refused."""
    lines: dict[TrialId, Extraction | None]
    """What each question came to; None, or a line without a reply: it has none yet."""
    models: dict[str, int]
    """How many of the replies in use were given by which model, as the server named itself."""
    spent: Spent
    """On these questions by this extractor, earlier commands included."""
    spent_now: Spent
    """By this command."""
    stopped: VipbenchError | None
    """Why asking ended before its end."""


class NothingRead(ExtractorError):
    """The extractor answers, but in a way in which nothing will be read."""


def extract(
    questions: Sequence[Question],
    settings: ExtractorSettings,
    ledger: Path,
    *,
    console: Console = QUIET,
) -> Extracted:
    """Ask for all that the ledger does not hold yet; equal questions once.

    Each reply is in the ledger before the next question of its thread is sent.

    Args:
        questions: what is unread.
        settings: who is asked.
        ledger: file of what was read; made where it is missing.
        console: takes the estimate, and what goes wrong; shows a bar.

    Raises:
        ExtractorError: The estimate exceeds a limit; nothing was asked.
        RunError: The ledger is in use, broken or cannot be written.
        RunInterrupted: Ctrl-C; the same call resumes.
    """
    with ledgers.opened(ledger) as book:
        reader = _Reader(settings, book.as_asked(settings.extractor), book, console)
        unique = _unique(questions)
        tried: set[Question] = set()

        def left() -> list[Question]:
            return [
                question
                for question in reversed(unique)
                if question not in tried and not reader.has(question)
            ]

        if waiting := left():
            check_estimate(_plan(waiting, settings), console, advice="raise it")
            n_done = len(unique) - len(waiting)
            with console.bar(
                "extracting", total=len(unique), initial=n_done, unit=" answers"
            ) as bar:
                ask_all_jobs(
                    reader,
                    reader.ask,
                    left,
                    tried,
                    workers=settings.workers,
                    bar=bar,
                    done="read",
                )
        found = _found(questions, reader.extractor, book, settings.limits)
        return found._replace(
            spent_now=spent(reader.added, settings.limits), stopped=_as_it_ends(reader)
        )


def check_left(
    questions: Sequence[Question], settings: ExtractorSettings, ledger: Path, say: Console
) -> int:
    """Say what `extract` would ask, and ask nobody; return how many answers are unread.

    Raises:
        ExtractorError: Even the least that it takes exceeds a limit.
        RunError: The ledger is broken.
    """
    book = ledgers.read(ledger)
    extractor = book.as_asked(settings.extractor)
    found = ((each, book.at((each.key(extractor), 1))) for each in _unique(questions))
    left = [each for each, line in found if line is None or not line.is_complete]
    if left:
        check_estimate(_plan(left, settings), say, advice="raise it")
    return len(left)


def _unique(questions: Sequence[Question]) -> list[Question]:
    """Leave out questions that are equal but for their names."""
    return list({(q.question, q.options, q.text): q for q in reversed(questions)}.values())


def recall(
    questions: Sequence[Question], extractor: Judge, ledger: Path, limits: Limits
) -> Extracted:
    """Use what a ledger holds; asks nobody. RunError where the ledger is broken."""
    return _found(questions, extractor, ledgers.read(ledger), limits)


def _found(
    questions: Sequence[Question], extractor: Judge, book: Ledger, limits: Limits
) -> Extracted:
    keys = {question.name: question.key(extractor) for question in questions}
    lines = {name: book.at((key, 1)) for name, key in keys.items()}
    unique = {line.key: line for line in lines.values() if line and line.is_complete}
    models = Counter(line.model or "unnamed" for line in unique.values())
    return Extracted(
        extractor=extractor,
        lines=lines,
        models=dict(sorted(models.items())),
        spent=spent(book.lines(set(keys.values())), limits),
        spent_now=spent([], limits),
        stopped=None,
    )


def _as_it_ends(reader: "_Reader") -> VipbenchError | None:
    """Return why asking ended, as an error whose exit code says whether anything was read."""
    if reader.stopped is None or isinstance(reader.stopped, NothingRead):
        return reader.stopped
    has_read = any(line.is_complete for line in reader.added)
    return (ExtractorStopped if has_read else ExtractorError)(str(reader.stopped))


class _Reader(Asker[Extraction]):
    """Asks one question after another, from several threads at once."""

    def __init__(
        self, settings: ExtractorSettings, extractor: Judge, book: Ledger, console: Console
    ) -> None:
        meter = Meter(settings.limits, EXTRACTOR)
        chat = Chat(settings.endpoint, meter, connections=settings.workers, console=console)
        super().__init__(
            chat,
            book,
            give_up_after=settings.give_up_after,
            has_result=book.has_result_of(extractor),
        )
        self.settings = settings
        self._extractor = extractor

    @property
    def extractor(self) -> Judge:
        """Who reads, without the parameters that the server refuses, once that is known."""
        if not self.chat.is_settled:
            return self._extractor
        return self._extractor.model_copy(update={"omitted": self.chat.dialect.omitted})

    def has(self, question: Question) -> bool:
        """Say whether there is a reply already."""
        line = self.ledger.at((question.key(self.extractor), 1))
        return line is not None and line.is_complete

    def ask(self, question: Question) -> None:
        """Ask one question, and write down what came of it."""
        if self.chat.stop.is_set():
            return
        tally, reply, reason = Tally(), None, None
        answer, is_unanswered = None, False
        try:
            reply = self._reply(question, tally)
            letters = [letter for letter, _ in question.options]
            answer = read_reply(reply, letters, question.text)
            reason = None if answer else f"no answer alone: {self.shown(reply.text or '')!r}"
            self.count(reply, is_result=answer is not None)
        except NoReply as error:
            reason, is_unanswered = str(error), True
            self.count(reason, is_result=False)
        except Stopped:
            reason = "stopped"
        except ExtractorError as error:
            reason = str(error)
            self.end(error)
        if not tally.n_calls and not is_unanswered:
            return  # it was not asked
        self.write(self._line(question, reply, answer, reason, tally))

    def _reply(self, question: Question, tally: Tally) -> Reply:
        call = Call(
            (user(_text(question)),),
            self.settings.max_tokens,
            Sampling(temperature=TEMPERATURE, top_p=None, seed=None),
            reasoning_tokens=self.settings.reasoning_tokens,
        )
        reply = told_cut(self.chat.ask(call, tally), self.chat.dialect.n_tokens(call))
        if reply.text is None and reply.finish == "filter" and reply.refusal:
            raise NoReply(reply.refusal)
        self.replied()
        return reply

    def _line(
        self,
        question: Question,
        reply: Reply | None,
        answer: str | None,
        reason: str | None,
        tally: Tally,
    ) -> Extraction:
        extractor = self.extractor
        return Extraction(
            key=question.key(extractor),
            answer=answer,
            reason=reason,
            reply=None if reply is None else self.shown(reply.text or ""),
            model=reply.model if reply else None,
            finish=reply.finish if reply else None,
            extractor=extractor,
            **question.name._asdict(),
            n_calls=tally.n_calls,
            n_prompt_tokens=tally.n_prompt_tokens,
            n_completion_tokens=tally.n_completion_tokens,
            n_estimated=tally.n_estimated,
        )

    def fruitless(self) -> NothingRead | None:
        """Say why the questions so far came to nothing, and what to do; None where one did not."""
        last, n = self.last, self.n_without_result
        if self.has_result or last is None:
            return None
        head = f"extractor: none of the first {n} replies could be read"
        if isinstance(last, str):
            return NothingRead(f"{head} · the last one: {last}")
        said = self.shown(last.text or last.refusal or "")
        return NothingRead(
            f"{head} · the last one: {said!r} (finish {last.finish}) · expected a letter, or none, "
            f"alone · take another {EXTRACTOR.option('model')}; for one that thinks raise "
            f"{EXTRACTOR.option('reasoning-tokens')} {self.settings.reasoning_tokens}"
        )


def _text(question: Question) -> str:
    return message(question.question, _options(question), question.text)


def _options(question: Question) -> Mapping[str, str]:
    return dict(question.options)


def _plan(questions: Sequence[Question], settings: ExtractorSettings) -> Plan:
    return Plan(
        questions=[_text(question) for question in questions],
        endpoint=settings.endpoint,
        limits=settings.limits,
        answer_tokens=settings.max_tokens,
        reasoning_tokens=settings.reasoning_tokens,
    )
