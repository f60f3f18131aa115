"""What a runner is, which there are, and what it must keep to.

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
    from vipbench.runners.contract import patch_size_of as patch_size_of
    from vipbench.runners.contract import reads_images as reads_images
    from vipbench.runners.contract import settings_of as settings_of
    from vipbench.runners.contract import splits_of as splits_of
    from vipbench.runners.registry import GROUP as GROUP
    from vipbench.runners.registry import RUNNERS as RUNNERS
    from vipbench.runners.registry import WITH_CHECKPOINT as WITH_CHECKPOINT
    from vipbench.runners.registry import find_plugin as find_plugin
    from vipbench.runners.registry import list_runners as list_runners
    from vipbench.runners.registry import make_runner as make_runner

_HOMES = {
    "GROUP": "vipbench.runners.registry",
    "RUNNERS": "vipbench.runners.registry",
    "Runner": "vipbench.runners.contract",
    "RunnerSettings": "vipbench.runners.contract",
    "WITH_CHECKPOINT": "vipbench.runners.registry",
    "check_responses": "vipbench.runners.contract",
    "find_plugin": "vipbench.runners.registry",
    "list_runners": "vipbench.runners.registry",
    "make_runner": "vipbench.runners.registry",
    "patch_size_of": "vipbench.runners.contract",
    "reads_images": "vipbench.runners.contract",
    "settings_of": "vipbench.runners.contract",
    "splits_of": "vipbench.runners.contract",
}

__all__ = [
    "GROUP",
    "RUNNERS",
    "WITH_CHECKPOINT",
    "Runner",
    "RunnerSettings",
    "check_responses",
    "find_plugin",
    "list_runners",
    "make_runner",
    "patch_size_of",
    "reads_images",
    "settings_of",
    "splits_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
