"""What differs between two runs beside the checkpoint, named from one list; runs no model."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from vipbench.analysis.asked import asked_otherwise
from vipbench.analysis.pairs import Side, differences
from vipbench.errors import RunError
from vipbench.report.names import display_names
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.differing import in_words
from vipbench.runfolder.judge_file import judge_labels
from vipbench.runfolder.manifest import IMPORTED
from vipbench.schema import Record

NAMES = (
    "prompt_format",
    "fit",
    "dtype",
    "path",
    "judge",
    "rule",
    "tokenizer",
    "processor",
    "template",
    "runner",
    "answered_by",
    "exif",
    "endpoint",
    "style",
    "requests",
)
"""Everything that is looked at, in the order in which it is told."""
_PARTS = ("tokenizer", "processor", "template")
_TOLD_HERE = (
    "settings.prompt_format: ",
    "settings.dtype: ",
    "settings.quantization: ",
    "settings.processor: ",
    "settings.endpoint",
    "fits.",
    "runner: ",
    "exif.",
    "exif: ",
)
"""Fields of the identity that these names stand for, as `pairs.differences` begins its lines."""


class Difference(Record):
    """Something beside the checkpoint that differs between two runs."""

    name: str
    """One of `NAMES`."""
    base: str
    new: str

    @property
    def words(self) -> str:
        """The difference in a line."""
        return f"{self.name}: {self.base} → {self.new}"


class Apart(NamedTuple):
    """How far two runs are a comparison of their checkpoints."""

    differences: tuple[Difference, ...]
    """What differs beside the checkpoint."""
    models: tuple[str, str]
    """Names of the two; different weights have different names."""
    same_weights: bool
    """Both have the same weights, whatever they are called."""
    notes: tuple[str, ...]
    """What is not known, and which runs have the same weights."""
    others: tuple[str, ...]
    """What else differs, as `field: base → new`: the model, seeds, subsets, styles."""

    def forbidden(self, allowed: Collection[str]) -> list[Difference]:
        """Return the differences whose names are not allowed."""
        return [found for found in self.differences if found.name not in allowed]


_Value = str | None
"""What a run has of something, for readers; None: not known."""


def tell_apart(base: Side, new: Side, models: tuple[str, str] | None = None) -> Apart:
    """Find out what differs between two runs beside their checkpoints.

    What one of them does not know is not a difference; a note says so.

    Args:
        base: One run.
        new: The other; it may be the same one under another style.
        models: How the models are called, where there are more runs than these.

    Raises:
        RunError: Who graded a run cannot be read.
    """
    found: list[Difference] = []
    unknown: dict[str, list[str]] = {base.name: [], new.name: []}
    for name in NAMES:
        was, now = _values(name, base, new)
        if was is not None and now is not None:
            found += [Difference(name=name, base=was, new=now)] if was != now else []
        elif was is not None or now is not None:
            unknown[base.name if was is None else new.name].append(name)
    same_weights = have_same_weights(base, new)
    if models is None:
        before, after = display_names([base.called, new.called])
        models = before, after
    others = tuple(_others(base, new, models))
    return Apart(
        differences=tuple(found),
        models=models,
        same_weights=same_weights,
        notes=(
            *(_same_weights_notes(base, new, models, found, others) if same_weights else ()),
            *(
                f"not known of {run}, and not compared: {', '.join(names)}"
                for run, names in unknown.items()
                if names
            ),
        ),
        others=others,
    )


def check_names(option: str, names: Sequence[str]) -> frozenset[str]:
    """Return the names of differences; RunError lists all of them where one is unknown."""
    for name in names:
        if name not in NAMES:
            known = ", ".join(NAMES)
            raise RunError(f"{option} {name!r}: is unknown · expected one of {known}")
    return frozenset(names)


def _values(name: str, base: Side, new: Side) -> tuple[_Value, _Value]:
    """Return what both runs have of something, in words that differ where it does."""
    if name == "requests":
        return _requests(base, new)
    if name == "judge":
        return _judges(base, new)
    if name == "style":
        return _styles(base, new)
    if name in ("fit", "rule", "exif"):
        by_task = {"fit": _fits, "rule": _rules, "exif": _exif}[name]
        return _by_task(by_task(base), by_task(new))
    if name == "path":
        return _paths(base, new)
    if name == "endpoint":
        return _endpoints(base, new)
    if name == "answered_by":
        return _answered_by(base), _answered_by(new)
    before, after = base.manifest.identity.settings, new.manifest.identity.settings
    if name == "runner":
        if before.weights is None and after.weights is None:  # baselines, which are runners alone
            return None, None
        return base.manifest.identity.runner, new.manifest.identity.runner
    if None in (before.weights, after.weights):  # a baseline has none of the others
        return None, None
    if name in _PARTS:
        # All parts are in these digests.
        if (before.weights, before.processor) == (after.weights, after.processor):
            return None, None
        return _digests(_parts(base).get(name), _parts(new).get(name))
    if name == "dtype":
        return before.numbers, after.numbers
    return before.prompt_format, after.prompt_format


def _requests(base: Side, new: Side) -> tuple[_Value, _Value]:
    """Return what was asked otherwise though nothing else explains it: the data, or our words."""
    found = asked_otherwise(base, new)
    if not found:
        return None, None
    return ", ".join(asked.task for asked in found), ", ".join(asked.words for asked in found)


def _styles(base: Side, new: Side) -> tuple[_Value, _Value]:
    """Return the styles where one of the two says nothing of how was asked; others are chosen."""
    styles: tuple[dict[str, str], ...] = ({}, {})
    for task in base.manifest.tasks:
        if task in new.manifest.tasks and (is_elsewhere(base, task) or is_elsewhere(new, task)):
            for of_side, side in zip(styles, (base, new), strict=True):
                of_side[task] = side.style_of(task)
    return _by_task(*styles) if styles[0] != styles[1] else (None, None)


def is_elsewhere(side: Side, task: str) -> bool:
    """Say whether it is not known how the scores of a task that are compared were asked for."""
    part = (side.manifest.tasks[task].parts or (task,))[0]
    return manifests.is_elsewhere(side.manifest.identity, part, side.style_of(task))


def _paths(base: Side, new: Side) -> tuple[_Value, _Value]:
    """Return the ways of computing; a runner that knows one way only differs as a runner."""
    if base.manifest.identity.runner != new.manifest.identity.runner:
        return None, None
    paths = base.manifest.path, new.manifest.path
    if paths == (None, None):
        return None, None
    return paths[0] or "fast", paths[1] or "fast"  # older runs do not name it


def _endpoints(base: Side, new: Side) -> tuple[_Value, _Value]:
    """Say how two endpoints were asked, as far as that differs, and what they took."""
    asked = [_asked(side) for side in (base, new)]
    if None in asked:  # the runner differs
        return None, None
    before, after = (each or {} for each in asked)
    differing = [key for key in before if before[key] != after[key]]
    was, now = (", ".join(f"{key} {each[key]}" for key in differing) for each in (before, after))
    return was, now


def _asked(side: Side) -> dict[str, object] | None:
    known = side.manifest.identity.settings.endpoint
    if known is None:
        return None
    dialect = side.manifest.dialect
    taken = dialect.describe() if dialect is not None else ()
    return known.model_dump() | {"server": "; ".join(taken) or "takes what is usual"}


def _judges(base: Side, new: Side) -> tuple[_Value, _Value]:
    """Return who graded, where both runs have grades."""
    if not (base.is_graded and new.is_graded):
        return None, None
    graders = base.graded_by(), new.graded_by()
    labels = judge_labels(graders)
    before, after = (None if by is None else labels[by] for by in graders)
    return before, after


def _by_task(
    base: Mapping[str, str] | None, new: Mapping[str, str] | None
) -> tuple[_Value, _Value]:
    """Say what two runs have for the tasks of both: once where it is the same for all that differ.

    None: it is not known for any task.
    """
    if base is None or new is None:
        return (None if base is None else ""), (None if new is None else "")
    differing = [task for task in base if task in new and base[task] != new[task]]
    sides = []
    for values in (base, new):
        unique = dict.fromkeys(values[task] for task in differing)
        named = [f"{task} {values[task]}" for task in differing]
        sides.append(next(iter(unique)) if len(unique) == 1 else ", ".join(named))
    return sides[0], sides[1]


def _fits(side: Side) -> dict[str, str] | None:
    if side.manifest.identity.runner == IMPORTED:  # images were fitted elsewhere, if at all
        return None
    return {name: task.fit for name, task in side.manifest.tasks.items()}


def _rules(side: Side) -> dict[str, str]:
    """Say by which metric and version of the task its answers are read and scored."""
    return {
        name: f"{metric} of version {task.version}"
        for name, task in side.manifest.tasks.items()
        if (metric := side.headline_metric(name)) is not None
    }


def _exif(side: Side) -> dict[str, str]:
    """Say what becomes of the orientation that images have in EXIF; nothing, if not otherwise."""
    treated = side.manifest.identity.exif
    return {name: treated.get(name, "ignore") for name in side.manifest.tasks}


def _parts(side: Side) -> Mapping[str, str]:
    """Return the digests of the checkpoint's parts; runs that do not know them have none."""
    return side.manifest.parts


