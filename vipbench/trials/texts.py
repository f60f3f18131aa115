"""Texts that go to the model unread: what in them is meant for another program, or stands twice.

Nothing is changed: a text is sent as the data have it, and what looks wrong is a warning that shows
the text as it is sent.
"""

import html
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from vipbench.prompts.colors import color_group
from vipbench.prompts.mark_words import TECHNICAL, MarkWords, mark_words
from vipbench.prompts.marks import Mark
from vipbench.prompts.mentions import FIELD, LETTERS, MENTION
from vipbench.prompts.parts import by_region, first_marks
from vipbench.prompts.placeholders import foreign_placeholders
from vipbench.prompts.wording import Wording, template_turns
from vipbench.prompts.words import WORDS
from vipbench.schema import Problem, PromptStyle, Request, Sample, VisualPrompt
from vipbench.validation import shown

MOST_NAMED = 5
"""Words or marks that one warning names."""
LONGEST = 240
"""Characters of a text that a warning shows."""

_POINTING = re.compile(
    r"\b(?:marked|markers?|highlight(?:ed)?|indicated|outlined|(?:en)?circled|boxed|annotated"
    r"|enclosed|selected|bounding|bbox|arrows?|visual prompts?"
    r"|(?:the|this|that|each|which|a|an)\s+(?:\w+\s+)?(?:region|box|rectangle|square|ellipse|oval"
    r"|circle|triangle|dot|point|scribble|contour|outline|mask)(?:e?s)?)\b",
    re.IGNORECASE,
)
"""Words that may mean a mark, with or without its shape."""
_GRADED = re.compile(r"<(?:AND|OR)>")
"""Separators of the targets of kind `graded`."""
_LABEL = re.compile(
    r"\s*(?!\d+\s?[:-]\s?\d)(?:(?i:option|choice|answer)\s+)?[(\[*]{0,3}"
    r"(?P<label>[A-Za-z]|\d{1,2})\*{0,2}(?:[.:)\]\uff0e\uff1a\uff09\u3001]\*{0,2}|(?=\t)|\s-(?=\s))"
    r"(?=\s+\S|[^\W\d_]{2}|<r\d)"
)
"""`A.`, `(b)`, `3)`, `C -` before a text; not `1.5`, `1 - 2`, `A.D.` or `A` alone."""
_OPTION_LINES = (re.compile(rf"(?m)^{_LABEL.pattern}"), re.compile(r"\((?P<label>[A-Z])\)\s"))
_ROLE = re.compile(
    r"(?m)^\s*(?:#{3,}\s*\w*:?|(?:USER|ASSISTANT|SYSTEM|HUMAN|GPT)\s*:)"
    r"|(?i:\n\s*(?:user|assistant|system|human|gpt)\s*:)|<<SYS>>"
)
"""Turns of a conversation inside of a text, as in LLaVA's prompts (`USER:`, `### Human:`)."""
_ESCAPED = re.compile(r"&#?\w{2,31};|\\n(?![a-z])|\\u[0-9a-fA-F]{4}")
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffd]")
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")
_WIDE = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\ufb00-\ufb06]")
"""Full-width digits and letters, and ligatures of Latin letters."""
_FULL_STOP = re.compile(r"(?<=[^\W_]{2})\.$")
"""Of a sentence; not `U.S.` or `p.m.`."""
_NOT_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
_JOINED = re.compile(rf"[A-Za-z0-9]+{MENTION.pattern}|{MENTION.pattern}[A-Za-z0-9<]\w*")
_WORD = re.compile(r"[^\W_]+(?:['\u2019]\w+)?")
_NUMBERED = re.compile(r"\[\d{1,3}\]")
"""How some prompts call what bears a number in the picture."""
_ARTICLES = frozenset({"a", "an", "the"})
_WHERE = frozenset({"in", "within", "inside", "at", "with", "on", "by"})
"""Prepositions that cannot stand before "within", "with" or "at"."""


