"""Which answer of a file belongs to which sample, and an account of all that belong to none."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from vipbench.errors import DataError
from vipbench.exchange.formats import Answer, AnswerFile
from vipbench.schema import Request, Response, Trial
from vipbench.validation import shown

PREFIXES = ("v7w-", "v1_")
"""What an id in a file may lack: Visual7W's is the `qa_id`, ViP-Bench's the number of the
question. Source: V7W toolkit, evaluate.py; ViP-LLaVA, scripts/convert_vipbench_for_eval.py."""
SHOWN_IDS = 3
PART = re.compile(r"((?:val|test)_[A-Z][A-Za-z_-]*)_\d+")
"""An id of BLINK: split and subtask, which its files hold side by side, and a number."""

_FORMS = {
    r"v7w-\d+": ("Visual7W", ""),
    r"pointQA_twice-\d+": ("PointQA", "the preprocessed file"),
    r"\d+-\d+": ("PointQA", "the raw release"),
    r"vcr-\d+": ("VCR", "the preprocessed file"),
    r"val-\d+": ("VCR", "the raw validation split"),
    r"train-\d+": ("VCR", "the raw training split"),
    r"test-\d+": ("VCR", "the raw test split"),
    r"v1_\d+": ("ViP-Bench", ""),
    r"vqa_\d+": ("GAR-Bench", ""),
    r"(val|test)_[A-Z][A-Za-z_-]*_\d+": ("BLINK", ""),
    r"\d+": ("Visual7W or ViP-Bench", ""),  # without its prefix
}
"""How ids look, of which benchmark they are, and of which of its layouts."""


class Placed(NamedTuple):
    """A file of answers, and the style that they stand under."""

    file: AnswerFile
    said_by: str
    """Who says that they were made under it, such as `--styles`; empty: nobody."""


class Matched(NamedTuple):
    """What the answers of all files come to, sample by sample."""

    responses: dict[tuple[str, str, str], Response]
    """(task, style, sample id) -> text or error, for each sample that can be asked."""
    notes: tuple[str, ...]
    """What is not as it should be, counted, a few by name."""


def match_answers(
    files: Mapping[tuple[str, str], Placed],
    trials: Iterable[Trial],
    known: Mapping[str, AbstractSet[str]],
) -> Matched:
    """Find the answer of each sample; account for all others.

    A sample without an answer, or with several that differ, is an error. A number alone is also
    taken for the id that starts with one of `PREFIXES`. Of a Visual7W result the box is turned into
    the letter of its option; a box that is not an option stays as it is, so that it cannot be
    parsed.

    Args:
        files: (task, style) -> the answers that stand there.
        trials: of the run.
        known: task -> ids of all its samples, those that are not asked too.

    Raises:
        DataError: More than half of the ids of a file are of no sample of the task, or a Visual7W
            result is to be held against data that do not name their boxes.
    """
    matches = {
        (task, style): _TaskMatch(task, style, placed, known[task])
        for (task, style), placed in files.items()
    }
    responses = {}
    for trial in trials:
        response = matches[trial.task, trial.style].respond(trial)
        if response is not None:
            responses[trial.task, trial.style, trial.id] = response
    return Matched(responses, tuple(note for match in matches.values() for note in match.notes()))


class _TaskMatch:
    """The answers to one task under one style, and what is found out about them."""

    def __init__(self, task: str, style: str, placed: Placed, known: AbstractSet[str]) -> None:
        self.task, self.style, self.file = task, style, placed.file
        self.said_by = placed.said_by
        self.by_id: dict[str, list[Answer]] = defaultdict(list)
        self.unknown: list[Answer] = []
        parts = {match[1] for id_ in known if (match := PART.fullmatch(id_))}
        self.of_other_parts: list[str] = []
        for answer in self.file.answers:
            sample_id = _sample_id(answer.id, known)
            match = PART.fullmatch(answer.id) if parts else None
            if sample_id is None and match and match[1] not in parts:
                self.of_other_parts.append(answer.id)
            elif sample_id is None:
                self.unknown.append(answer)
            else:
                self.by_id[sample_id].append(answer)
        self._check_known(known)
        self.asked: set[str] = set()
        self.missing: list[str] = []
        self.differing: list[str] = []
        self.unasked: list[str] = []
        self.no_option: list[str] = []
        self.other_text: list[str] = []
        self.other_target: list[str] = []
        self.n_questions = 0
        self.letters_of_boxes = False

    def _check_known(self, known: AbstractSet[str]) -> None:
        others = [] if self.by_id else self.of_other_parts
        unknown = sorted({answer.id for answer in self.unknown} | {*others})
        n = len(unknown) + len(self.by_id)
        if 2 * len(unknown) <= n:
            return
        raise DataError(
            f"{self.file.path}: {len(unknown):,} of {n:,} ids match no sample of {self.task}, such"
            f" as {shown(unknown[0])} · expected ids like {shown(min(known))}:"
            f" {_guess(unknown[0], min(known))}"
        )

    def respond(self, trial: Trial) -> Response | None:
        """Return the response to a trial; None where the sample cannot be asked."""
        self.asked.add(trial.id)
        found = self.by_id.get(trial.id, [])
        if trial.request is None:
            if found:
                self.unasked.append(trial.id)
            return None
        if not found:
            self.missing.append(trial.id)
            return _error(f"no answer in {self.file.path.name}")
        first = found[0]
        other = next((answer for answer in found if answer.text != first.text), None)
        if other is not None:
            self.differing.append(trial.id)
            texts = " and ".join(f"{shown(each.text)} ({each.where})" for each in (first, other))
            return _error(f"{len(found)} answers in {self.file.path.name}: {texts}")
        self._compare_question(trial, trial.request, first)
        if first.right and first.right != trial.target:
            self.other_target.append(trial.id)
        if self.file.format == "visual7w":
            return self._box(trial, first)
        self.letters_of_boxes |= bool(trial.choice_ids)
        return Response(text=first.text)

    def _compare_question(self, trial: Trial, request: Request, answer: Answer) -> None:
        """Note where the file says that something else was asked; other frames around it may be.

        How a text speaks of regions follows from their marks, of which nothing may be known.
        """
        if not answer.asked or (not self.said_by and "n_marks" in trial.tags):
            return
        self.n_questions += 1
        theirs = " ".join(answer.asked.split())
        ours = " ".join(request.turns[-1].split())
        if theirs not in ours and ours not in theirs:
            self.other_text.append(trial.id)

    def _box(self, trial: Trial, answer: Answer) -> Response:
        """Turn the box of a Visual7W result into a letter."""
        if not trial.choice_ids or trial.request is None:
            raise DataError(
                f"{self.file.path}: holds Visual7W results, which name options by 'box_id', and"
                f" the data of {self.task} do not · give the raw release, which does"
            )
        letters = dict(zip(trial.choice_ids, trial.request.options, strict=True))
        if answer.text and answer.text not in letters:
            self.no_option.append(trial.id)
        return Response(text=letters.get(answer.text, answer.text))

    def _how(self) -> str:
        """Say how the answers were made, as far as anybody says so."""
        if not self.said_by:
            return (
                "which marks, which text and which decoding they were made with is unknown, they"
                f" stand under style {self.style}"
            )
        of_file = self.file.style
        says = f", although the file says {of_file}" if of_file not in ("", self.style) else ""
        return (
            f"made under style {self.style} as {self.said_by} says{says}; which text and which"
            " decoding they were made with is unknown"
        )

    def notes(self) -> list[str]:
        """Say what came of the file; one line a finding."""
        file, name = self.file, self.file.path.name
        extra = {id_: len(found) - 1 for id_, found in self.by_id.items() if len(found) > 1}
        outside = [id_ for id_ in self.by_id if id_ not in self.asked]
        found = [
            (
                [answer.id for answer in self.unknown],
                f"answers are to unknown ids, and left out of {self.task}",
            ),
            (self.missing, f"samples of {self.task} have no answer; each is an error"),
            (self.differing, "samples have several answers that differ; each is an error"),
            (
                [id_ for id_ in extra if id_ not in self.differing],
                "samples have the same answer more than once; it counts once",
            ),
            (self.of_other_parts, "answers are to other splits or subtasks, and left out"),
            (
                self.other_target,
                "samples have another right answer in the file than in the data: another release"
                " of the labels?",
            ),
            (outside, "samples with an answer are not asked in this run"),
            (self.unasked, "samples with an answer cannot be asked, see `vipbench check`"),
            (self.no_option, "results choose a box that is not an option; each cannot be parsed"),
            (
                self.other_text,
                f"of {self.n_questions:,} answers were given to another text than {self.task} asks"
                f" under {self.style}; do they belong to another split?",
            ),
        ]
        notes = [
            f"{self.task}: {len(file.answers):,} answers in {file.path} ({file.format}, sha256"
            f" {file.digest[:12]}); {self._how()}",
            *(f"{self.task}: {name}: {note}" for note in file.notes),
            *(
                f"{self.task}: {name}: {len(ids):,} {words} ({_few(ids)})"
                for ids, words in found
                if ids
            ),
        ]
        if self.letters_of_boxes:
            notes.append(
                f"{self.task}: {name}: letters are read in the order that vipbench gives the"
                " options of the raw release; answers to ViP-LLaVA's v7w-test.json need that file"
            )
        return notes


def _sample_id(id_: str, known: AbstractSet[str]) -> str | None:
    spellings = (id_, *(prefix + id_ for prefix in PREFIXES))
    return next((each for each in spellings if each in known), None)


def _error(message: str) -> Response:
    return Response(error=message, finish="error")


def _few(ids: Sequence[str]) -> str:
    more = f", … and {len(ids) - SHOWN_IDS:,} more" if len(ids) > SHOWN_IDS else ""
    return ", ".join(map(shown, ids[:SHOWN_IDS])) + more


def _guess(theirs: str, ours: str) -> str:
    """Say in words why ids may not be found."""
    prefix = next((prefix for prefix in PREFIXES if ours.startswith(prefix)), "")
    if theirs.isdecimal():
        theirs = prefix + theirs
    (their_set, their_layout), (our_set, our_layout) = map(_form, (theirs, ours))
    if their_set == our_set != "" and their_layout != our_layout:
        return (
            f"the answers are to {their_layout or 'another layout'} of {their_set}, the data are"
            f" {our_layout or 'another one'} · give --data the layout that was answered"
        )
    if their_set == our_set:
        return "are these answers to another split, or to another release of the data?"
    if their_set:
        return f"these look like answers to {their_set}; are they to another task?"
    return "are these answers to another task, or to another layout (raw or preprocessed)?"


def _form(id_: str) -> tuple[str, str]:
    return next((found for form, found in _FORMS.items() if re.fullmatch(form, id_)), ("", ""))


def name_model(files: Mapping[str, AnswerFile], given: str | None) -> str:
    """Return who gave the answers: as the user says, else as the files do.

    Raises:
        DataError: Nobody says it, or the files name several models.
    """
    if given is not None:
        if not given.strip():
            raise DataError(f"--model {given!r}: is empty · expected the name of who answered")
        return given
    models = sum((file.models() for file in files.values()), Counter[str]())
    paths = ", ".join(dict.fromkeys(str(file.path) for file in files.values()))
    if not models:
        raise DataError(f"{paths}: no answer names its model · give --model NAME")
    if len(models) > 1:
        named = ", ".join(f"{shown(name)} ({n:,})" for name, n in models.most_common(SHOWN_IDS))
        raise DataError(
            f"{paths}: answers of {len(models)} models: {named} · give the answers of one, or name"
            " all of them together by --model NAME"
        )
    return next(iter(models))


def digest_files(files: Mapping[str, AnswerFile]) -> str:
    """Return what stands for the weights: the sha256 of the file, or of those of several."""
    if len(files) == 1:
        return next(iter(files.values())).digest
    facts = json.dumps({task: file.digest for task, file in files.items()}, sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()
