"""`vipbench.evaluate`: a run from Python, with a path, a hub id, or a model in memory."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vipbench.console import STDERR, Console
from vipbench.errors import RunnerError
from vipbench.run.defaults import with_defaults
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runners.preserving import outside_autocast, preserved, preserved_generators
from vipbench.runners.vipllava.live import unwrapped
from vipbench.schema import DataSource
from vipbench.validation import checked


def evaluate(
    model: object = None,
    tasks: Sequence[str] | str | None = None,
    styles: str | Sequence[str] | None = None,
    *,
    processor: object = None,
    data: Mapping[str, DataSource | str | os.PathLike[str]] | None = None,
    progress: bool = False,
    **settings: Any,
) -> Results:
    """Evaluate a model on tasks under styles, and return its scores as pandas frames.

    Args:
        model: a checkpoint's folder or hub id, a VipLlava in memory (with its `processor`), or None
            for the embedded checkpoint on the embedded benchmark, or for none where `runner` names
            a baseline.
        tasks: names; None: the tasks of the suite, which is `demo` where none is named.
        styles: as for `--styles`, or a list of such; None: the suite's, else each task's headline.
        processor: of a model in memory; anything with a `tokenizer` and an `image_processor`.
        data: folder or question file of each data key; None: the embedded benchmark where the
            suite is `demo`.
        progress: show bars on stderr.
        settings: `base`, a checkpoint that lends what the model lacks, and any other field of
            `vipbench.run.settings.RunSettings`, which says what each is; on the command line it is
            the option of that name. `workers` is not for a model in memory.

    What the user should know is said on stderr, such as which prompt format is taken and why.
    Raises VipbenchError for what cannot be used. A model in memory is left in the mode, on the
    device and in the precision in which it came, and the global generators of Python, numpy and
    torch in their states; of torch.compile and DDP, the model inside is taken. Autocast of the
    caller is off meanwhile.
    """
    console = Console(STDERR.say, shows_bars=progress)
    asked = settings_of(model, tasks, styles, processor=processor, data=data, **settings)
    live = asked.live_model
    kept = preserved_generators() if live is None else preserved(unwrapped(live))
    with outside_autocast(), kept:
        return run(with_defaults(asked, console), console)


def settings_of(
    model: object = None,
    tasks: Sequence[str] | str | None = None,
    styles: str | Sequence[str] | None = None,
    *,
    processor: object = None,
    data: Mapping[str, DataSource | str | os.PathLike[str]] | None = None,
    **settings: Any,
) -> RunSettings:
    """Return the settings of a run that `evaluate` is asked for; VipbenchError names mistakes."""
    if isinstance(tasks, str):
        tasks = (tasks,)
    if styles is not None and not isinstance(styles, str):
        styles = ",".join(styles)
    live = model is not None and not isinstance(model, str | os.PathLike)
    if live and processor is None and settings.get("base") is None:
        raise RunnerError(
            "evaluate: a model in memory needs its processor · pass processor=…, or base=… with a "
            "checkpoint that has one"
        )
    for name in ("base", "adapter"):
        if isinstance(settings.get(name), os.PathLike):
            settings[name] = os.fspath(settings[name])
    fields = {
        **settings,
        "tasks": tuple(tasks or ()),
        "styles": styles,
        "data": _sources(data or {}),
        "model": None if live or model is None else os.fspath(model),  # type: ignore[call-overload]
        "live_model": model if live else None,
        "processor": processor,
    }
    return checked(RunSettings, fields, "evaluate")


def _sources(
    data: Mapping[str, DataSource | str | os.PathLike[str]],
) -> dict[str, DataSource]:
    return {
        key: source if isinstance(source, DataSource) else _source(Path(source))
        for key, source in data.items()
    }


def _source(path: Path) -> DataSource:
    """Take a folder, or a question file beside its images, as `--data` does."""
    return DataSource(path, path.parent if path.is_file() else path)