class TextWarnings:
    """What is wrong with the texts of one task: each code once a sample, whatever the styles."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first: Problem | None = None
        self._seen: set[tuple[str, str]] = set()

    def add(self, sample: Sample, style: PromptStyle, request: Request) -> list[Problem]:
        """Return what is found in the texts of a request and was not found in this sample before.

        Args:
            sample: as it is asked, with its task.
            style: that it is asked under.
            request: that was built of both.
        """
        new = []
        for code, what in _findings(sample, style, request):
            if (sample.id, code) in self._seen:
                continue
            self._seen.add((sample.id, code))
            sent = "" if style.kind == "elsewhere" else f" · sent as {_sent(request)}"
            message = f"style {style.name}: {what}{sent}"
            new.append(Problem(id=sample.id, code=code, message=message, warning=True))
        self.counts.update(problem.code for problem in new)
        self._first = self._first or next(iter(new), None)
        return new

    def note(self, task: str) -> str:
        """Say in one line what was found; empty where nothing was."""
        first = self._first
        if first is None:
            return ""
        n = len({id_ for id_, _ in self._seen})
        codes = ", ".join(f"{code} {n_found:,}" for code, n_found in self.counts.most_common())
        return (
            f"{task}: the texts of {n:,} samples may not say what they should ({codes}), such as "
            f"{first.id}: {first.message} · `vipbench check {task}` lists more"
        )


def _sent(request: Request) -> str:
    text = "\n".join(request.turns)
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _findings(sample: Sample, style: PromptStyle, request: Request) -> Iterator[tuple[str, str]]:
    """Yield code and words of everything that looks wrong; a code may come more than once."""
    texts = _Texts(sample, style)
    if sample.task is not None and sample.task.kind == "short_answer":
        yield from _target(sample.target.strip())
    if style.kind == "elsewhere":  # no text of ours was sent
        return
    yield from _not_words(sample, style, request)
    yield from _choices(texts)
    for which in texts.empty():
        yield "empty_text", f"{which} is empty"
    yield from _marks(texts, style, request)
    for text in texts.used:
        if match := _JOINED.search(text):
            yield "joined_words", f"{match[0]!r}: no space between a word and the placeholder"
    for said in _doubled(texts, style, request):
        yield "doubled_words", f"{said!r}: the text has words that the placeholder brings, too"


class _Texts:
    """The texts of a sample that its task's template makes use of."""

    def __init__(self, sample: Sample, style: PromptStyle) -> None:
        self.sample = sample
        self.template = template_turns(sample, style)
        self.fields = {match[1] for turn in self.template for match in FIELD.finditer(turn)}
        by_field = {
            "question": (sample.question,),
            "given_choices": sample.given_choices,
            "given_answer": (sample.given_answer,),
            "choices": sample.choices,
            "choices_in_brackets": sample.choices,
        }
        self.used = tuple(
            text for field, given in by_field.items() if field in self.fields for text in given
        )

    @property
    def mentioned(self) -> set[int]:
        """Indices of the regions that are mentioned where the model reads it."""
        regions = {int(match[1]) for text in self.used for match in MENTION.finditer(text)}
        if {"tags", "markers"} & self.fields:
            return {*range(len(self.sample.regions))}
        return regions | ({0} if "mark" in self.fields else set())

    @property
    def own(self) -> str:
        """What is said without the words that vipbench puts in, a text a line."""
        template = (FIELD.sub("…", turn) for turn in self.template)
        return "\n".join(MENTION.sub("…", text) for text in (*self.used, *template))

    def empty(self) -> Iterator[str]:
        """Name the texts without a word that stand in a template which has others."""
        if "question" in self.fields and not self.sample.question.strip():
            yield "the question"
        if "choices" in self.fields:
            for letter, choice in zip(LETTERS, self.sample.choices, strict=False):
                if not choice.strip():
                    yield f"choice {letter}"


# --- what is no word of a language


