"""How long devices answer: as a bench or an earlier run has measured, else by arithmetic."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

from pydantic import ValidationError

from vipbench import files
from vipbench.bench.floor import count
from vipbench.bench.records import RandomSize
from vipbench.bench.report import BenchReport
from vipbench.errors import RunError
from vipbench.planning.asked import Load
from vipbench.planning.devices import CPU, DEVICES, Device, Fleet, find_device
from vipbench.planning.records import Hours
from vipbench.run.dry_run import measured
from vipbench.run.settings import RunSettings
from vipbench.runfolder.manifest import Manifest
from vipbench.runners.device import dtype_on
from vipbench.runners.spec import Outlined
from vipbench.runners.vipllava.model_sizes import ModelSizes, sizes_of

SHARE = 0.35
"""Of a device's stated peak that is assumed to be reached where nothing was measured. Ours, on the
careful side of the 55 % of a measured peak (44 % of the stated one) that are aimed at for letters
on an H100 (docs/performance.md)."""
ROOM = 256
"""Tokens of a prompt beside those of its image that have to fit for a model to fit."""


_EXPECTED = "expected a file of `vipbench bench --json FILE`"
_ADVICE = files.Advice(broken=_EXPECTED, missing=_EXPECTED)


class Measured(NamedTuple):
    """What a bench found out."""

    path: Path
    report: BenchReport
    device: Device | None
    """As the table has it; None: it is not there."""

    @property
    def rate(self) -> float:
        """Needed operations a second that it reached."""
        return self.report.floor.operations.total * self.report.ways["vipbench"].samples_per_s

    @property
    def is_cpu(self) -> bool:
        """Whether a CPU answered."""
        return self.report.device.startswith(CPU)


def read_bench(path: Path, model: Outlined) -> Measured:
    """Read what `vipbench bench` has written about a model, or a random one of its sizes.

    Raises:
        RunError: The file is none, is about another model, or without the way `vipbench`.
    """
    where = f"--bench {path}"
    try:
        report = BenchReport.model_validate(files.read_json(path, _ADVICE))
    except ValidationError as error:
        key = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        raise RunError(
            f"{where}: is not what this vipbench measures (at {key}) · {_EXPECTED}"
        ) from error
    if report.model != model.name and not _is_of_sizes(report.model, model.sizes):
        raise RunError(
            f"{where}: is about model {report.model}, not {model.name} · expected one of this "
            f"model, or of a random one of its sizes · measure it: vipbench bench --model MODEL"
        )
    if report.mix is not None or report.questions is not None:
        raise RunError(
            f"{where}: is about questions that have much in common, and the pace is theirs alone · "
            "expected a bench without --mix and --questions"
        )
    if "vipbench" not in report.ways:
        raise RunError(
            f"{where}: holds the ways {', '.join(report.ways)} only · expected the way vipbench · "
            "measure it: vipbench bench --ways vipbench"
        )
    return Measured(path, report, find_device(report.device.partition(" ")[2]))


def _is_of_sizes(name: str, sizes: ModelSizes | None) -> bool:
    """Say whether `random 7b` has the sizes of a model, but for its vocabulary."""
    known: dict[str, RandomSize] = {f"random {size}": size for size in get_args(RandomSize)}
    size = known.get(name)
    if sizes is None or size is None:
        return False
    from vipbench.bench.models import random_config  # loads transformers

    made = sizes_of(random_config(size))
    return made.model_copy(update={"vocabulary": sizes.vocabulary}) == sizes


def work_of(loads: Sequence[Load], sizes: ModelSizes) -> int:
    """Count the operations that all answers need, with prompts and answers of the mean length."""
    total = 0
    for load in loads:
        n = load.n_answered
        if not n:
            continue
        n_prompt = (load.n_text_tokens + sizes.n_image_tokens * load.n_pictures) // n
        work = count(sizes, max(n_prompt, 1), load.answer_tokens - 1)
        total += work.vision * load.n_pictures + (work.prefill + work.decode) * n
    return total


class Question(NamedTuple):
    """What hours are asked for."""

    settings: RunSettings
    model: Outlined
    loads: Sequence[Load]
    runs: Path
    """Folder of earlier runs."""
    bench: Measured | None

    @property
    def n(self) -> int:
        """Requests that can be asked."""
        return sum(load.n_answered for load in self.loads)


def find_hours(question: Question, fleet: Fleet | None) -> tuple[Hours, ...]:
    """Say how long some devices take; where no kind is named, that measured, else each kind."""
    bench = question.bench
    settings = question.settings
    if bench is not None:
        return (_by_bench(question, bench, fleet or Fleet(1, None, None)),)
    if fleet is None:
        fleet = Fleet(settings.n_workers, CPU if settings.device == CPU else None, None)
    found = _earlier(question, fleet)
    if found is not None:
        return (found,)
    if fleet.name is not None or question.model.sizes is None:
        return (_by_arithmetic(question, fleet),)
    kinds = [Fleet(fleet.n, device.name, device) for device in DEVICES]
    if settings.device is None:
        kinds.append(Fleet(fleet.n, CPU, None))
    return tuple(_by_arithmetic(question, each) for each in kinds)


def _by_bench(question: Question, bench: Measured, fleet: Fleet) -> Hours:
    """Scale what was measured by the arithmetic that is needed."""
    sizes, where = question.model.sizes, f"{bench.path} on {bench.report.device}"
    if sizes is None:  # cannot be, since a bench is of a VipLlava
        return _unknown(question, fleet)
    work = work_of(question.loads, sizes)
    is_same = fleet.name is None or (
        bench.is_cpu if fleet.name == CPU else fleet.device == bench.device
    )
    if is_same:
        name = fleet.name or (bench.device.name if bench.device else bench.report.device)
        hours = work / bench.rate / fleet.n / 3600
        least = work / bench.report.floor.peak / fleet.n / 3600
        text = f"measured: {where}, by the arithmetic of these requests"
        return _with_memory(
            question, fleet._replace(device=fleet.device or bench.device), name
        ).model_copy(update={"hours": hours, "least_hours": least, "source": "bench", "text": text})
    if bench.device is None or fleet.device is None:
        raise RunError(
            f"--bench {bench.path}: was measured on {bench.report.device}, which tells nothing of "
            f"{fleet.name} · expected a bench made there, or on a device of the table · leave "
            "--bench or --devices out"
        )
    dtype = bench.report.dtype
    share = bench.rate / _peak(bench.device, dtype)
    return _by_arithmetic(question, fleet, share, f"as {where}")


def _earlier(question: Question, fleet: Fleet) -> Hours | None:
    """Look for a run of this model on a device of this type; None: there is none."""
    model, settings = question.model, question.settings
    kind = None if fleet.name is None else (CPU if fleet.name == CPU else "cuda")
    devices: list[str] = []

    def is_same(manifest: Manifest) -> bool:
        identity = manifest.identity
        on = manifest.device.partition(":")[0]
        same = (
            (identity.model, identity.runner) == (model.name, settings.runner)
            and manifest.workers == settings.n_workers
            and kind in (None, on)
        )
        if same:
            devices.append(on)
        return same

    seconds, text = measured(question.runs, is_same)
    if seconds is None:
        return None
    name = fleet.name or devices[-1]
    n_groups = max(fleet.n / settings.n_workers, 1)
    which = "" if name == CPU else ", whose card it does not record"
    return _with_memory(question, fleet, name).model_copy(
        update={
            "hours": seconds * question.n / n_groups / 3600,
            "source": "run",
            "text": f"{text}{which}",
        }
    )


def _by_arithmetic(
    question: Question, fleet: Fleet, share: float = SHARE, whose: str = "assumed"
) -> Hours:
    """Divide what is needed by a share of what the device could do."""
    sizes, device = question.model.sizes, fleet.device
    if sizes is None or device is None:
        return _unknown(question, fleet)
    dtype = dtype_on("cuda", question.settings.dtype)
    peak = _peak(device, dtype)
    least = work_of(question.loads, sizes) / peak / fleet.n / 3600
    text = f"{100 * share:.0f} % of {peak / 1e12:.0f} TFLOP/s in {dtype}, {whose}"
    return _with_memory(question, fleet, device.name).model_copy(
        update={
            "hours": least / share,
            "least_hours": least,
            "source": "arithmetic",
            "text": text,
        }
    )


def _peak(device: Device, dtype: str) -> float:
    return device.peak_32 if dtype == "float32" else device.peak_16


def _unknown(question: Question, fleet: Fleet) -> Hours:
    """Say why nothing is known."""
    name, runs = question.model.name, question.runs
    if question.model.sizes is None:
        why = f"runner {question.settings.runner} does not count its arithmetic"
    else:
        why = "the peak of a CPU is not known before `vipbench bench` has measured it"
    text = f"unknown: no earlier run of {name} in {runs}, and {why}"
    return Hours(
        device=fleet.name or "device",
        n=fleet.n,
        hours=None,
        least_hours=None,
        source="unknown",
        text=text,
    )


def _with_memory(question: Question, fleet: Fleet, name: str) -> Hours:
    """Say what fits into the memory of a device, as runs are sized; the hours are still to come."""
    sizes, device = question.model.sizes, fleet.device
    tokens = None
    if sizes is not None and device is not None:
        from vipbench.runners.vipllava.sizing import token_budget, tokens_that_fit  # loads torch

        itemsize = 4 if dtype_on("cuda", question.settings.dtype) == "float32" else 2
        quantize = question.settings.quantize
        bits = int(quantize.removeprefix("int")) if quantize else None
        about = (sizes, itemsize, device.memory_gb * 10**9, bits)
        fits = tokens_that_fit(*about) >= sizes.n_image_tokens + ROOM
        tokens = token_budget(*about) if fits else 0
    return Hours(
        device=name,
        n=fleet.n,
        hours=None,
        least_hours=None,
        source="unknown",
        text="",
        memory_gb=None if device is None else device.memory_gb,
        batch_tokens=tokens,
    )
