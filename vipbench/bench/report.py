"""report: part of what was vipbench/bench/__init__.py."""

import datetime
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vipbench import files
from vipbench.bench.floor import Work
from vipbench.bench.records import Outcome, Speed, WayName
from vipbench.bench.requests import NewTokens
from vipbench.bench.rounds import Bench, Round
from vipbench.environment import versions
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo
from vipbench.schema import Record, Trial


class WayReport(Record):
    """How one way did, in the round whose time is the median (of two, the better)."""

    threads: int
    """Of each process."""
    workers: int
    """Processes that answer at a time."""
    processes: int
    """Processes that answered one after another, the time of each counted from its first request to
    its last answer."""
    batch_size: int
    """Requests of the largest batch."""
    attention: str
    """Kernel that torch takes for the attention of a prompt."""
    n: int
    """Samples that it was asked."""
    samples_per_s: float
    """From the first request to the last answer."""
    samples_per_s_rounds: tuple[float, ...]
    samples_per_s_steady: float | None
    """Without the first batch; None where there is no other."""
    prompt_tokens_per_s: float
    """Image tokens among them."""
    new_tokens_per_s: float
    """End tokens among them."""
    new_tokens: float
    """Of an answer, on average."""
    padding_waste: float
    """Share of the prompts' tokens that is padding, 0-1."""
    mfu: float
    """Needed arithmetic over what the device could have done meanwhile, 0-1."""
    busy_share: float | None
    """Share of the time in which the model had a batch, 0-1; None: not seen, since processes of
    their own answered."""
    wait_share: float
    """Share in which it waited for data, 0-1; writing is neither. Where processes of their own
    answered, that of the samples whose stages are measured, in one process."""
    seconds_to_start: float
    """Until torch and transformers are loaded."""
    seconds_to_load: float
    """The model."""
    memory_mib: float
    """Largest resident memory of the process."""
    memory_mib_first: float
    """The same after the first batch."""
    memory_course: tuple[float, ...]
    """Resident memory after the first batch and after each tenth of the samples, MiB: of the
    process that grew most. Empty where the system does not tell."""
    device_mib: float | None
    """Largest memory of tensors on the device; None on a CPU."""
    device_mib_first: float | None
    """The same after the first batch."""
    device_course: tuple[float, ...]
    """What torch holds of the device's memory, at the times of `memory_course`."""
    stages: dict[str, float]
    """Milliseconds a sample, measured apart with a clock around each stage."""
    tried: tuple[Speed, ...]
    """Threads and batch sizes on a part of the samples."""
    load_average: tuple[float, float, float] | None
    """At the end of the round."""


class Floor(Record):
    """What the arithmetic alone would take."""

    operations: Work
    """A sample, on average."""
    peak: float
    """Operations a second of a large matrix product on this device in this dtype, measured."""
    peak_threads: int
    samples_per_s: float
    """At that peak."""


class BenchReport(Record):
    """The JSON file of a bench."""

    ratio_official: float | None
    """Samples/s of vipbench over those of the official way; None where one was not measured."""
    ratio_usual: float | None
    answers_equal: bool | None
    """All ways gave the same text for every sample that all were asked, in every round; None where
    only one was measured."""
    agreement: dict[WayName, int]
    """Samples that another way answered as vipbench did, of `n_compared`."""
    n_compared: int
    """Samples that all ways were asked."""
    n: int
    tasks: dict[str, int]
    """Samples of each."""
    model: str
    prompt_tokens: int | None
    new_tokens: NewTokens | None
    image_width: int | None
    ways: dict[WayName, WayReport]
    floor: Floor
    device: str
    dtype: str
    machine: str
    """Model of the CPU."""
    n_cores: int
    rounds: int
    versions: dict[str, str]
    load_average: tuple[float, float, float] | None
    """Before the first measurement since the last start."""
    finished: str


# --- the report


