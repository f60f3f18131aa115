"""An answer -> its score, by the rule of its task: choice, short answer, graded, joint."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Self, get_args

from pydantic import TypeAdapter

from vipbench.errors import RunError
from vipbench.runfolder.lines import Extracted, ResponseLine, ScoreLine
from vipbench.runfolder.margin import kept_margin
from vipbench.schema import (
    AnswerState,
    ExtraMetric,
    Kind,
    Response,
    Rule,
    Score,
    Tags,
    Trial,
)
from vipbench.scoring import answers
from vipbench.scoring.extraction import short
from vipbench.scoring.extraction.rules import RULES
from vipbench.scoring.option_texts import option_texts
from vipbench.spool import Spool

OPTION_ARGMAX = "option_argmax"
"""The metric of the likeliest option letter, whatever the text says."""
_SCORE_LINE = TypeAdapter(ScoreLine)
REPLACED = {"lenient": "stated"}
"""Metric that is no more -> the one that does its work."""
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
STATES: tuple[AnswerState, ...] = get_args(AnswerState)
"""Of several that hold for a joint task, the last one counts."""
EXTRACTED: tuple[Extracted, ...] = get_args(Extracted)
"""Likewise."""
REFUSED = Score(value=0.0)
"""Of an answer that the model declined to give, whatever it says."""
NO_LOGPROBS = "the runner gave no probabilities of the options"


class LikeliestOption(NamedTuple):
    """What the probabilities of the option letters answer."""

    letter: str
    """The likeliest; of equally likely ones the first."""
    margin: float | None
    """Natural-log probability of it less that of the second; None where that is impossible."""


def metric_name(kind: Kind, rule: Rule = "exact") -> str:
    """Name the headline metric of a kind of task whose answers are read by a rule.

    That of rule `exact` is `text_match`, those of the others have their names; `exact_proxy` is
    ViP-Bench without its judge. Different metrics never share a column.
    """
    if kind == "graded":
        return "exact_proxy"
    return "text_match" if rule == "exact" else rule


def replaced(metric: str) -> str:
    """Say of a metric that is no more what to take in its place."""
    return f"metric {metric!r} · use {REPLACED[metric]}, which reads what an answer states"


_RULES: dict[str, Rule] = {metric_name("choice", rule): rule for rule in get_args(Rule)}


def suitable_rule(kind: Kind, rule: Rule) -> Rule:
    """Return the rule that a kind of task is read by, where `rule` is wished for.

    The rules of other benchmarks read letters; graded text is compared as it stands.
    """
    if kind == "choice" or (kind == "short_answer" and rule == "stated"):
        return rule
    return "exact"


def metrics_of(kind: Kind, extra: Collection[ExtraMetric], rule: Rule = "exact") -> tuple[str, ...]:
    """Return the metrics that answers of a kind are scored by, the headline first.

    `rule` reads the answers for the headline. Free text that is graded has no other metric; short
    answers have those of the rules `exact` and `stated`; `option_argmax` takes the likeliest letter
    of a choice for its answer.
    """
    suitable: dict[Kind, tuple[ExtraMetric, ...]] = {
        "choice": get_args(ExtraMetric),
        "short_answer": ("text_match", "stated"),
    }
    others = (metric for metric in suitable.get(kind, ()) if metric in extra)
    return tuple(dict.fromkeys((metric_name(kind, rule), *others)))


def likeliest_option(trial: Trial, response: Response) -> LikeliestOption | None:
    """Return the option letter of the highest probability; None where they are not known."""
    letters = trial.request.options if trial.request is not None else ()
    logprobs = response.option_logprobs
    if logprobs is None or len(logprobs) != len(letters) or len(letters) < 2:
        return None
    return LikeliestOption(letters[logprobs.index(max(logprobs))], kept_margin(logprobs))


def score(trial: Trial, response: Response, metric: str | None = None) -> Score:
    """Score one answer against its target by a metric of `metrics_of`; None: the headline.

    Raises:
        ValueError: The sample or the response is an error: errors have no score.
    """
    if trial.request is None or response.text is None:
        raise ValueError(f"{trial.task} {trial.style} {trial.id}: an error cannot be scored")
    if metric == OPTION_ARGMAX:
        option = likeliest_option(trial, response)
        if option is None:
            raise ValueError(f"{trial.task} {trial.style} {trial.id}: {NO_LOGPROBS}")
        right = answers.matches_short(option.letter, trial.target)
        return Score(value=float(right), answer=option.letter)
    rule = rule_of(metric)
    # The letters are all that rule `exact` looks at.
    letters = trial.request.options
    options = dict.fromkeys(letters, "") if rule == "exact" else option_texts(trial.request)
    try:
        return score_text(trial.kind, response.text, trial.target, options, rule)
    except ValueError as error:
        raise ValueError(f"{trial.task}: {error}") from error


def score_text(
    kind: Kind,
    text: str,
    target: str,
    options: Mapping[str, str] = NO_OPTIONS,
    rule: Rule = "exact",
) -> Score:
    """Score a text against a target of a kind.

    Args:
        kind: of the task.
        text: the answer as it was given.
        target: the right answer; the letter for a choice.
        options: of a choice: letter -> text, empty where that is not known.
        rule: reads the answer of a choice or a short answer.

    Raises:
        ValueError: A joint task, which is scored from its parts.
    """
    if kind == "choice":
        return _score_choice(text, target, options, rule)
    if kind == "short_answer":
        return _score_short(text, target, rule)
    if kind == "graded":
        return _score_graded(text, target)
    raise ValueError(f"a task of kind {kind!r} is scored from its parts")


def join(scores: Sequence[Score]) -> Score:
    """Score a joint task (VCR Q->AR): right if every part is right, unparsed if any part is."""
    answered = [part.answer for part in scores if part.answer is not None]
    return Score(
        value=min(part.value for part in scores),
        answer=", ".join(answered) if len(answered) == len(scores) else None,
    )


def score_line(
    trial: Trial, response: Response | None, metric: str | None = None, rule: Rule = "exact"
) -> ScoreLine:
    """Return what `scores.jsonl` says of a trial by one metric; an error has no value.

    `rule` reads the answers for the headline metric, which `metric` None stands for, and which the
    likeliest option is compared with. `response` may be None only where the trial itself is an
    error. A text without probabilities of the options is not an error, but has no value by
    `option_argmax`.
    """
    error = trial.error if response is None else response.error
    scored, option, agrees, ungraded = None, None, None, None
    state = "failed" if response is None else response.state
    if state == "refused":
        scored, error = REFUSED, None
    elif response is not None and error is None:
        if metric == OPTION_ARGMAX:
            option = likeliest_option(trial, response)
            ungraded = NO_LOGPROBS if option is None else None
        headline = metric_name(trial.kind, rule)
        scored = score(trial, response, metric or headline) if ungraded is None else None
        if option is not None:
            agrees = score(trial, response, headline).answer == option.letter
    marks = response.visibility if isinstance(response, ResponseLine) else None
    return ScoreLine(
        task=trial.task,
        style=trial.style,
        id=trial.id,
        metric=metric or metric_name(trial.kind, rule),
        value=scored.value if scored else None,
        answer=scored.answer if scored else None,
        target=trial.target,
        group=trial.group,
        tags=trial.tags,
        truncated=response is not None and response.finish == "length",
        error=error,
        state=state,
        ungraded=ungraded,
        margin=option.margin if option else None,
        agrees=agrees,
        n_marks_lost=None if marks is None else sum(mark.lost for mark in marks),
        n_marks_cut=None if marks is None else sum(mark.cut for mark in marks),
    )


class Joint:
    """A joint task, scored from the lines of its parts; a context manager.

    Lines are joined on style, id and metric. They wait in a spool, since those of one part all come
    before those of the next.
    """

    def __init__(self, name: str, parts: Sequence[str], *, is_stopped: bool = False) -> None:
        """Take the name of the joint task and those of its parts.

        `is_stopped`: a sample need not be in all parts, as the run was stopped early; then it has
        no score.
        """
        self._name, self._parts, self._is_stopped = name, parts, is_stopped
        self._positions: dict[tuple[str, str, str, str], int] = {}
        """Task, style, id, metric -> position of the line in the spool."""
        self._spool = Spool(_SCORE_LINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._spool.close()

    def add(self, line: ScoreLine) -> None:
        """Take a line, if it is one of a part."""
        if line.task in self._parts:
            key = line.task, line.style, line.id, line.metric
            self._positions[key] = self._spool.append(line)

    def lines(self) -> Iterator[ScoreLine]:
        """Yield the lines of the joint task, in the order of its first part.

        An error in either part is an error. Raises RunError where a part lacks a sample.
        """
        for task, style, id_, metric in self._positions:
            if task != self._parts[0]:
                continue
            keys = [(part, style, id_, metric) for part in self._parts]
            present = [self._spool[self._positions[key]] for key in keys if key in self._positions]
            if len(present) < len(self._parts):
                if self._is_stopped:
                    continue
                raise RunError(
                    f"{self._name}: sample {id_} under {style} is not in each of "
                    f"{', '.join(self._parts)} · expected the same samples in all parts"
                )
            yield _join_line(self._name, present)


def _join_line(name: str, parts: Sequence[ScoreLine]) -> ScoreLine:
    errors = [f"{part.task}: {part.error}" for part in parts if part.error is not None]
    scores = [Score(value=p.value, answer=p.answer) for p in parts if p.value is not None]
    ungraded = [f"{part.task}: {part.ungraded}" for part in parts if part.ungraded is not None]
    joined = join(scores) if not errors and not ungraded else None
    return ScoreLine(
        task=name,
        style=parts[0].style,
        id=parts[0].id,
        metric=parts[0].metric,
        value=joined.value if joined else None,
        answer=joined.answer if joined else None,
        target=", ".join(part.target for part in parts),
        group=parts[0].group,
        tags=dict(shared_tags([part.tags for part in parts])),
        truncated=any(part.truncated for part in parts),
        error="; ".join(errors) or None,
        state=max((part.state for part in parts), key=STATES.index),
        ungraded=None if errors else "; ".join(ungraded) or None,
        margin=min((p.margin for p in parts if p.margin is not None), default=None)
        if joined
        else None,
        agrees=all(p.agrees for p in parts) if joined and parts[0].agrees is not None else None,
        n_marks_lost=_sum_known([part.n_marks_lost for part in parts]),
        n_marks_cut=_sum_known([part.n_marks_cut for part in parts]),
        extracted=max(
            (p.extracted for p in parts if p.extracted), key=EXTRACTED.index, default=None
        ),
    )


def _sum_known(counts: Sequence[int | None]) -> int | None:
    """Add counts up; None where one is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def shared_tags(tags: Sequence[Tags]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Keep the values that all parts share; what differs between them is `mixed`."""
    for axis, values in tags[0].items():
        others = [other[axis] for other in tags[1:] if axis in other]
        if len(others) == len(tags) - 1:
            yield axis, values if all(other == values for other in others) else ("mixed",)


def rule_of(metric: str | None) -> Rule:
    """Return the rule that a metric reads answers by."""
    return _RULES.get(metric or "", "exact")


def _score_choice(text: str, target: str, options: Mapping[str, str], rule: Rule) -> Score:
    answer = RULES[rule](text, options)
    right = answer is not None and answers.matches_short(answer, target)
    return Score(value=float(right), answer=answer)


def _score_short(text: str, target: str, rule: Rule) -> Score:
    if rule == "stated":
        answer, matches = short.read(text, target), short.matches
    else:
        answer, matches = answers.parse_short(text), answers.matches_short
    right = answer is not None and matches(answer, target)
    return Score(value=float(right), answer=answer)


def _score_graded(text: str, target: str) -> Score:
    answer = answers.parse_short(text)
    right = answer is not None and answers.matches_graded(answer, target)
    return Score(value=float(right), answer=answer)
