"""The report of a bench: its records, and how they follow from what the processes measured."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pydantic import Field

from vipbench import environment, files
from vipbench.bench.floor import Work
from vipbench.bench.machine import cpu_name
from vipbench.bench.mix import MixName
from vipbench.bench.ratios import Ratio, paired_ratio
from vipbench.bench.records import Outcome, Speed, WayName
from vipbench.bench.requests import NewTokens
from vipbench.bench.session import Round, Session
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
    """Share of the time in which the model had a batch, 0-1; None: not seen, since several
    processes answered."""
    wait_share: float | None
    """Share in which it waited for data, 0-1; writing is neither. Where several processes answered,
    that of the samples whose stages are measured, in one process; None: a server answered."""
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
    saving: float | None = None
    """Share of the arithmetic that was not computed again, 0-1, as counted while it answered; None:
    nothing was read once for several samples. `mfu` counts what is left."""
    forgets: bool = True
    """False: a server that knows in a round what it has read in those before."""


class Floor(Record):
    """What the arithmetic alone would take."""

    operations: Work
    """A sample, on average."""
    peak: float
    """Operations a second of a large matrix product on this device in this dtype, measured."""
    peak_threads: int
    samples_per_s: float
    """At that peak."""
    once: Work | None = None
    """Operations a sample where each picture, and each beginning that prompts have in common, is
    computed once; None: nothing is in common by intent."""
    saving: float | None = None
    """Share of the operations that this saves, 0-1."""


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
    ratio_unshared: float | None = None
    ratio_peer: float | None = None
    ratios: dict[WayName, Ratio] = Field(default={})
    """Other way -> the ratio to it in each round, and their mean with its interval."""
    n: int
    tasks: dict[str, int]
    """Task -> its samples."""
    mix: MixName | None = None
    """Every sample was asked under each of the `styles`."""
    styles: dict[str, int] = Field(default={})
    """Style -> its requests."""
    questions: int | None = None
    """Questions about each picture; None: as they are."""
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
    """UTC, ISO 8601."""


Texts = Mapping[WayName, Sequence[Sequence[str | None]]]
"""Way -> round -> texts of the samples that all ways were asked."""


class Measured(NamedTuple):
    """What the processes of a bench have measured."""

    speeds: Mapping[WayName, tuple[Speed, ...]]
    """What each way tried, the best first."""
    rounds: Mapping[WayName, list[Round]]
    peak: Mapping[int, float]
    """Threads -> operations a second of a matrix product."""
    counted: Outcome | None
    """What the prompts need alone and together; None: it was not counted."""


def make_report(
    session: Session,
    info: CheckpointInfo,
    measured: Measured,
    load_before: tuple[float, float, float] | None,
) -> BenchReport:
    """Put together what the processes of a bench measured.

    Args:
        session: the bench.
        info: its checkpoint.
        measured: by its processes.
        load_before: load average before the first measurement.
    """
    settings = session.settings
    speeds, rounds, peak, counted = measured
    peak_threads = max(peak, key=lambda n: peak[n])
    ways = {way: _way_report(rounds[way], speeds[way], peak[peak_threads]) for way in rounds}
    first = next(iter(rounds.values()))[0]
    part = first.parts[0]
    common = min((of_way[0].answers for of_way in rounds.values()), key=len)
    texts = {
        way: [[round_.answers[index].text for index in common] for round_ in rounds[way]]
        for way in rounds
    }
    trials = list(files.read_lines(session.base.requests, Trial))
    return BenchReport(
        ratio_official=_ratio(ways, "official"),
        ratio_usual=_ratio(ways, "usual"),
        answers_equal=_all_equal(texts),
        agreement=_agreement(texts),
        n_compared=len(common),
        n=session.n,
        ratio_unshared=_ratio(ways, "unshared"),
        ratio_peer=_ratio(ways, "peer"),
        ratios=_ratios(ways),
        tasks=_counted((trial.task for trial in trials), session.base.repeat),
        mix=settings.mix,
        styles=_counted((trial.style for trial in trials), session.base.repeat),
        questions=settings.questions,
        model=info.name if settings.random is None else f"random {settings.random}",
        prompt_tokens=settings.prompt_tokens,
        new_tokens=settings.new_tokens,
        image_width=settings.image_width,
        ways=ways,
        floor=_floor(first, peak[peak_threads], peak_threads, counted),
        device=f"{part.device} {part.device_name}".strip(),
        dtype=part.dtype,
        machine=cpu_name(),
        n_cores=os.cpu_count() or 1,
        rounds=settings.rounds,
        versions=environment.versions(),
        load_average=load_before,
        finished=environment.now(),
    )


def _all_equal(texts: Texts) -> bool | None:
    """Whether all ways answered alike in all rounds; None where there is one way only."""
    if len(texts) == 1:
        return None
    rounds = [answers for of_way in texts.values() for answers in of_way]
    return None not in rounds[0] and all(answers == rounds[0] for answers in rounds)


def _agreement(texts: Texts) -> dict[WayName, int]:
    """Count the samples that another way answered as vipbench did, in the first round."""
    if "vipbench" not in texts:
        return {}
    ours = texts["vipbench"][0]
    return {
        way: sum(a == b for a, b in zip(ours, of_way[0], strict=True))
        for way, of_way in texts.items()
        if way != "vipbench"
    }


def _ratio(ways: Mapping[WayName, WayReport], way: WayName) -> float | None:
    """Return how many times as fast as a way vipbench is; None where one was not measured."""
    if way not in ways or "vipbench" not in ways:
        return None
    return ways["vipbench"].samples_per_s / ways[way].samples_per_s


def _ratios(ways: Mapping[WayName, WayReport]) -> dict[WayName, Ratio]:
    """Compare vipbench with each other way, round by round."""
    if "vipbench" not in ways:
        return {}
    ours = ways["vipbench"].samples_per_s_rounds
    return {
        way: paired_ratio(ours, other.samples_per_s_rounds)
        for way, other in ways.items()
        if way != "vipbench"
    }


def _counted(names: Iterable[str], repeat: int) -> dict[str, int]:
    """Count names, each so many times."""
    return {name: n * repeat for name, n in Counter(names).items()}


def _floor(first: Round, peak: float, peak_threads: int, counted: Outcome | None) -> Floor:
    """Say what the answers of a round need, and how fast they could be at a measured peak."""
    works, n = first.works, len(first.answers)
    once = saving = None
    if counted is not None and counted.once is not None and counted.alone is not None:
        # Answers have nothing in common; a way that was asked few of the samples has fewer.
        decode, n_all = works.decode * counted.n // n, counted.n
        once = _each(counted.once.model_copy(update={"decode": decode}), n_all)
        saving = 1 - (counted.once.total + decode) / (counted.alone.total + decode)
    return Floor(
        once=once,
        saving=saving,
        operations=_each(works, n),
        peak=peak,
        peak_threads=peak_threads,
        samples_per_s=n / (works.total / peak),
    )


def _each(works: Work, n: int) -> Work:
    """Return the operations of one of `n` answers."""
    return Work(vision=works.vision // n, prefill=works.prefill // n, decode=works.decode // n)


def _way_report(rounds: Sequence[Round], tried: tuple[Speed, ...], peak: float) -> WayReport:
    """Describe the round of a way whose time is the median; `tried`: the best first."""
    by_time = sorted(rounds, key=lambda round_: round_.seconds)
    median = by_time[(len(by_time) - 1) // 2]
    parts, seconds, n = median.parts, median.seconds, len(median.answers)
    n_prompt = sum(answer.n_prompt for answer in median.answers.values())
    n_new = sum(answer.n_new for answer in median.answers.values())
    n_steady = n - sum(part.n_first for part in parts)
    seconds_steady = seconds - sum(part.seconds_first for part in parts)
    all_parts = [part for round_ in rounds for part in round_.parts]
    staged = next((part for part in all_parts if part.stages), None)
    grown = max(parts, key=_growth)
    busy = _sum(part.seconds_busy for part in parts)
    waited = _sum(part.seconds_waited for part in parts)
    saved = sum(part.readings.asked.operations - part.readings.read.operations for part in parts)
    wait_share = None if waited is None else waited / seconds
    if wait_share is None and staged is not None:
        wait_share = staged.stages.get("wait", 0.0) / staged.seconds_staged
    stages: dict[str, float] = {}
    if staged is not None:
        n_staged = staged.n_staged
        stages = {name: 1000 * taken / n_staged for name, taken in staged.stages.items()}
    return WayReport(
        threads=tried[0].threads,
        workers=tried[0].workers,
        processes=len(parts),
        batch_size=max(part.batch_size for part in parts),
        attention=parts[0].attention,
        n=n,
        samples_per_s=n / seconds,
        samples_per_s_rounds=tuple(n / round_.seconds for round_ in rounds),
        samples_per_s_steady=n_steady / seconds_steady if n_steady else None,
        prompt_tokens_per_s=n_prompt / seconds,
        new_tokens_per_s=n_new / seconds,
        new_tokens=n_new / n,
        padding_waste=1 - n_prompt / sum(part.n_padded for part in parts),
        mfu=(median.works.total - saved) / peak / seconds,
        busy_share=None if busy is None else busy / seconds,
        wait_share=wait_share,
        seconds_to_start=parts[0].seconds_to_start,
        seconds_to_load=parts[0].seconds_to_load,
        memory_mib=max(part.memory_mib for part in all_parts),
        memory_mib_first=grown.memory_mib_first,
        memory_course=grown.memory_course,
        device_mib=grown.device_mib,
        device_mib_first=grown.device_mib_first,
        device_course=grown.device_course,
        stages=stages,
        tried=tried,
        load_average=parts[-1].load_average,
        saving=saved / median.works.total if saved else None,
        forgets=all(part.forgets for part in all_parts),
    )


def _growth(part: Outcome) -> float:
    """Return by how much the memory of a process grew, MiB."""
    course = part.memory_course
    return course[-1] - course[0] if course else part.memory_mib - part.memory_mib_first


def _sum(values: Iterable[float | None]) -> float | None:
    """Sum up; None where one is unknown."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
