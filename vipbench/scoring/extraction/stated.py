"""Rule `stated`: the option that a text states; never wrong rather than often right.

Evidence in this order: the whole text is an option; what it states to be its answer; a first or
last line that is an option; an option that opens it; what it claims of one option alone. Where
these disagree, the text is undecided, and the answer None.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vipbench.scoring.extraction import short, wording
from vipbench.scoring.extraction.cleaning import clean
from vipbench.scoring.extraction.options import STANDING, Options, compile_options
from vipbench.scoring.extraction.passage import Passage, first_sentence, last_sentence, split

FOUR = dict.fromkeys("ABCD", "")
CUPS = {"A": "the red cup", "B": "the blue cup", "C": "a dog", "D": "a hot dog"}
IMAGES = {"A": "the second image", "B": "the third image"}
COUNTS = {"A": "1", "B": "2", "C": "12", "D": "0"}
YES_NO = {"A": "yes", "B": "no"}

EXAMPLES = (
    # the letter, in any dress
    ("b", FOUR, "B"),
    ("**(B)**", FOUR, "B"),
    ("\\boxed{\\text{B}}", FOUR, "B"),
    ("<|im_start|>B<|im_end|>", FOUR, "B"),
    ("<think>A? No, too dark.</think>B", FOUR, "B"),
    ("<think>A? No, too dark. B", FOUR, None),
    ("E", FOUR, None),
    # what is stated; the last statement, where the text reasons first
    ("The answer is B.", FOUR, "B"),
    ("A looks right at first, but it is too dark. Therefore, the answer is (B).", FOUR, "B"),
    ("The answer is either A or B.", FOUR, None),
    ("B. The answer is C.", FOUR, None),
    ("The answer is B. Wait, no, it is C.", FOUR, None),
    ("I think the answer is (A), but it could be (B).", FOUR, None),
    ("If it were red, the answer would be A.", FOUR, None),
    ("If it were dark, the answer would be:\nB", FOUR, None),
    ("Were it dark, the answer would be (B).", FOUR, None),
    ("Unless it is dark, the answer is B.", FOUR, None),
    ("Suppose it were dark. Then the answer would be B.", FOUR, None),
    ("(B) if it is dark, otherwise (A)", FOUR, None),
    ("The blue cup, if it were dark.", CUPS, None),
    ("The wrong answer is:\nB", FOUR, None),
    ("The answer is A. If it were dark, the answer would be:\nB", FOUR, "A"),
    ("If I had to choose, I would say B.", FOUR, "B"),
    ("If I had to choose, the answer would be:\nB", FOUR, "B"),
    ("Not A.", FOUR, None),
    ("A man is here.", FOUR, None),
    ("A. cat\nB. dog\nC. cow\nD. pig", FOUR, None),
    ("The number of hats is:\n\n(C) 1", FOUR, "C"),
    # the text of an option
    ("It is the blue cup.", CUPS, "B"),
    ("It is a hot dog", CUPS, "D"),
    ("A. the blue cup", CUPS, None),
    ("The red cup or the blue cup", CUPS, None),
    ("The red cup, so I take the blue cup.", CUPS, None),
    ("The third image (C) is most similar to the first image (A).", IMAGES, "B"),
    ("The second image (B) is most similar to the first image.", IMAGES, None),
    ("Both the second and third images fit.", IMAGES, None),
    ("It is hard to say with certainty. However, the third image is most likely.", IMAGES, "B"),
    ("There are two dogs.", COUNTS, "B"),
    ("There is one cat and 2 dogs.", COUNTS, None),
    ("It isn't.", YES_NO, "B"),
    ("(B) no, the bus is not parallel to it", YES_NO, "B"),
    ("No. Yes.", YES_NO, None),
    ("\u306f\u3044", YES_NO, "A"),
    # "the answer is B" in Chinese, Japanese, Korean; "it is not A", "A is closer than B"
    ("\u7b54\u6848\u662fB", FOUR, "B"),
    ("\u7b54\u3048\u306fB\u3067\u3059", FOUR, "B"),
    ("\uc815\ub2f5\uc740 B\uc785\ub2c8\ub2e4", FOUR, "B"),
    ("\u7b54\u6848\u4e0d\u662fA", FOUR, None),
    ("A\u6bd4B\u66f4\u8fd1", FOUR, None),
    ("", FOUR, None),
)
"""Text, options, answer."""

REMEMBERED = 256
"""Sentences of which is remembered what their words say: each is asked several times."""

_OPENING = re.compile(r"\s*(?:[(\[] ?([A-Za-z]) ?[)\]]|([A-Z]) ?[).:](?=\s|$))\s*(.*)", re.DOTALL)


_LAST_LETTER = re.compile(r"\b(?:is|are|be) [(\[]([A-Z])[)\]][^.]{0,40}\.?$")
_LABEL = re.compile(r" ?\(([A-Z])\)")


class Statement(NamedTuple):
    """A sentence that states an answer."""

    place: int
    letter: str | None
    """None: it does not come down to one option."""


class Undecided(Exception):
    """A text that contradicts itself, or says that it has no answer."""


def extract(text: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the option that a text states, or None where it states none.

    Args:
        text: as the model wrote it.
        options: letter -> text of the option, empty where that is not known.
    """
    plain = clean(text)
    if not plain or not options:
        return None
    try:
        return Reading(compile_options(options), plain).answer()
    except Undecided:
        return None


