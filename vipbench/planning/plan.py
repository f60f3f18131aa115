"""Puts a plan together: what is asked, whom it can be compared with, and what it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vipbench.analysis.reproduce.published import read_registry
from vipbench.analysis.reproduce.verdicts import check_system
from vipbench.console import QUIET, Console
from vipbench.data.tasks import load_suite
from vipbench.endpoints import estimate
from vipbench.errors import RunError
from vipbench.judge.estimate import grading_plan
from vipbench.planning import asked as requests
from vipbench.planning.asked import TEXT_TOKENS, Asked, count_asked
from vipbench.planning.chain import NOTHING, Typed, check_slurm, local_chain, run_path, slurm_chain
from vipbench.planning.comparable import Wanted, find_comparable, wanted, with_shares
from vipbench.planning.devices import CPU, Fleet
from vipbench.planning.hours import Question, find_hours, read_bench
from vipbench.planning.records import Command, Comparable, Hours, Plan
from vipbench.planning.room import find_room
from vipbench.run.claim import RUNS
from vipbench.run.prepare import choice_of
from vipbench.run.settings import RunSettings
from vipbench.runners.device import dtype_on
from vipbench.runners.registry import find_spec
from vipbench.runners.spec import Outlined, RunnerSpec


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the user asks of a plan, beside what they ask of the run."""

    typed: Typed = NOTHING
    fleet: Fleet | None = None
    """None: what was measured, or one of each kind."""
    bench: Path | None = None
    system: str | None = None
    """As of `reproduce`."""
    comparable_only: bool = False
    slurm: bool = False


def make_plan(settings: RunSettings, options: PlanOptions, console: Console = QUIET) -> Plan:
    """Say what a run will take; loads no weights, writes nothing and asks nobody.

    Args:
        settings: of the run, with its defaults filled in.
        options: see there.
        console: shows bars while data are read.

    Raises:
        VipbenchError: Settings, data that are here, config, bench or devices cannot be used.
    """
    _check(settings, options)
    spec = find_spec(settings.runner, is_live=settings.live_model is not None)(choice_of(settings))
    model = spec.outline()
    if spec.asks_endpoint and (options.bench or (options.fleet and options.fleet.name)):
        raise RunError(
            f"--devices and --bench: runner {settings.runner} asks an endpoint, whose devices are "
            "not known here · expected neither · leave them out"
        )
    bench = None if options.bench is None else read_bench(options.bench, model)
    settings, found, names, left_out = _comparable(settings, options, spec, model)
    selection = requests.choose(settings, spec)
    spec.check_selection(selection)
    asked = count_asked(settings, selection, spec, console)
    runs = settings.out.parent if settings.out is not None else RUNS
    hours = (
        ()
        if spec.asks_endpoint
        else find_hours(Question(settings, model, asked.loads, runs, bench), options.fleet)
    )
    questions = [text for load in asked.loads for text in load.questions]
    grading = (
        None
        if settings.judge is None or not questions
        else grading_plan(questions * settings.judge.n_runs, settings.judge)
    )
    return Plan(
        suite=selection.suite,
        model=model.name,
        rows=asked.rows(),
        comparable=_with_requests(found, names, asked),
        left_out=left_out,
        n_weights=model.sizes.n_weights if model.sizes else None,
        dtype=dtype_on(_kind(settings, options.fleet), settings.dtype) if model.sizes else None,
        hours=hours,
        disk=find_room(settings, model, selection.tasks, asked),
        endpoint=asked.estimate,
        judge=None if grading is None else estimate.least(grading),
        judge_most=None if grading is None else estimate.most(grading),
        n_graded=sum(load.n_answered for load in asked.loads if load.kind == "graded"),
        assumed=tuple(_assumed(settings, asked, model, hours)),
        notes=selection.notes,
        commands=tuple(_commands(settings, options, spec, model, found)),
    )


def _kind(settings: RunSettings, fleet: Fleet | None) -> str:
    """Return torch's name of the kind of device that is planned with."""
    is_cpu = settings.device == CPU or (fleet is not None and fleet.name == CPU)
    return CPU if is_cpu else "cuda"


