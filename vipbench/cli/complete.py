"""Names that a shell completes: tasks, styles, suites, runners, metrics, keys of data.

A shell asks while somebody types, so a broken file completes nothing and is no error.
"""

from collections.abc import Callable, Iterable

from vipbench.errors import VipbenchError

Names = Callable[[], Iterable[str]]


def completing(names: Names, *, lists: bool = False) -> Callable[[str], list[str]]:
    """Return what Typer calls with the text so far.

    Args:
        names: returns all names.
        lists: whether the option takes several, between commas; the last one is completed.
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",") if lists else ("", "", incomplete)
        try:
            found = [name for name in names() if name.startswith(last)]
        except (VipbenchError, OSError):
            return []
        return [f"{before}{comma}{name}" for name in found]

    return complete


def _tasks() -> Iterable[str]:
    from vipbench.data.tasks import find_tasks

    return find_tasks()


def _suites() -> Iterable[str]:
    from vipbench.data.tasks import find_suites

    return find_suites()


def _styles() -> Iterable[str]:
    from vipbench.data.tasks import all_styles
    from vipbench.prompts.expressions import SWEEPS

    return [*all_styles(), *SWEEPS]


def _runners() -> Iterable[str]:
    from vipbench.runners.plugin import list_plugins
    from vipbench.runners.registry import BUILT_IN

    return [*BUILT_IN, *list_plugins()]


def _metrics() -> Iterable[str]:
    from typing import get_args

    from vipbench.schema import ExtraMetric

    return get_args(ExtraMetric)


def _data_keys() -> Iterable[str]:
    from vipbench.data.fetching.sources import find_sources

    return find_sources()


task = completing(_tasks)
style = completing(_styles, lists=True)
data_key = completing(_data_keys)
BY_OPTION = {
    "tasks": completing(_tasks, lists=True),
    "styles": style,
    "style": style,
    "suite": completing(_suites),
    "runner": completing(_runners),
    "metrics": completing(_metrics),
}
"""Name of an option's field -> what completes its value."""