class Reading:
    """One text that is read for its answer."""

    def __init__(self, options: Options, plain: str) -> None:
        """Take the options, and the text as `clean` returns it."""
        self.options, self.plain = options, wording.SUPPOSED.sub(r"\1, ", plain)
        self.passage: Passage = split(self.plain)
        self.sentences = self.passage.sentences
        self.final = len(self.sentences) - 1

    def answer(self) -> str | None:
        """Return the option that the text states, or None.

        Raises:
            Undecided: There is evidence, but for several options.
        """
        if whole := self.options.read(wording.CONTRAST.sub("", self.plain)):
            return whole.letter
        if wording.FOREIGN_DENIAL.search(self.plain):
            raise Undecided("a denial in a language whose sentences are not read")
        if brief := self.brief():
            return brief
        if cut := self.options.cut_off(self.plain):
            return cut
        said = self.statement()
        line, opening = self.line(), self.opening()
        if said and said.letter is None and said.place == self.final:
            raise Undecided("the last sentence")
        stated = said.letter if said else None
        if opening and stated and opening != stated:
            raise Undecided("opens with another option")
        votes = {vote for vote in (stated, line, opening) if vote}
        if len(votes) > 1:
            return self.latest(line)
        if votes:
            self.refuse_contradiction(said, line or opening or "")
            return votes.pop()
        return self.claim() or self.mention()

    def brief(self) -> str | None:
        """Return the option that is "yes" or "no", where the text is "It is" or "It isn't"."""
        word = short.brief(self.plain)
        found = [letter for letter, text in self.options.texts.items() if text == word]
        return found[0] if len(found) == 1 else None

    # --- what is stated ---

    def statement(self) -> Statement | None:
        """Return the last statement of an answer; None: there is none.

        Raises:
            Undecided: Statements name three options, or two before the end; or the text goes on to
                say that there is no answer.
        """
        statements = list(self.statements())
        if not statements:
            return None
        said = statements[-1]
        distinct = {statement.letter for statement in statements if statement.letter}
        if len(distinct) > 2 or (len(distinct) == 2 and said.place < self.final - 1):
            raise Undecided("several statements")
        behind = self.sentences[said.place + 1 :]
        if any(map(refuses, behind[-2:])):
            raise Undecided("refused")
        for sentence in behind:
            named = self.options.mentions(sentence).letters
            if wording.REVISION.match(sentence) and named - {said.letter}:
                raise Undecided("taken back")
        return said

    def statements(self) -> Iterator[Statement]:
        """Yield what is stated about options: announced answers and conclusions."""
        for place, sentence in enumerate(self.sentences):
            if announced := self.announced(place):
                yield Statement(place, announced)
                continue
            cue = wording.CUE.search(sentence)
            if not cue and not wording.CONCLUSION.match(sentence):
                continue
            if self.passage.is_listed(place) or is_idle(sentence):
                continue
            letter = self.stated(sentence, cue)
            if letter or any(self.options.mentions(sentence)):
                yield Statement(place, letter)

    def announced(self, place: int) -> str | None:
        """Return the option that a line announces and the next one is, or None."""
        before, line = self.passage.completed.get(place, ("", ""))
        if not wording.ANNOUNCEMENT.search(before) or wording.DENIAL.search(before):
            return None
        in_list = self.passage.in_list[self.passage.origin[place]]
        if in_list or is_conditional(self.sentences[place]) or wording.CONDITION.match(before):
            return None
        read = self.options.read(line)
        return read.letter if read else self.options.read_unknown(line)

    def stated(self, sentence: str, cue: re.Match[str] | None) -> str | None:
        """Return the one option that a statement is about, or None.

        A negation before the cue does not count: "A does not fit, so the answer is B".
        """
        rest = sentence[cue.start() :] if cue else sentence
        pieces = [rest, head(rest)]
        if cue and not wording.NEGATION.search(sentence[: cue.start()]):
            # What is announced counts before what stands in front of it: "(B) is closest, but the
            # answer is (A)". All of a sentence counts first, since it may name no other option.
            pieces = [sentence, head(rest), head(sentence), rest]
        if is_conditional(sentence) or self.has_alternative(sentence):
            return None
        if cue and wording.DENIED_ANNOUNCEMENT.search(sentence[: cue.end()]):
            return None
        return next(filter(None, map(self.only, pieces)), None)

    def has_alternative(self, sentence: str) -> bool:
        """Say whether a sentence goes on with another option that is possible too."""
        alternative = wording.ALTERNATIVE.search(sentence)
        return bool(alternative and self.options.mentions(sentence[alternative.start() :]).letters)

    def only(self, piece: str) -> str | None:
        """Return the one option that a piece of a sentence names and does not deny, or None.

        A letter beyond the options is a slip where the option's text stands beside it.
        """
        piece = wording.CONTRAST.sub("", piece)
        if wording.NEGATION.search(piece):
            return None
        found, odd = self.options.mentions(piece)
        if len(found) != 1:
            return None
        [letter] = found
        in_parens = self.options.parenthesised(piece).intersection(self.options.letters)
        if not odd or (letter in self.options.by_text(piece) and not in_parens):
            return letter
        return None

    # --- where an answer stands ---

    def line(self) -> str | None:
        """Return the option that the last or the first line is; the last one counts.

        Raises:
            Undecided: A letter stands there beside the text of another option.
        """
        if self.passage.enumerated:
            return None
        found = None
        lines = self.passage.lines
        for line in (lines[0], lines[-1]) if len(lines) > 1 else lines[-1:]:
            if line is lines[-1] and len(lines) > 1 and is_withheld(lines[-2]):
                continue
            read = self.options.read(line)
            if read and read.letter is None:
                raise Undecided("a letter with another option's text")
            found = read.letter if read else found
        return found

    def opening(self) -> str | None:
        """Return the option that opens the text: `(B)`, `B.`, or its text, set off.

        Raises:
            Undecided: The sentence that it opens has the text of another option.
        """
        if self.passage.enumerated:
            return None
        if match := _OPENING.match(self.plain):
            letter = (match[1] or match[2]).upper()
            named = self.options.by_text(first_sentence(match[3]))
            if wording.CONDITION_BEHIND.match(match[3]) and is_conditional(
                first_sentence(match[3])
            ):
                return None
            if letter in self.options.letters:
                if named and letter not in named:
                    raise Undecided("a letter with another option's text")
                return letter
        found = None
        named = self.options.by_text(first_sentence(self.plain))
        for letter in named if len(named) == 1 else ():
            pattern = self.options.pattern(letter)
            match = pattern.match(self.plain) if pattern else None
            if match and re.match(r"\s?[,.;:!\n]", self.plain[match.end() : match.end() + 2]):
                is_on_condition = wording.CONDITION_BEHIND.match(self.plain, match.end())
                found = None if is_on_condition and is_conditional(self.sentences[0]) else letter
        return found

    def latest(self, line: str | None) -> str:
        """Return what closes the text as a line of its own, where evidence differs."""
        last = self.options.read(self.passage.lines[-1])
        if line is not None and last is not None and last.letter == line:
            return line
        raise Undecided("statement, line and opening differ")

    def refuse_contradiction(self, said: Statement | None, letter: str) -> None:
        """Raise Undecided where what follows an answer claims another option."""
        stated = said.letter if said else None
        if said and stated:
            behind = self.sentences[said.place + 1 :]
            other = self.subject(behind)
            if other and other != stated:
                raise Undecided("claims another option afterwards")
            return
        other = self.subject(self.sentences)
        if other and other != letter:
            raise Undecided("claims another option")
        reads = [self.options.read(sentence) for sentence in self.sentences]
        if len({read.letter for read in reads if read}) > 1:
            raise Undecided("several answers")
        rest = [sentence for sentence, read in zip(self.sentences, reads, strict=True) if not read]
        if rest and not wording.NEGATION.search(rest[0]):
            named = self.options.by_text(rest[0])
            if len(named) == 1 and letter not in named:
                raise Undecided("goes on with another option")

    # --- what is claimed or mentioned, where nothing is stated ---

    def claim(self) -> str | None:
        """Return the one option of which the text claims most, best or the like."""
        if any(map(refuses, self.sentences)):
            return None
        return self.subject(self.sentences) or self.preferred()

    def subject(self, sentences: tuple[str, ...]) -> str | None:
        """Return the option that all claims with most, more, best … have as their subject."""
        claims = {claim for sentence in sentences if (claim := self.claimed(sentence))}
        return claims.pop() if len(claims) == 1 else None

    def claimed(self, sentence: str) -> str | None:
        """Return the option that a sentence claims to be the one, or None."""
        claim = head(sentence)
        if (
            not wording.STRONGEST.search(claim)
            or wording.NEGATION.search(claim)
            or wording.WEAK.search(claim)
            or wording.QUESTION.search(sentence)
            or is_conditional(sentence)
        ):
            return None
        lead = match.end() if (match := wording.LEAD.match(claim)) else 0
        found, odd = self.options.mentions(claim)
        if odd and (letter := self.relabelled(claim, lead)):
            return letter
        if len(found) != 1 or (odd and not self.options.by_text(claim)):
            return None
        [letter] = found
        starts = self.options.at(claim, lead, letter)
        return letter if any(is_claimed(claim, end) for end in starts) else None

    def relabelled(self, claim: str, start: int) -> str | None:
        """Return the option whose text begins a claim, with a letter behind it that is no option.

        Such a text has letters of its own for all that it speaks of: "the third image (C) is most
        similar to the first image (A)" means the option whose text is "the third image".
        """
        by_text = self.options.by_text(claim)
        if len(by_text) != 1:
            return None
        [letter] = by_text
        pattern = self.options.pattern(letter)
        match = pattern.match(claim, start) if pattern else None
        label = _LABEL.match(claim, match.end()) if match else None
        if not label or label[1] in self.options.letters:
            return None
        return letter if is_claimed(claim, label.end()) else None

    def preferred(self) -> str | None:
        """Return the option that all preferences name, wherever in the sentence it stands."""
        found: set[str] = set()
        for sentence in self.sentences:
            claim = head(sentence)
            if not wording.PREFERENCE.search(claim) or wording.QUESTION.search(sentence):
                continue
            letters, odd = self.options.mentions(claim)
            if odd or wording.NEGATION.search(claim) or wording.WEAK.search(claim):
                return None
            found |= letters
        return found.pop() if len(found) == 1 else None

    def mention(self) -> str | None:
        """Return the option that the first or last sentence gives, or the only one mentioned."""
        for place in (0, self.final):
            sentence = self.sentences[place]
            if is_conditional(sentence):
                continue
            if letter := self.last_letter(sentence):
                return letter
            if (
                wording.NEGATION.search(sentence)
                or wording.QUESTION.search(sentence)
                or self.passage.is_listed(place)
                or re.search(r"[\d=]|[,(]$", sentence)
            ):
                continue
            if letter := self.given(sentence):
                return letter
        if any(map(refuses, self.sentences)):
            return None
        return self.only_mentioned()

    def given(self, sentence: str) -> str | None:
        """Return the option that a sentence gives by letter and text, or ends with."""
        found, odd = self.options.mentions(sentence)
        if len(found) != 1 or odd:
            return None
        [letter] = found
        text = self.options.pattern(letter)
        without_text = text.sub(" ", sentence) if text else sentence
        if found == self.options.by_text(sentence) and self.options.named(without_text) == found:
            return letter
        end = wording.IDENTITY.search(sentence)
        if end and self.options.mentions(sentence[end.start() :]).letters == found:
            return letter
        return None

    def last_letter(self, sentence: str) -> str | None:
        """Return the letter in parentheses that a sentence ends with: "The number is (A) 3."."""
        end = _LAST_LETTER.search(sentence)
        if not end or wording.QUESTION.search(sentence):
            return None
        found = self.options.mentions(sentence)
        return end[1] if found.letters == {end[1]} and not found.odd else None

    def only_mentioned(self) -> str | None:
        """Return the only option of a text that denies and asks nothing, or None."""
        if wording.NEGATION.search(self.plain) or wording.QUESTION.search(self.plain):
            return None
        if any(map(is_conditional, self.sentences)):
            return None
        mentions = [self.options.mentions(sentence) for sentence in self.sentences]
        if any(each.odd for each in mentions):
            return None
        standing = set(STANDING.findall(self.plain)).intersection(self.options.letters)
        found = standing.union(*(each.letters for each in mentions))
        return found.pop() if len(found) == 1 else None


