"""The words of a request: what the text calls a mark, and the official sentences around it."""

import itertools
import re
from collections.abc import Iterator, Sequence

from vipbench.errors import DataError, TaskError
from vipbench.prompts.coordinates import box_text
from vipbench.prompts.marks import Mark, keyed
from vipbench.prompts.mentions import FIELD, LETTERS, MENTION, REFER, mentions
from vipbench.prompts.parts import drawn_names
from vipbench.prompts.words import plural, words_for
from vipbench.schema import Fit, PromptChoices, PromptStyle, Sample

CHOICE_TEMPLATE = (
    "{question}\n{choices}\nAnswer with the option's letter from the given choices directly."
)
"""Source: ViP-LLaVA, visual_prompt_organizer.py, `build_prompt`."""

SHORT_TEMPLATE = "{question}\nAnswer the question using a single word or phrase."
"""Source: ViP-LLaVA, visual_prompt_organizer.py, lines 606-622."""


def template_turns(sample: Sample, style: PromptStyle) -> tuple[str, ...]:
    """Return the task's template, turn by turn, or the official sentence where it has none.

    A template for what the style draws on each region goes before the task's.
    """
    task = sample.task
    drawn = drawn_names(style)
    template = (task.templates.get(drawn) or task.template if task else "") or (
        CHOICE_TEMPLATE if sample.choices else SHORT_TEMPLATE
    )
    return (template,) if isinstance(template, str) else template


def draw_articles(
    sample: Sample, style: PromptStyle, seed: int, choices: PromptChoices | None
) -> Iterator[bool]:
    """Draw for each mention, in the order of the text, whether "the" stands before the mark.

    A coin in the official styles (source: ViP-LLaVA, visual_prompt_organizer.py, line 331), always
    in the others.

    Raises:
        TaskError: Not as many articles were chosen as there are mentions.
    """
    n = sum(1 for _ in mentions(sample))
    if choices and choices.articles:
        if len(choices.articles) != n:
            raise TaskError(
                f"{len(choices.articles)} articles were chosen, but there are {n} mentions of"
                " regions · expected one a mention"
            )
        return iter(choices.articles)
    if not style.official:
        return itertools.repeat(True, n)
    coin = keyed(seed, sample.id, "articles")
    return iter([coin.random() < 0.5 for _ in range(n)])