def _check(settings: RunSettings, options: PlanOptions) -> None:
    """Refuse what makes another run than a whole one of its own."""
    for option, is_given, other in (
        ("--shard", settings.shard is not None, "leave it out; --slurm makes shards"),
        ("--extend", settings.extend, "`vipbench run --extend --dry-run` says what it adds"),
    ):
        if is_given:
            raise RunError(f"{option}: is a part of a run · a plan is about a whole one · {other}")
    if options.slurm:
        check_slurm(settings, options.fleet)


def _comparable(
    settings: RunSettings, options: PlanOptions, spec: RunnerSpec, model: Outlined
) -> tuple[RunSettings, list[Comparable], list[Wanted], tuple[str, ...]]:
    """Hold the tasks against the published numbers; leave out those without, where asked to."""
    selection = requests.choose(settings, spec)
    suite = load_suite(settings.suite, settings.include) if settings.suite else None
    registries = read_registry()
    if options.system is not None:
        check_system(options.system, registries, "--published")
    names = wanted(settings.tasks or (suite.tasks if suite else ()), selection)
    found = [find_comparable(each, registries, model, options.system, settings) for each in names]
    if not options.comparable_only:
        return settings, found, names, ()
    kept = [each for each in found if each.numbers]
    left_out = tuple(each.name for each in found if not each.numbers)
    if not kept:
        why = next((reason for each in found for reason in each.reasons), "none is known of it")
        raise RunError(
            f"--comparable-only: no task has a published number of {model.name} ({why}) · expected "
            "one at least · leave it out, or name the published system with --published"
        )
    kept_names = {each.name for each in kept}
    chosen = settings.model_copy(update={"tasks": tuple(each.name for each in kept)})
    return chosen, kept, [each for each in names if each.name in kept_names], left_out


def _with_requests(
    found: Sequence[Comparable], names: Sequence[Wanted], asked: Asked
) -> tuple[Comparable, ...]:
    """Count the requests of each name, its parts together."""
    by_name = {
        each.name: sum(
            load.n for load in asked.loads if load.task in {part.spec.name for part in each.parts}
        )
        for each in names
    }
    return with_shares(found, by_name, sum(load.n for load in asked.loads))


def _assumed(
    settings: RunSettings, asked: Asked, model: Outlined, hours: Sequence[Hours]
) -> list[str]:
    """Say what the numbers rest on that nobody has measured."""
    texts = []
    if asked.unread:
        texts.append(
            f"no data here of {', '.join(asked.unread)}: as many samples as published, "
            f"a picture and {TEXT_TOKENS} tokens of text each"
        )
    if model.sizes is not None and any(each.source != "run" for each in hours):
        texts.append(
            "answers of 2 tokens to a choice, 3 if short, 28 if free; "
            f"{model.sizes.n_image_tokens} tokens a picture"
        )
    if settings.quantize is not None and any(each.source == "arithmetic" for each in hours):
        texts.append(f"{settings.quantize} is as fast as 16 bit; it is often slower")
    if len(hours) == 1 and hours[0].n > 1:
        texts.append(
            f"{hours[0].n} devices answer {hours[0].n} times as fast; loading is not in it"
        )
    return texts


def _commands(
    settings: RunSettings,
    options: PlanOptions,
    spec: RunnerSpec,
    model: Outlined,
    found: Sequence[Comparable],
) -> list[Command]:
    """Return the chain, with `reproduce` at its end where there is a number to be held against."""
    typed, out = options.typed, run_path(settings, model.name)
    if options.comparable_only:
        typed = typed._replace(tasks=("--tasks", ",".join(settings.tasks)))
    reproduces = any(each.numbers for each in found)
    if not options.slurm or options.fleet is None:
        return local_chain(typed, out, reproduces=reproduces, system=options.system)
    return slurm_chain(
        typed,
        out,
        settings,
        options.fleet,
        uses_gpu=spec.loads_checkpoint,
        reproduces=reproduces,
        system=options.system,
    )
