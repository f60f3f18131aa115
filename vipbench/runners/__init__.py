"""What answers: which runners there are, what each says of itself, and what it must keep to.

A runner turns requests and images into responses. It owns prompt format, image token, padding,
dtype and device, and sees neither samples nor targets. Plugins come as an entry point of group
`vipbench.runners` or as `package.module:Class`, and are built as `Class(model)`, where `model` is
the text of `--model` or None.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.runners.contract import Runner as Runner
    from vipbench.runners.contract import RunnerSettings as RunnerSettings
    from vipbench.runners.contract import check_responses as check_responses
    from vipbench.runners.registry import list_runners as list_runners
    from vipbench.runners.registry import make_runner as make_runner

_HOMES = {
    "Runner": "contract",
    "RunnerSettings": "contract",
    "check_responses": "contract",
    "list_runners": "registry",
    "make_runner": "registry",
}

__all__ = ["Runner", "RunnerSettings", "check_responses", "list_runners", "make_runner"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