def _report(
    started: Bench,
    info: CheckpointInfo,
    tried: Mapping[WayName, tuple[Speed, ...]],
    rounds: Mapping[WayName, list[Round]],
    peak: Mapping[int, float],
    load_average: tuple[float, float, float] | None,
) -> BenchReport:
    settings = started.settings
    peak_threads = max(peak, key=lambda n: peak[n])
    ways = {way: _way(rounds[way], tried[way], peak[peak_threads]) for way in rounds}
    first = next(iter(rounds.values()))[0]
    works, n = first.works, len(first.answers)
    common = min((each[0].answers for each in rounds.values()), key=len)
    texts = {
        way: [[each.answers[place].text for place in common] for each in rounds[way]]
        for way in rounds
    }
    all_texts = [each for way in texts for each in texts[way]]
    speeds = {way: found.samples_per_s for way, found in ways.items()}
    trials = files.read_lines(started.base.requests, Trial)
    return BenchReport(
        ratio_official=_ratio(speeds, "official"),
        ratio_usual=_ratio(speeds, "usual"),
        answers_equal=None
        if len(ways) == 1
        else None not in all_texts[0] and all(each == all_texts[0] for each in all_texts),
        agreement={
            way: sum(a == b for a, b in zip(texts["vipbench"][0], texts[way][0], strict=True))
            for way in texts
            if way != "vipbench" and "vipbench" in texts
        },
        n_compared=len(common),
        n=started.n,
        tasks=dict(Counter(trial.task for trial in trials for _ in range(started.base.repeat))),
        model=info.name if settings.random is None else f"random {settings.random}",
        prompt_tokens=settings.prompt_tokens,
        new_tokens=settings.new_tokens,
        image_width=settings.image_width,
        ways=ways,
        floor=Floor(
            operations=Work(
                vision=works.vision // n, prefill=works.prefill // n, decode=works.decode // n
            ),
            peak=peak[peak_threads],
            peak_threads=peak_threads,
            samples_per_s=n / (works.total / peak[peak_threads]),
        ),
        device=f"{first.parts[0].device} {first.parts[0].device_name}".strip(),
        dtype=first.parts[0].dtype,
        machine=_machine(),
        n_cores=os.cpu_count() or 1,
        rounds=settings.rounds,
        versions=versions(),
        load_average=load_average,
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _ratio(speeds: Mapping[WayName, float], way: WayName) -> float | None:
    if way not in speeds or "vipbench" not in speeds:
        return None
    return speeds["vipbench"] / speeds[way]


def _way(rounds: Sequence[Round], tried: tuple[Speed, ...], peak: float) -> WayReport:
    by_time = sorted(rounds, key=lambda each: each.seconds)
    median = by_time[(len(by_time) - 1) // 2]
    parts, seconds, n = median.parts, median.seconds, len(median.answers)
    n_prompt = sum(answer.n_prompt for answer in median.answers.values())
    n_new = sum(answer.n_new for answer in median.answers.values())
    later = n - sum(part.n_first for part in parts)
    staged = next(part for each in rounds for part in each.parts if part.stages)
    grown = max(parts, key=_growth)
    busy = _sum(part.seconds_busy for part in parts)
    waited = _sum(part.seconds_waited for part in parts)
    return WayReport(
        threads=tried[0].threads,
        workers=tried[0].workers,
        processes=len(parts),
        batch_size=max(part.batch_size for part in parts),
        attention=parts[0].attention,
        n=n,
        samples_per_s=n / seconds,
        samples_per_s_rounds=tuple(n / each.seconds for each in rounds),
        samples_per_s_steady=later / (seconds - sum(part.seconds_first for part in parts))
        if later
        else None,
        prompt_tokens_per_s=n_prompt / seconds,
        new_tokens_per_s=n_new / seconds,
        new_tokens=n_new / n,
        padding_waste=1 - n_prompt / sum(part.n_padded for part in parts),
        mfu=median.works.total / peak / seconds,
        busy_share=None if busy is None else busy / seconds,
        wait_share=staged.stages.get("wait", 0.0) / staged.seconds_staged
        if waited is None
        else waited / seconds,
        seconds_to_start=parts[0].seconds_to_start,
        seconds_to_load=parts[0].seconds_to_load,
        memory_mib=max(part.memory_mib for each in rounds for part in each.parts),
        memory_mib_first=grown.memory_mib_first,
        memory_course=grown.memory_course,
        device_mib=grown.device_mib,
        device_mib_first=grown.device_mib_first,
        device_course=grown.device_course,
        stages={name: 1000 * taken / staged.n_staged for name, taken in staged.stages.items()},
        tried=tried,
        load_average=parts[-1].load_average,
    )


def _growth(part: Outcome) -> float:
    """Tell by how much a process grew, MiB."""
    course = part.memory_course
    return course[-1] - course[0] if course else part.memory_mib - part.memory_mib_first


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum up; None where one is not known."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)


def _machine() -> str:
    """Name the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _load_average() -> tuple[float, float, float] | None:
    return os.getloadavg() if hasattr(os, "getloadavg") else None
