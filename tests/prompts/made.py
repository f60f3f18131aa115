"""Tasks, samples and styles that tests of prompts ask about."""

from typing import Any

from vipbench.data.tasks import all_styles
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import PromptStyle, Region, Sample, TaskSpec

KNOWN = all_styles()


def task(**fields: Any) -> TaskSpec:
    known = {"name": "some_task", "version": 1, "title": "", "kind": "choice", "data": "a"}
    return TaskSpec.model_validate({**known, **fields})


def sample(question: str, n: int = 1, **fields: Any) -> Sample:
    """A sample with n regions, 10 px apart, in an image of 100 x 50 px."""
    regions = tuple(Region(box=(10 * i, 5, 10 * i + 8, 20)) for i in range(n))
    known = {"id": "1", "image": "1.png", "target": "A", "group": "1", "regions": regions}
    return Sample(**{**known, "image_size": (100, 50), "question": question, **fields})


def pair(*images: int, **fields: Any) -> Sample:
    """A sample about images of 100 x 50 and 40 x 80 px; region k lies in the k-th of `images`."""
    regions = tuple(
        Region(box=(10 * k, 5, 10 * k + 8, 20), label=f"thing {k}", image=image)
        for k, image in enumerate(images)
    )
    known = {"regions": regions, "images": ("1.png", "2.png"), "image_sizes": ((100, 50), (40, 80))}
    return sample(fields.pop("question", "<r0>?"), 0, **{**known, **fields})


def style(expression: str, headline: str | None = None) -> PromptStyle:
    (parsed,) = parse_styles(expression, KNOWN, KNOWN[headline] if headline else None)
    return parsed


def text(of: Sample, expression: str, choices: Any = None, **options: Any) -> str:
    (turn,) = build_request(of, style(expression), 0, choices, **options).turns
    return turn
