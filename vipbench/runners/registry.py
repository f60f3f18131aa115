"""Which runners there are: a line for each that is built in; all others are plugins."""

import importlib
import os
import re
from collections.abc import Iterable
from typing import Any, cast

from vipbench.errors import RunnerError, nearest
from vipbench.runfolder.manifest import IMPORTED
from vipbench.runners.contract import Runner
from vipbench.runners.plugin import PluginSpec, list_plugins
from vipbench.runners.spec import BuildContext, ModelChoice, RunnerSpec
from vipbench.schema import AnswerPath, PromptFormat, Quantize, Trial

BUILT_IN = {
    "vipllava": "vipbench.runners.vipllava.spec:VipLlavaSpec",
    "hf": "vipbench.runners.hf.spec:HfSpec",
    "openai": "vipbench.runners.openai.spec:OpenAiSpec",
    "oracle": "vipbench.runners.baseline:OracleSpec",
    "constant": "vipbench.runners.baseline:ConstantSpec",
    "random": "vipbench.runners.baseline:RandomSpec",
    "majority": "vipbench.runners.baseline:MajoritySpec",
}
"""Name -> where its `RunnerSpec` is."""

UNLISTED = {IMPORTED: "vipbench.runners.imported:ImportedSpec"}
"""Built in too, but chosen by a command of its own."""


LIVE = {"vipllava": "vipbench.runners.vipllava.spec:LiveVipLlavaSpec"}
"""Those that take a model in memory, too."""


def find_spec(name: str, *, is_live: bool = False) -> type[RunnerSpec]:
    """Return what a runner says of itself, by its name, or by `package.module:Class`.

    `is_live`: for a model in memory, where the runner takes one.

    Raises:
        RunnerError: There is no such runner.
    """
    path = (BUILT_IN | UNLISTED | (LIVE if is_live else {})).get(name)
    if path is not None:
        module, _, cls = path.partition(":")
        return cast(type[RunnerSpec], getattr(importlib.import_module(module), cls))
    if meant := _meant(name):
        raise RunnerError(f"runner {name!r}: {meant}")
    if ":" not in name and name not in (plugins := list_plugins()):
        raise RunnerError(
            f"runner {name!r} is unknown{nearest(name, (*BUILT_IN, *plugins))} · a plugin may "
            "be named as package.module:Class"
        )
    return PluginSpec


def _meant(name: str) -> str:
    """Say what a name means that is an address or a model; empty where it may be a runner."""
    if re.match(r"https?://|[\w.-]+:\d+(/|$)", name):
        url = name if "://" in name else f"http://{name}"
        return f"is an address · give --runner openai --base-url {url} --model NAME"
    if "/" in name and ":" not in name:
        return f"is a model, not what runs it · give --model {name}, with --runner hf or without"
    return ""


def list_runners() -> dict[str, str]:
    """Return all runners that can be named, and what they are; a built-in name stays built in."""
    built_in = {name: find_spec(name).summary for name in BUILT_IN}
    plugins = {name: f"plugin: {point.value}" for name, point in list_plugins().items()}
    return built_in | {name: what for name, what in plugins.items() if name not in built_in}


def with_checkpoint() -> list[str]:
    """Return the names of the built-in runners that load a checkpoint."""
    return [name for name in BUILT_IN if find_spec(name).loads_checkpoint]


def make_runner(
    name: str = "vipllava",
    *,
    model: Any = None,
    processor: Any = None,
    trials: Iterable[Trial] = (),
    seed: int = 0,
    prompt_format: PromptFormat | None = None,
    dtype: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    path: AnswerPath = "fast",
    token_budget: int | None = None,
    base: str | None = None,
    adapter: str | None = None,
    quantize: Quantize | None = None,
) -> Runner:
    """Build a runner by name: a built-in one, an entry point, or `package.module:Class`.

    Args:
        name: see above.
        model: checkpoint folder or hub id, or a live VipLlava with its `processor`.
        processor: of a live model.
        trials: of the run, from which the baselines are built.
        seed: of the run; keys `random`.
        prompt_format: see `VipLlavaRunner`, as for the last seven.
        dtype: see there.
        device: see there.
        threads: see there.
        path: see there.
        token_budget: see there.
        base: see there.
        adapter: see there.
        quantize: see there.

    Raises:
        RunnerError: there is no such runner, or it cannot be built.
    """
    is_live = model is not None and not isinstance(model, str | os.PathLike)
    choice = ModelChoice(
        runner=name,
        model=None if is_live or model is None else str(model),
        live_model=model if is_live else None,
        processor=processor,
        base=base,
        adapter=adapter,
        quantize=quantize,
        prompt_format=prompt_format,
        dtype=dtype,
        device=device,
        path=path,
        seed=seed,
    )
    spec = find_spec(name, is_live=is_live)(choice)
    spec.check_live()
    return spec.build(choice, BuildContext(trials, None, threads, token_budget))