def _digests(base: _Value, new: _Value) -> tuple[_Value, _Value]:
    """Shorten two digests so that they still differ if they do."""
    if base is None or new is None or base[:8] != new[:8]:
        return base and base[:8], new and new[:8]
    return base, new


def _answered_by(side: Side) -> _Value:
    """Return the model that an endpoint said answered."""
    return ", ".join(sorted(side.manifest.answered_by)) or None


def have_same_weights(base: Side, new: Side) -> bool:
    """Say whether two runs have the same weights, as far as is known."""
    # What stands for them in a run of imported answers is a digest of the files.
    if IMPORTED in (base.manifest.identity.runner, new.manifest.identity.runner):
        return False
    if len({side.manifest.identity.settings.adapter for side in (base, new)}) > 1:
        return False
    weights = [_parts(side).get("weights") for side in (base, new)]
    if None in weights:  # with config, tokenizer and processor
        weights = [side.manifest.identity.settings.weights for side in (base, new)]
    return weights[0] is not None and weights[0] == weights[1]


def _same_weights_notes(
    base: Side,
    new: Side,
    models: tuple[str, str],
    found: Sequence[Difference],
    others: Sequence[str],
) -> Iterator[str]:
    """Say of two runs with the same weights what differs instead; nothing of a run and itself."""
    if base.is_same_run(new):
        return
    what = [difference.name for difference in found]
    parts = _parts(base), _parts(new)
    left_out = ["model: "]
    if all(parts):  # the weights of an identity are a digest of all parts: say which of them differ
        left_out.append("weights: ")
        what += ["config"] if parts[0].get("config") != parts[1].get("config") else []
    what += [line.partition(":")[0] for line in others if not line.startswith(tuple(left_out))]
    names = ", ".join(dict.fromkeys(models))
    what_text = ", ".join(what) or ("the name alone" if models[0] != models[1] else "nothing")
    yield f"the two runs have the same weights ({names}): what differs is {what_text}"


def _others(base: Side, new: Side, models: tuple[str, str]) -> Iterator[str]:
    """Yield what else differs; models under names that different weights do not share."""
    before, after = models
    both = (task for task in base.manifest.tasks if task in new.manifest.tasks)
    told_here = (*_TOLD_HERE, *(f"tasks.{task}: " for task in both))
    model = [f"model: {before} → {after}"] if before != after else []
    are_imported = all(s.manifest.identity.runner == IMPORTED for s in (base, new))
    weights = "answers" if are_imported else "weights"
    for line in differences(base, new):
        if line.startswith("model: "):
            yield from model
            model = []
        elif not line.startswith(told_here):
            yield in_words(line, weights)
    yield from model
