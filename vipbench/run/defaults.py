"""What is asked where the user does not say so: one rule for the command line and for Python.

The embedded benchmark is taken where neither suite nor tasks are named, or the suite is its own.
The embedded checkpoint answers there, and nowhere else: nobody is to measure it on real data, or
real data beside synthetic ones, without having said so.
"""

from vipbench.console import QUIET, Console
from vipbench.data.locate import KEYS
from vipbench.data.synthetic import is_synthetic
from vipbench.data.tasks import load_suite, load_task
from vipbench.demo import embedded
from vipbench.errors import RunError
from vipbench.run.extend import with_run
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.schema import DataSource

DEMO = "demo"
PAPER = "paper"
"""The suite that a replay is about."""


def with_defaults(settings: RunSettings, console: Console = QUIET) -> RunSettings:
    """Fill in suite, data and checkpoint where the user names none.

    `console` is told where a model of the user's meets the embedded benchmark without its name.

    Raises:
        RunError: The embedded benchmark would stand beside other data, or a run cannot be extended.
        VipbenchError: There is no such suite or task.
    """
    settings = with_run(settings)
    is_named = settings.suite is not None or bool(settings.tasks)
    if not is_named:
        settings = settings.model_copy(update={"suite": PAPER if settings.replay else DEMO})
    if not settings.suite or not load_suite(settings.suite, settings.include).demo:
        return settings
    needed = _needed(settings)
    own = [key for key in needed if key not in KEYS or _is_own(settings.data.get(key))]
    missing = [key for key in needed if key in KEYS and key not in settings.data]
    if own and missing:
        raise RunError(
            f"suite {settings.suite}: the data of {', '.join(own)} are not the embedded ones, and "
            f"those of {', '.join(missing)} would be, which are synthetic · give --data "
            f"{missing[0]}=DIR too, name --tasks without the suite, or leave --data out"
        )
    given = (settings.model, settings.adapter, settings.live_model)
    has_model = any(model is not None for model in given)
    changes: dict[str, object] = {}
    if missing:
        changes["data"] = embedded.benchmark() | settings.data
        if has_model and not is_named:
            console.say("data: the embedded benchmark, which is synthetic (no --tasks, no --suite)")
    if not own and not has_model and settings.runner == VIPLLAVA:
        changes["model"] = str(embedded.CHECKPOINT)
    return settings.model_copy(update=changes)


def _is_own(source: DataSource | None) -> bool:
    return source is not None and not is_synthetic(source)


def _needed(settings: RunSettings) -> list[str]:
    """Return the data keys of the tasks that are asked; a joint task has those of its parts."""
    assert settings.suite is not None
    suite = load_suite(settings.suite, settings.include)
    keys: dict[str, None] = {}
    for name in settings.tasks or suite.tasks:
        spec = load_task(name, settings.include)
        parts = (
            [spec]
            if isinstance(spec.data, str)
            else [load_task(part, settings.include) for part in spec.data]
        )
        keys |= dict.fromkeys(str(part.data) for part in parts)
    return list(keys)
