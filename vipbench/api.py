"""`vipbench.evaluate`: a run from Python, with a path, a hub id, or a model in memory."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vipbench.console import Console
from vipbench.demo import embedded
from vipbench.errors import RunnerError
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.schema import DataSource
from vipbench.validation import checked

DEMO = "demo"


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
            for the embedded checkpoint, or for none where `runner` names a baseline.
        tasks: names; None: the tasks of the suite, which is then `demo`.
        styles: as for `--styles`, or a list of such; None: the suite's, else each task's headline.
        processor: of a model in memory; anything with a `tokenizer` and an `image_processor`.
        data: folder or question file of each data key; None: the embedded benchmark where the
            suite is `demo`.
        progress: show bars on stderr.
        settings: any other field of `vipbench.run.settings.RunSettings`, which says what each is;
            on the command line it is the option of that name. `workers` is not for a model in
            memory.

    Raises VipbenchError for what cannot be used. A model in memory is left in the mode, on the
    device and in the precision in which it came.
    """
    if isinstance(tasks, str):
        tasks = (tasks,)
    if styles is not None and not isinstance(styles, str):
        styles = ",".join(styles)
    live = model is not None and not isinstance(model, str | os.PathLike)
    if live and processor is None:
        raise RunnerError("evaluate: a model in memory needs its processor · pass processor=…")
    if model is None and settings.get("runner", VIPLLAVA) == VIPLLAVA:
        model = embedded.CHECKPOINT
    if tasks is None:
        settings.setdefault("suite", DEMO)
    if data is None:
        # never for tasks that are named: nobody is to measure synthetic data by accident
        data = embedded.benchmark() if settings.get("suite") == DEMO else {}
    fields = {
        **settings,
        "tasks": tuple(tasks or ()),
        "styles": styles,
        "data": _sources(data),
        "model": None if live or model is None else os.fspath(model),  # type: ignore[call-overload]
        "live_model": model if live else None,
        "processor": processor,
    }
    return run(checked(RunSettings, fields, "evaluate"), Console(shows_bars=progress))


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