class Wording:
    """The words that mention the regions of one sample under one style."""

    def __init__(
        self,
        name: str,
        sample: Sample,
        style: PromptStyle,
        marks: Sequence[Mark],
        fit: Fit,
        articles: Iterator[bool],
    ) -> None:
        self.name, self.sample, self.style = name, sample, style
        self.marks, self.fit, self.articles = marks, fit, articles

    def turns(self) -> tuple[str, ...]:
        """Return the user's text, or the turns of a conversation, as the task's template says.

        Raises:
            TaskError: A text mentions a region that the sample or the style does not have.
            DataError: Coordinates are asked, but the size of the image is unknown.
        """
        sample = self.sample
        fields = {  # in the order of the text, in which articles are taken
            "question": self._expand(sample.question),
            "given_choices": self._options(sample.given_choices),
            "given_target": sample.given_target,
            "given_answer": self._expand(sample.given_answer),
        }
        template = template_turns(sample, self.style)
        dotted = not any("{choices_in_brackets}" in turn for turn in template)
        choices = self._options(sample.choices, "{}. " if dotted else "({}) ")
        fields |= {"choices": choices, "choices_in_brackets": choices}
        return tuple(
            FIELD.sub(lambda m: fields[m[1]] if m[1] in fields else self.field(m[1]), turn)
            for turn in template
        )

    def _expand(self, text: str) -> str:
        """Replace each `<rK>` by its noun phrase, with a capital where it opens the text."""

        def phrase(match: re.Match[str]) -> str:
            words = self.phrase(int(match[1]))
            return words[0].upper() + words[1:] if match.start() == 0 else words

        return MENTION.sub(phrase, text)

    def _options(self, choices: Sequence[str], form: str = "{}. ") -> str:
        """Write choices as lines `A. …`, or `(A) …`."""
        lettered = zip(LETTERS, choices, strict=False)
        return "\n".join(form.format(letter) + self._expand(choice) for letter, choice in lettered)

    def field(self, name: str) -> str:
        """Return what a template's field stands for that speaks of marks: `circles`, `A`, `red`.

        Raises:
            TaskError: The style draws nothing that the field could speak of.
        """
        if name == "mark":
            return self.mark()
        match = re.fullmatch(r"(tag|color)(\d+)", name)
        what, index = (match[1], int(match[2])) if match else (name, 0)
        if index >= len(self.marks):
            drawn = f"draws {len(self.marks)}" if self.marks else "draws none"
            raise self._error(
                f"needs {{{name}}} for its text, but style {self.style.name!r} {drawn} there"
            )
        if what == "tags":
            return _listed([self._known(mark, "tag") for mark in self.marks])
        if what == "colored":
            return self._colored()
        return self._known(self.marks[index], what)

    def _colored(self) -> str:
        """Say what is done by the marks: `red-circled`; `circled` where no one word is theirs."""
        words = {mark.color_word or "" for mark in self.marks}
        color = words.pop() if len(words) == 1 else ""
        return "-".join(part for part in (color, self._known(self.marks[0], "marked")) if part)

    def _known(self, mark: Mark, what: str) -> str:
        """Return one of REFER_FIELDS for a region; TaskError where its style has nothing for it."""
        words = words_for(mark.prompt)
        text = {
            "tag": mark.tag,
            "label": mark.prompt.region.label or "object",
            "color": mark.color_word or "",
            "marker": words.noun,
            "markers": plural(words),
            "marked": words.participle,
        }[what]
        if not text and what in ("tag", "marked"):
            raise self._error(
                f"needs {{{what}}} for its text, but style {self.style.name!r} has none · expected"
                f" {'a tag' if what == 'tag' else 'a marker'} on each region"
            )
        return text

    def mark(self) -> str:
        """Say where the first region is, without its colour: `within the rectangle`."""
        if not self.sample.regions:
            raise self._error("has no region, but its task's template holds {mark}")
        if not self._is_named():
            return self._control(0, "object", locative=True)
        if self.marks[0].tag:
            return f"marked {self.marks[0].tag}"
        words = words_for(self.marks[0].prompt)
        return f"{words.preposition} the {words.noun}"

    def _is_named(self) -> bool:
        """Say whether the text names the marks."""
        return bool(self.marks) and self.style.words == "full"

    def phrase(self, index: int) -> str:
        """Say what `<rK>` stands for, and take its article: `the dog within the red rectangle`."""
        if index >= len(self.sample.regions):
            raise self._error(f"mentions <r{index}>, but has {len(self.sample.regions)} regions")
        label = self.sample.regions[index].label
        if not self._is_named():
            return self._control(index, label, locative=not label)
        mark = self.marks[index]
        article = "the " if next(self.articles) else ""
        if self._refer() or mark.tag:
            return self._reference(mark)
        words = words_for(mark.prompt)
        color = f"{mark.color_word} " if mark.color_word else ""
        thing = f"the {label} " if label else ""
        return f"{thing}{words.preposition} {article}{color}{words.noun}"

    def _refer(self) -> str:
        """Return how texts refer to a region, by the task or by the style; empty: by its mark."""
        task = self.sample.task
        return (task.refer.get(drawn_names(self.style), "") if task else "") or self.style.refer

    def _reference(self, mark: Mark) -> str:
        """Refer to a region as is said, by its tag if nothing is: `the dog marked 3`."""
        usual = "marked" if mark.prompt.region.label else "marked {tag}"
        form = self._refer() or usual
        text = FIELD.sub(lambda match: self._known(mark, match[1]), REFER.get(form, form))
        return " ".join(text.split())  # a colour without a name leaves a gap

    def _control(self, index: int, label: str, *, locative: bool) -> str:
        if self.style.words == "plain" and self.marks:
            several = len(self.sample.regions) > 1
            number = f" {index + 1}" if several else ""
            return f"{'' if several else 'the '}marked {label or 'object'}{number}"
        if self.style.kind in ("none", "elsewhere") or self.style.words == "none":
            return f"{label or 'object'} {index + 1}"
        if self.style.kind == "coordinates":
            region = self.sample.regions[index]
            size = self.sample.size_of(region)
            if size is None:
                raise DataError(
                    f"{self.name}: the image's size is unknown, which coordinates are a fraction of"
                    " · pass the sample through `vipbench.data.samples.inspect_image`"
                )
            where = f"at {box_text(region.box, size, self.style.units, self.fit)}"
            where += f" in image {region.image + 1}" if self.sample.images else ""
            return where if locative else f"the {label} {where}"
        raise self._error(f"mentions a region, but style {self.style.name!r} draws no mark")

    def _error(self, what: str) -> TaskError:
        return TaskError(f"{self.name} {what}")


def _listed(words: Sequence[str]) -> str:
    """Write a list as in a sentence: `A, B and C`."""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