def _not_words(sample: Sample, style: PromptStyle, request: Request) -> Iterator[tuple[str, str]]:
    texts = [*request.turns]
    if not sample.choices:  # else it is a letter
        texts.append(_GRADED.sub("\n", sample.target))
    explained = any(_NUMBERED.search(turn) for turn in template_turns(sample, style))
    for text in texts:
        tags = {f"[{prompt.text}]" for prompt in request.visual_prompts}
        found = tuple(word for word in foreign_placeholders(text) if word not in tags)
        if explained:  # the prompt itself says what [1] stands for
            found = tuple(word for word in found if not _NUMBERED.fullmatch(word))
        if found:
            words = ", ".join(map(shown, found[:MOST_NAMED]))
            where = "" if text in request.turns else f" in the target {shown(sample.target)}"
            what = f"{words}{where}: a placeholder of another format, which is not replaced"
            yield "foreign_placeholder", f"{what} · write <r0>, <r1>, … for a region"
        entities = (match[0] for match in _ESCAPED.finditer(text))
        if escaped := [word for word in entities if word[0] == "\\" or html.unescape(word) != word]:
            yield "escaped_text", f"{escaped[0]!r} is left of another encoding of the text"
        if match := _BROKEN.search(text):
            yield "broken_text", f"holds {match[0]!a}, which is no character of a text"
        for match in _NOT_ASCII.finditer(text):
            if meant := _misread(match[0]):
                yield "broken_text", f"{match[0]!r} is {meant!r}, read in a wrong encoding"
        if match := _ROLE.search(text):
            yield "role_words", f"{match[0].strip()!r} opens a turn of a conversation in the text"


def _misread(text: str) -> str:
    """Return the text that UTF-8 was before it was read as Windows-1252; empty where it was not."""
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return ""


# --- the right answer


def _target(target: str) -> Iterator[tuple[str, str]]:
    """Find a short target that an answer must spell as hardly any model does."""
    usual = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", target)).split())
    usual = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), usual)
    usual = _FULL_STOP.sub("", usual)
    if usual != target:
        yield (
            "target_spelling",
            f"the target {target!a} is not {usual!a}, and an answer {usual!a} is "
            "wrong where the text must match",
        )


# --- options


def _choices(texts: _Texts) -> Iterator[tuple[str, str]]:
    """Find labels of options beside those that the prompt writes, and options that are equal."""
    sample = texts.sample
    for field, choices in (("choices", sample.choices), ("given_choices", sample.given_choices)):
        if field not in texts.fields or len(choices) < 2:
            continue
        labels = [_LABEL.match(choice) for choice in choices]
        if _in_sequence([match["label"] for match in labels if match], len(choices)):
            yield "choice_labels", f"choices such as {shown(choices[0])} have a label of their own"
        lists = [[m["label"] for m in line.finditer(sample.question)] for line in _OPTION_LINES]
        if any(not "".join(x).isdigit() and _in_sequence(x, len(choices)) for x in lists):
            yield "choices_twice", "the question lists options, and the prompt does so again"
        same = [
            choice for choice, n in Counter(map(str.strip, choices)).items() if choice and n > 1
        ]
        if same:
            yield "equal_choices", f"several choices are {shown(same[0])}"
    last = texts.template[-1].rpartition("\n")[2].strip()
    is_sentence = len(last.split()) > 3 and not FIELD.search(last)
    if is_sentence and last.lower() in sample.question.lower():
        yield "instruction_twice", f"the question says {last!r}, and the prompt does so again"


def _in_sequence(labels: list[str], n: int) -> bool:
    """Say whether labels are those of n options, in whatever order; one may be missing of four."""
    if len(labels) < (n if n < 4 else n - 1) or len(labels) > n:
        return False
    if all(label.isdigit() for label in labels):
        places = {int(label) for label in labels}
        return len(places) == len(labels) and (
            places <= {*range(1, n + 1)} or places <= {*range(n)}
        )
    if len({label.isupper() for label in labels}) > 1 or not all(map(str.isalpha, labels)):
        return False
    return len({*labels}) == len(labels) and {*"".join(labels).upper()} <= {*LETTERS[:n]}


# --- marks


def _marks(texts: _Texts, style: PromptStyle, request: Request) -> Iterator[tuple[str, str]]:
    """Find marks that no text speaks of, and words for marks that are not drawn."""
    if style.kind == "given" or request.blind:  # not known, or not to be seen by design
        return
    prompts, mentioned = first_marks(style, _shown_once(request)), texts.mentioned
    said = mark_words(texts.own)
    if not prompts:
        said = [words for words in said if words.colors]
    left = [prompt for index, prompt in enumerate(prompts) if index not in mentioned]
    if left and not said and not _POINTING.search(texts.own):
        names = ", ".join(map(_name, left[:MOST_NAMED]))
        several = (
            f"{len(left)} of {len(prompts)} marks that are" if prompts[1:] else "the mark that is"
        )
        what = f"no text mentions {several} drawn ({names})"
        yield "mark_not_mentioned", f"{what} · write <r0>, <r1>, … where they are meant"
    for words in said:
        if _means_a_mark(words, texts, mentioned) and not any(map(words.may_mean, prompts)):
            drawn = ", ".join(dict.fromkeys(map(_name, prompts[:MOST_NAMED]))) or "nothing"
            yield (
                "other_mark",
                f"the text says {words.words!r}, which is not drawn · drawn: {drawn}",
            )


