"""The one step that fixes what a model is asked: sample + style + seed -> request.

Colours, shapes, geometry seeds, the final text and the key are settled here, before any model is
loaded, and written down.
"""

from collections.abc import Iterator, Mapping, Sequence

from vipbench.digests import added_facts, digest, facts
from vipbench.errors import DataError, TaskError
from vipbench.images.surround import has_extent
from vipbench.prompts.marks import Mark, resolve, seed_of
from vipbench.prompts.mentions import LETTERS, mentions
from vipbench.prompts.parts import in_order
from vipbench.prompts.wording import Wording, draw_articles
from vipbench.schema import Fit, PromptChoices, PromptStyle, Replay, Request, Sample, Surround
from vipbench.validation import checked


def build_request(
    sample: Sample,
    style: PromptStyle,
    seed: int,
    choices: PromptChoices | Mapping[str, object] | None = None,
    *,
    fit: Fit | None = None,
    image_digest: str | Sequence[str] = "",
    replay: Replay | None = None,
) -> Request:
    """Turn a sample into the request that a model sees under a style; pure.

    Args:
        sample: as `data.samples.load_samples` yields it, with its task.
        style: as `parse_styles` returns it; `blind` asks as the headline style it was parsed with.
        seed: of the run; with the sample's id and the region it keys every random draw.
        choices: colours, articles and shapes fixed by hand, to reproduce an official text; also
            as a mapping, such as `{"colors": ["red", None], "articles": [True, False]}`. Styles
            that draw nothing ignore them.
        fit: how the image is fitted to the model's square; default the task's, else `pad`.
        image_digest: sha256 of the image file's bytes, which goes into the key; of several images
            that of each, in order.
        replay: `official` samples where the published script does, at its temperature.

    Raises:
        TaskError: style and sample do not go together, or the choices do not fit the sample.
        DataError: `coordinates` are asked of a sample whose image size is unknown, a tag has
            nothing to say of a region, or a style keeps regions that are not there or are points.
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
            marks = resolve(
                sample.regions,
                style,
                seed,
                sample.id,
                lead_region(sample),
                choices,
                sample.surroundings,
            )
            articles = draw_articles(sample, style, seed, choices)
        except (TaskError, DataError) as error:
            raise type(error)(f"{name}: {error}") from error
    drawn = () if style.kind == "named" else marks
    wording = Wording(name, sample, style, marks, fit, articles)
    temperature = task.official_temperature if task and replay == "official" else 0.0
    request = Request(
        task=task.name if task else "",
        style=style.name,
        id=sample.id,
        turns=wording.turns(),
        image=sample.image,
        images=sample.images,
        draw_sizes=sample.draw_sizes,
        visual_prompts=tuple(in_order(style, [mark.all for mark in drawn])),
        blind=style.kind == "blind",
        exif=sample.exif,
        surround=_surround(name, sample, style),
        fit=fit,
        max_new_tokens=task.max_new_tokens if task else 128,
        temperature=temperature,
        seed=seed_of(seed, task.name, sample.id, "sampling") if task and temperature else 0,
        options=tuple(LETTERS[: len(sample.choices)]),
        key="",
    )
    if request.surround is not None and request.surround.full:
        request = _with_full_image(request)
        image_digest = (*_listed(image_digest), *_listed(image_digest))
    version = task.version if task else 0
    return request.model_copy(update={"key": request_key(request, version, image_digest)})


def _listed(digests: str | Sequence[str]) -> tuple[str, ...]:
    return (digests,) if isinstance(digests, str) else tuple(digests)


def _with_full_image(request: Request) -> Request:
    """Show the image of a request a second time, with the marks and nothing taken away."""
    again = tuple(
        each.model_copy(update={"region": each.region.model_copy(update={"image": 1})})
        for each in request.visual_prompts
    )
    update = {
        "images": (request.image, request.image),
        "draw_sizes": request.draw_sizes * 2,
        "visual_prompts": request.visual_prompts + again,
    }
    return request.model_copy(update=update)


def _surround(name: str, sample: Sample, style: PromptStyle) -> Surround | None:
    """Return what a style does around the regions of a sample, in each image that has any."""
    if style.surround is None:
        return None
    if not sample.regions:
        raise DataError(f"{name}: style {style.name!r} keeps the regions, but there are none")
    if style.surround.full and sample.images:
        raise DataError(
            f"{name}: shows {len(sample.images)} images · style {style.name!r} shows one image "
            "twice, and is for questions about one · use style crop, or leave it out"
        )
    if style.surround.kind == "crop":
        return style.surround.model_copy(update={"regions": sample.regions})
    for index in sorted({region.image for region in sample.regions}):
        if not any(has_extent(each) for each in sample.regions if each.image == index):
            those = f"those in image {index + 1}" if sample.images else "they"
            raise DataError(
                f"{name}: style {style.name!r} keeps what is inside the regions, but {those} are "
                "points · use a style of kind crop, or regions with an extent"
            )
    return style.surround.model_copy(update={"regions": sample.regions})


def request_key(request: Request, task_version: int, image_digest: str | Sequence[str]) -> str:
    """Return the sha256 (hex) of all that a model can see of a request.

    That is the task's version, the image file's bytes (the word `blind` where it is greyed), the
    visual prompts, the user's text or turns, the fit and `max_new_tokens`; where the answer is
    sampled, temperature and seed too; and what later versions add to a request, where it does not
    have its default. Of several images, the bytes of each file count, in order.
    """
    digests = _listed(image_digest)
    images = digests if any(digests) else request.all_images
    if len(images) != len(request.all_images):
        raise ValueError(f"{request.id}: {len(images)} digests of {len(request.all_images)} images")
    if request.blind:
        images = ("blind",) * len(images)
    seen = {
        "task_version": task_version,
        "image": images[0],
        "visual_prompts": []
        if request.blind
        else [facts(prompt) for prompt in request.visual_prompts],
        "turns": request.turns,
        "fit": request.fit,
        "max_new_tokens": request.max_new_tokens,
    }
    if request.temperature:
        seen |= {"temperature": request.temperature, "seed": request.seed}
    added = added_facts(request)
    if "images" in added:
        added["images"] = images
    return digest(seen | added)


def lead_region(sample: Sample) -> int:
    """Return the index of the target region, or of the first mentioned where there is none."""
    if sample.target_region is not None:
        return sample.target_region
    return next(mentions(sample), 0)
