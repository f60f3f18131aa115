"""The words of a request: what the text calls a mark, and the official sentences around it."""

import itertools
import re
from collections.abc import Iterator, Sequence

from vipbench.errors import DataError, TaskError
from vipbench.images.fit import fit_box
from vipbench.prompts.marks import Mark, keyed
from vipbench.prompts.mentions import FIELD, LETTERS, MENTION, mentions
from vipbench.prompts.words import words_of
from vipbench.schema import Fit, PromptChoices, PromptStyle, Sample

CHOICE_TEMPLATE = (
    "{question}\n{choices}\nAnswer with the option's letter from the given choices directly."
)
"""Source: ViP-LLaVA, visual_prompt_organizer.py, `build_prompt`."""

SHORT_TEMPLATE = "{question}\nAnswer the question using a single word or phrase."
"""Source: ViP-LLaVA, visual_prompt_organizer.py, lines 606-622."""


def template_turns(sample: Sample) -> tuple[str, ...]:
    """Return the task's template, turn by turn, or the official sentence where it has none."""
    template = (sample.task.template if sample.task else "") or (
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
            "choices": self._options(sample.choices),
        }
        return tuple(
            FIELD.sub(lambda m: self.mark() if m[1] == "mark" else fields[m[1]], turn)
            for turn in template_turns(sample)
        )

    def _expand(self, text: str) -> str:
        """Replace each `<rK>` by its noun phrase, with a capital where it opens the text."""

        def phrase(match: re.Match[str]) -> str:
            words = self.phrase(int(match[1]))
            return words[0].upper() + words[1:] if match.start() == 0 else words

        return MENTION.sub(phrase, text)

    def _options(self, choices: Sequence[str]) -> str:
        """Write choices as lines `A. …`."""
        lettered = zip(LETTERS, choices, strict=False)
        return "\n".join(f"{letter}. {self._expand(choice)}" for letter, choice in lettered)

    def mark(self) -> str:
        """Say where the first region is, without its colour: `within the rectangle`."""
        if not self.sample.regions:
            raise self._error("has no region, but its task's template holds {mark}")
        if self.marks:
            words = words_of(self.marks[0].prompt.shape)
            return f"{words.preposition} the {words.noun}"
        return self._control(0, "object", locative=True)

    def phrase(self, index: int) -> str:
        """Say what `<rK>` stands for, and take its article: `the dog within the red rectangle`."""
        if index >= len(self.sample.regions):
            raise self._error(f"mentions <r{index}>, but has {len(self.sample.regions)} regions")
        label = self.sample.regions[index].label
        if not self.marks:
            return self._control(index, label, locative=not label)
        mark = self.marks[index]
        words = words_of(mark.prompt.shape)
        article = "the " if next(self.articles) else ""
        color = f"{mark.color_word} " if mark.color_word else ""
        thing = f"the {label} " if label else ""
        return f"{thing}{words.preposition} {article}{color}{words.noun}"

    def _control(self, index: int, label: str, *, locative: bool) -> str:
        if self.style.kind in ("none", "elsewhere"):
            return f"{label or 'object'} {index + 1}"
        if self.style.kind == "coordinates":
            size = self.sample.image_size
            if size is None:
                raise DataError(
                    f"{self.name}: the image's size is unknown, which coordinates are a fraction of"
                    " · pass the sample through `vipbench.data.samples.inspect_image`"
                )
            box = fit_box(self.sample.regions[index].box, size, self.fit)
            # + 0.0 turns -0.0 into 0.0
            where = f"at [{', '.join(f'{round(value, 3) + 0.0:.3f}' for value in box)}]"
            return where if locative else f"the {label} {where}"
        raise self._error(f"mentions a region, but style {self.style.name!r} draws no mark")

    def _error(self, what: str) -> TaskError:
        return TaskError(f"{self.name} {what}")
