"""Evaluates vision-language models on visual prompts: marks drawn on an image.

Names are loaded when they are first used, so that `import vipbench` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

from vipbench._version import __version__ as __version__

if TYPE_CHECKING:
    from vipbench.api import evaluate
    from vipbench.data.samples import load_samples
    from vipbench.data.tasks import load_task
    from vipbench.errors import VipbenchError
    from vipbench.images.draw import render
    from vipbench.prompts.expressions import parse_styles
    from vipbench.prompts.request import build_request
    from vipbench.run.score import Results
    from vipbench.schema import (
        DataSource,
        Problem,
        PromptChoices,
        PromptStyle,
        Region,
        Request,
        Response,
        Sample,
        Score,
        TaskSpec,
        VisualPrompt,
    )
    from vipbench.scoring.extraction.rules import extract_answer
    from vipbench.training.callback import TrainerCallback


_HOMES = {
    "evaluate": "api",
    "extract_answer": "scoring.extraction.rules",
    "render": "images.draw",
    "VipbenchError": "errors",
    "build_request": "prompts.request",
    "Results": "run.score",
    "parse_styles": "prompts.expressions",
    "load_samples": "data.samples",
    "load_task": "data.tasks",
    "TrainerCallback": "training.callback",
} | dict.fromkeys(
    (
        "DataSource",
        "Problem",
        "PromptChoices",
        "PromptStyle",
        "Region",
        "Request",
        "Response",
        "Sample",
        "Score",
        "TaskSpec",
        "VisualPrompt",
    ),
    "schema",
)

__all__ = [
    "DataSource",
    "Problem",
    "PromptChoices",
    "PromptStyle",
    "Region",
    "Request",
    "Response",
    "Results",
    "Sample",
    "Score",
    "TaskSpec",
    "TrainerCallback",
    "VipbenchError",
    "VisualPrompt",
    "build_request",
    "evaluate",
    "extract_answer",
    "load_samples",
    "load_task",
    "parse_styles",
    "render",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'vipbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vipbench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
