"""The one step that fixes what a model is asked: sample + style + seed -> request.

Colours, shapes, geometry seeds, the final text and the key are settled here, before any model is
loaded, and written down.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from vipbench.digests import added_facts, digest, facts
from vipbench.errors import DataError, TaskError
from vipbench.images.fit import fit_box
from vipbench.mentions import FIELD, LETTERS, MENTION, mentions
from vipbench.prompts.styles import COLORS, WORDS, Mark, color_group, keyed, resolve, seed_of
from vipbench.schema import (
    Box,
    Fit,
    PromptChoices,
    PromptStyle,
    Replay,
    Request,
    Sample,
    Tags,
    VisualPrompt,
)
from vipbench.validation import checked

CHOICE_TEMPLATE = (
    "{question}\n{choices}\nAnswer with the option's letter from the given choices directly."
)
"""Source: ViP-LLaVA, visual_prompt_organizer.py, `build_prompt`."""
SHORT_TEMPLATE = "{question}\nAnswer the question using a single word or phrase."
"""Source: ViP-LLaVA, visual_prompt_organizer.py, lines 606-622."""


def build_request(
    sample: Sample,
    style: PromptStyle,
    seed: int,
    choices: PromptChoices | Mapping[str, object] | None = None,
    *,
    fit: Fit | None = None,
    image_digest: str = "",
    replay: Replay | None = None,
) -> Request:
    """Turn a sample into the request that a model sees under a style; pure.

    Args:
        sample: as `tasks.load_samples` yields it, with its task.
        style: as `styles.parse_styles` returns it; `blind` asks as the headline style it was
            parsed with.
        seed: of the run; with the sample's id and the region it keys every random draw.
        choices: colours, articles and shapes fixed by hand, to reproduce an official text; also
            as a mapping, such as `{"colors": ["red", None], "articles": [True, False]}`. Styles
            that draw nothing leave them aside.
        fit: how the image is fitted to the model's square; default the task's, else `pad`.
        image_digest: sha256 of the image file's bytes, which goes into the key.
        replay: `official` samples where the published script does, at its temperature.

    Raises:
        TaskError: style and sample do not go together, or the choices do not fit the sample.
        DataError: `coordinates` are asked of a sample whose image size is not known.
    """
    task = sample.task
    fit = fit or (task.fit if task else None) or "pad"
    name = f"{task.name}: {sample.id!r}" if task else f"sample {sample.id!r}"
    if isinstance(choices, Mapping):
        choices = checked(PromptChoices, dict(choices), f"{name}: choices")
    marks: tuple[Mark, ...] = ()
    articles: Iterator[bool] = iter(())
    if style.shapes:
        try:
            marks = resolve(sample.regions, style, seed, sample.id, lead_region(sample), choices)
            articles = _articles(sample, style, seed, choices)
        except TaskError as error:
            raise TaskError(f"{name}: {error}") from error
    wording = _Wording(name, sample, style, marks, fit, articles)
    fields = {
        "question": wording.expand(sample.question),
        "given_choices": wording.options(sample.given_choices),
        "given_target": sample.given_target,
        "given_answer": wording.expand(sample.given_answer),
        "choices": wording.options(sample.choices),
    }
    template = (task.template if task else "") or (
        CHOICE_TEMPLATE if sample.choices else SHORT_TEMPLATE
    )
    turns = tuple(
        FIELD.sub(lambda m: wording.mark() if m[1] == "mark" else fields[m[1]], turn)
        for turn in ((template,) if isinstance(template, str) else template)
    )
    temperature = task.official_temperature if task and replay == "official" else 0.0
    request = Request(
        task=task.name if task else "",
        style=style.name,
        id=sample.id,
        turns=turns,
        image=sample.image,
        visual_prompts=tuple(mark.prompt for mark in marks),
        blind=style.kind == "blind",
        fit=fit,
        max_new_tokens=task.max_new_tokens if task else 128,
        temperature=temperature,
        seed=seed_of(seed, task.name, sample.id, "sampling") if task and temperature else 0,
        options=tuple(LETTERS[: len(sample.choices)]),
        key="",
    )
    version = task.version if task else 0
    return request.model_copy(update={"key": request_key(request, version, image_digest)})


def request_key(request: Request, task_version: int, image_digest: str) -> str:
    """Return the sha256 (hex) of all that a model can see of a request.

    That is the task's version, the image file's bytes (the word `blind` where it is greyed), the
    visual prompts, the user's text or turns, the fit and `max_new_tokens`; where the answer is
    sampled, temperature and seed too; and what later versions add to a request, where it does not
    have its default.
    """
    seen = {
        "task_version": task_version,
        "image": "blind" if request.blind else image_digest or request.image,
        "visual_prompts": []
        if request.blind
        else [facts(prompt) for prompt in request.visual_prompts],
        "turns": request.turns,
        "fit": request.fit,
        "max_new_tokens": request.max_new_tokens,
    }
    if request.temperature:
        seen |= {"temperature": request.temperature, "seed": request.seed}
    return digest(seen | added_facts(request))


def lead_region(sample: Sample) -> int:
    """Return the place of the target region, or of the first mentioned where there is none."""
    if sample.target_region is not None:
        return sample.target_region
    return next(mentions(sample), 0)


def _articles(
    sample: Sample, style: PromptStyle, seed: int, choices: PromptChoices | None
) -> Iterator[bool]:
    """Say for each mention in turn whether "the" stands before the mark.

    A coin in the official styles (source: ViP-LLaVA, visual_prompt_organizer.py, line 331), always
    in the others.
    """
    n = sum(1 for _ in mentions(sample))
    if choices and choices.articles:
        if len(choices.articles) != n:
            raise TaskError(
                f"{len(choices.articles)} articles were chosen, but there are {n} mentions of"
                " regions; expected one a mention"
            )
        return iter(choices.articles)
    if not style.official:
        return itertools.repeat(True, n)
    coin = keyed(seed, sample.id, "articles")
    return iter([coin.random() < 0.5 for _ in range(n)])


class _Wording:
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

    def expand(self, text: str) -> str:
        """Replace each `<rK>` by its noun phrase, with a capital where it opens the text."""

        def phrase(match: re.Match[str]) -> str:
            words = self._phrase(int(match[1]))
            return words[0].upper() + words[1:] if match.start() == 0 else words

        return MENTION.sub(phrase, text)

    def options(self, choices: Sequence[str]) -> str:
        """Write choices as lines `A. …`."""
        lettered = zip(LETTERS, choices, strict=False)
        return "\n".join(f"{letter}. {self.expand(choice)}" for letter, choice in lettered)

    def mark(self) -> str:
        """Return the place of the first region without its colour: `within the rectangle`."""
        if not self.sample.regions:
            raise self._error("has no region, but its task's template holds {mark}")
        if self.marks:
            preposition, noun = WORDS[self.marks[0].prompt.shape]
            return f"{preposition} the {noun}"
        return self._control(0, "object", locative=True)

    def _phrase(self, place: int) -> str:
        if place >= len(self.sample.regions):
            raise self._error(f"mentions <r{place}>, but has {len(self.sample.regions)} regions")
        label = self.sample.regions[place].label
        if not self.marks:
            return self._control(place, label, locative=not label)
        mark = self.marks[place]
        preposition, noun = WORDS[mark.prompt.shape]
        article = "the " if next(self.articles) else ""
        color = f"{mark.color_word} " if mark.color_word else ""
        thing = f"the {label} " if label else ""
        return f"{thing}{preposition} {article}{color}{noun}"

    def _control(self, place: int, label: str, *, locative: bool) -> str:
        if self.style.kind == "none":
            return f"{label or 'object'} {place + 1}"
        if self.style.kind == "coordinates":
            size = self.sample.image_size
            if size is None:
                raise DataError(
                    f"{self.name}: the image's size is not known, which coordinates are a fraction"
                    " of; pass the sample through tasks.inspect_image"
                )
            box = fit_box(self.sample.regions[place].box, size, self.fit)
            # + 0.0 turns -0.0 into 0.0
            where = f"at [{', '.join(f'{round(value, 3) + 0.0:.3f}' for value in box)}]"
            return where if locative else f"the {label} {where}"
        raise self._error(f"mentions a region, but style {self.style.name!r} draws no mark")

    def _error(self, what: str) -> TaskError:
        return TaskError(f"{self.name} {what}")


SIZE_EDGES = (("small", 0.02), ("medium", 0.10))
"""Upper edges of the share of the image's area that a region's box covers; above: `large`. Ours, no
source has any."""


def prompt_tags(sample: Sample, style: PromptStyle, prompts: Sequence[VisualPrompt]) -> Tags:
    """Return the sample's tags with those of its visual prompts.

    `shape`, `color`, `size`, `width`, `alpha`, `n_marks`: each is the value that all marks share,
    else `mixed`; under an inline style that of the lead region's mark. `target_color` and
    `target_size` are those of the target region, or of the first mentioned where there is none;
    `position` is the letter of the right option. Marks that are in the image already are tagged by
    the reader.
    """
    tags: Tags = {"position": (sample.target,)} if sample.choices else {}
    if not sample.regions:
        return sample.tags | tags
    target = lead_region(sample)
    lead = [target] if style.inline else range(len(sample.regions))
    tags["n_marks"] = (str(len(sample.regions)),)
    if prompts:
        tags["target_color"] = (_color(prompts[target], style),)
        tags["width"] = (_shared({_number(prompts[place].width) for place in lead}),)
        tags["alpha"] = (_shared({_number(prompts[place].alpha) for place in lead}),)
        tags["shape"] = (_shared({prompts[place].shape for place in lead}),)
        tags["color"] = (_shared({_color(prompts[place], style) for place in lead}),)
    if sample.image_size:
        tags["target_size"] = (_size(sample.regions[target].box, sample.image_size),)
        tags["size"] = (
            _shared({_size(sample.regions[place].box, sample.image_size) for place in lead}),
        )
    return sample.tags | tags


def _size(box: Box, size_wh: tuple[int, int]) -> str:
    x0, y0, x1, y1 = box
    share = (x1 - x0) * (y1 - y0) / (size_wh[0] * size_wh[1])
    return next((name for name, edge in SIZE_EDGES if share < edge), "large")


def _number(value: float | None) -> str:
    """Write a width or an opacity; None is drawn, by mark, from the training range."""
    return "drawn" if value is None else f"{value:g}"


def _color(prompt: VisualPrompt, style: PromptStyle) -> str:
    """Name a colour's group; random RGB, which no text names, is one group."""
    group = color_group(prompt.color)
    return group if group in COLORS or group in style.colors else "unnamed"


def _shared(values: set[str]) -> str:
    return values.pop() if len(values) == 1 else "mixed"