def is_claimed(claim: str, end: int) -> bool:
    """Say whether the predicate of a claim tells its subject, which ends there, from the others.

    It does so before the next comma: "B lies further back, closer to the water" says nothing of B
    that the question asks for.
    """
    predicate = wording.PREDICATE.match(claim, end)
    if not predicate:
        return False
    clause = re.split(r",(?!\swhich\b)", claim[end:].removeprefix(","))[0]
    return bool(wording.STRONGEST.search(clause))


@lru_cache(maxsize=REMEMBERED)
def is_idle(sentence: str) -> bool:
    """Say whether a sentence asks or supposes, and so states nothing."""
    return bool(wording.QUESTION.search(sentence)) or supposes(sentence)


def supposes(sentence: str) -> bool:
    """Say whether a sentence opens with a condition that the question itself does not meet."""
    return bool(wording.CONDITION.match(sentence) and not wording.GRANTED.search(sentence))


@lru_cache(maxsize=REMEMBERED)
def is_conditional(sentence: str) -> bool:
    """Say whether a condition stands anywhere in a sentence; "if I had to choose" is none."""
    is_on_condition = wording.IF.search(sentence) or wording.CONDITION.match(sentence)
    return bool(is_on_condition and not wording.GRANTED.search(sentence))


def is_withheld(line: str) -> bool:
    """Say whether what the next line says is no answer: the line is not whole, and supposes."""
    sentence = last_sentence(line)
    is_denied = wording.DENIED_ANNOUNCEMENT.search(sentence)
    return not line.endswith((".", "!", "?")) and (is_conditional(sentence) or bool(is_denied))


@lru_cache(maxsize=REMEMBERED)
def refuses(sentence: str) -> bool:
    """Say whether a sentence says that there is no answer, or none that is sure."""
    return bool(wording.REFUSAL.search(sentence))


@lru_cache(maxsize=REMEMBERED)
def head(sentence: str) -> str:
    """Return a sentence up to the first word that opens a reason or a contrast."""
    return wording.SUBORDINATE.split(sentence)[0]
