"""Which tasks have published numbers of the checkpoint that is planned for, and who has the others.

A number is about the checkpoint where `vipbench reproduce` would say so.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vipbench.analysis.reproduce.protocol import SYNTHETIC, published_reasons
from vipbench.analysis.reproduce.published import Published, Registry
from vipbench.analysis.reproduce.records import JUDGE_METRIC, Reason
from vipbench.analysis.reproduce.systems import match_model
from vipbench.data.synthetic import is_synthetic
from vipbench.planning.asked import is_here
from vipbench.planning.records import Comparable, Known
from vipbench.run.settings import RunSettings
from vipbench.runners.spec import Outlined
from vipbench.trials.selection import Selection, TaskChoice


class Wanted(NamedTuple):
    """One name of a suite or of `--tasks`, and the tasks that are asked for it."""

    name: str
    parts: tuple[TaskChoice, ...]


def wanted(names: Sequence[str], selection: Selection) -> list[Wanted]:
    """Return the names of which something is asked, each with its parts."""
    choices = {choice.spec.name: choice for choice in selection.tasks}
    parts = {joint.name: tuple(map(str, joint.data)) for joint in selection.joints}
    found = []
    for name in dict.fromkeys(names):
        of_name = tuple(choices[part] for part in parts.get(name, (name,)) if part in choices)
        if of_name:
            found.append(Wanted(name, of_name))
    return found


def find_comparable(
    each: Wanted,
    registries: Sequence[Registry],
    model: Outlined,
    system: str | None,
    settings: RunSettings,
) -> Comparable:
    """Find the numbers of a task and its parts; how many requests they have is not told yet."""
    numbers: list[Known] = []
    reasons: dict[str, None] = {}
    others: dict[str, None] = {}
    if any(is_here(part) and is_synthetic(part.source) for part in each.parts):
        reasons[SYNTHETIC.text] = None
        registries = ()
    tasks = dict.fromkeys((each.name, *(part.spec.name for part in each.parts)))
    for file in registries:
        for number in (number for number in file.numbers if number.task in tasks):
            match = match_model(model.converted_from or model.name, number, system)
            against = list(_reasons(each, number, file, settings))
            if match is None:
                usable = number.models and not any(published_reasons(number, file))
                others |= dict.fromkeys(number.models[:1] if usable else ())
            elif against:
                reasons |= dict.fromkeys(reason.text for reason in against)
            else:
                numbers.append(_known(number, file))
    return Comparable(
        name=each.name,
        n_requests=0,
        share=0,
        numbers=tuple(numbers),
        reasons=tuple(reasons),
        others=tuple(others),
    )


def _known(number: Published, file: Registry) -> Known:
    graded = number.metric == JUDGE_METRIC
    return Known(
        task=number.task,
        group=number.group,
        metric=number.metric,
        value=number.value,
        judge=(file.protocols[number.protocol].judge or "a judge") if graded else None,
    )


def _reasons(
    each: Wanted, number: Published, file: Registry, settings: RunSettings
) -> Iterator[Reason]:
    """Yield why a number will not be comparable, as far as it is known before the run."""
    yield from published_reasons(number, file)
    style = file.protocols[number.protocol].style
    asked = {style.name for part in each.parts for style in part.styles}
    if style is not None and style not in asked:
        text = f"published under style {style}, which is not asked"
        yield Reason(code="style", text=text)
    limits = {settings.most_samples, *(part.limit for part in each.parts)} - {None}
    if settings.ids or limits:
        yield Reason(code="subset", text="not all samples are asked")


def with_shares(
    found: Sequence[Comparable], n_by_name: Mapping[str, int], total: int
) -> tuple[Comparable, ...]:
    """Tell how many requests are asked for each name."""
    return tuple(
        each.model_copy(
            update={
                "n_requests": n_by_name[each.name],
                "share": n_by_name[each.name] / total if total else 0.0,
            }
        )
        for each in found
    )