def _means_a_mark(words: MarkWords, texts: _Texts, mentioned: set[int]) -> bool:
    """Say whether words mean a mark rather than a thing in the picture, such as a white box."""
    if words.colors and words.noun in TECHNICAL:
        return True
    if mentioned:  # that is how the text speaks of its regions
        return False
    if texts.sample.regions:
        return True
    definite = re.compile(rf"\bthe\s+{re.escape(words.words)}", re.IGNORECASE)
    vivid = not _DULL & {*words.colors}
    return words.noun in _MARKERS and vivid and bool(definite.search(texts.own))


_MARKERS = frozenset({"box", "circle", "point", "dot"})
_DULL = frozenset(["brown", "black", "white", "grey", "silver", "maroon", "beige", "gold"])
"""Colours that things have more often than marks."""


def _shown_once(request: Request) -> tuple[VisualPrompt, ...]:
    """Return the marks of a request; of an image that it shows twice, those of the first time."""
    prompts = request.visual_prompts
    twice = request.surround is not None and request.surround.full
    return prompts[: len(prompts) // 2] if twice else prompts


def _name(prompt: VisualPrompt) -> str:
    return f"{color_group(prompt.color)} {prompt.shape}"


# --- words around a placeholder


def _doubled(texts: _Texts, style: PromptStyle, request: Request) -> Iterator[str]:
    """Yield phrases in which the text around a placeholder says what stands for it, too."""
    sample = texts.sample
    if style.kind == "named":  # what is named is not drawn
        return
    marks = tuple(
        Mark(first, None, tuple(beside))
        for first, *beside in by_region(style, _shown_once(request))
    )
    wording = Wording(sample.id, sample, style, marks, request.fit, itertools.repeat(True))
    for text in texts.used:
        for match in MENTION.finditer(text):
            index = int(match[1])
            words, label = wording.phrase(index), sample.regions[index].label
            yield from _around(text[: match.start()], words, text[match.end() :], label)
    for turn in texts.template:
        for match in FIELD.finditer(turn):
            if match[1] == "mark":
                yield from _around(turn[: match.start()], wording.mark(), turn[match.end() :], "")


def _around(before: str, phrase: str, after: str, label: str) -> Iterator[str]:
    """Compare the ends of a phrase with the words directly before and after it."""
    words, named = _words(phrase), _words(label)
    last = re.search(r"(?:[\w'\u2019-]+\s+){1,6}$", before)
    left = _words(last[0]) if last else []
    if left and (
        _overlap(left, words)
        or (named and left[-len(named) :] == named and words[: len(named) + 1] == ["the", *named])
        or (left[-1] in _ARTICLES and words[0] in {"the", *_FIRST})
        or (left[-1] in _WHERE and words[0] in _FIRST)
    ):
        yield " ".join((*before.split()[-2:], *phrase.split()[:3]))
    following = re.match(r"(?:\s+[\w'\u2019-]+){1,6}", after)
    right = _words(following[0]) if following else []
    # "the person at the red point points at …": a verb, as a rule.
    if right and words[-1] not in {"point", "mask"} and _overlap(words, right):
        yield " ".join((*phrase.split()[-3:], *after.split()[:2]))


def _overlap(left: list[str], right: list[str]) -> bool:
    """Say whether the last words of one text are the first of another."""
    return any(left[-n:] == right[:n] for n in range(1, min(len(left), len(right)) + 1))


def _words(text: str) -> list[str]:
    return [match[0].lower() for match in _WORD.finditer(text)]


_FIRST = frozenset(preposition.split()[0] for preposition, *_ in WORDS.values())
"""Words that open the phrase of a region without a label: `within`, `with`, `at`, `pointed`."""
