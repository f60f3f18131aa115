"""What people call a model, a run, and several runs beside each other: one name for one thing."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from vipbench.runfolder.folder import NAME
from vipbench.runfolder.manifest import IMPORTED, Manifest, identity_digest
from vipbench.runfolder.name_file import Name, read_name

_TELLS_TOO_LITTLE = re.compile(
    r"(checkpoint|ckpt|global[-_]?step|step|epoch|iter|iteration)s?([-_=]?\d.*)?"
    r"|(checkpoint|ckpt)[-_].*"
    r"|(final|last|latest|best)([-_](model|checkpoint|ckpt))?"
    r"|models?|weights|outputs?|snapshots?|hf|\d+|[0-9a-f]{40}",
    re.IGNORECASE,
)
"""Names of folders that every training has."""
_HUB_FOLDER = re.compile(r"models--(.+?)--(.+)")
"""Of a repository in the hub's cache; its snapshots lie in `snapshots/<commit>` below."""
_STEP = re.compile(
    r"(?:epoch[-_=]?\d+[-_])?"
    r"(?:checkpoint|ckpt|global[-_]?step|step|iter|iteration)s?[-_=]?(\d{1,15})",
    re.IGNORECASE,
)
"""Names of folders that tell the training step."""
SHORT_DIGEST = 8
"""Hex digits that weights are shown by; more where these are those of other weights too."""


# --- one model


class Called(NamedTuple):
    """A run, and what people call it."""

    manifest: Manifest
    name: str
    """Other models may be called the same."""
    step: int | None
    """Of the training; None: it is not known."""
    is_given: bool = False
    """Somebody has said so; else it is called after its model."""

    @property
    def model(self) -> str:
        """What makes it this model and no other: a digest of its weights, else its own name."""
        return self.manifest.identity.settings.loaded or self.manifest.identity.model


def called(folder: Path, manifest: Manifest) -> Called:
    """Return what the run in a folder is called: as `name.json` says, else after its model.

    Raises:
        RunError: That file is broken.
    """
    return called_as(read_name(folder), manifest)


def called_as(given: Name, manifest: Manifest) -> Called:
    """Return what a run is called, of which somebody may have said so."""
    step, _ = _step_and_source(given, manifest)
    return Called(manifest, given.name or _model_name(manifest), step, given.name is not None)


def sources(given: Name, manifest: Manifest) -> tuple[str, str]:
    """Say where the name of a run comes from, and where its step; empty where that is not known."""
    return NAME if given.name else "after its model", _step_and_source(given, manifest)[1]


def _model_name(manifest: Manifest) -> str:
    return manifest.name or manifest.identity.model


def _step_and_source(given: Name, manifest: Manifest) -> tuple[int | None, str]:
    # A model in memory may have been trained further than the folder that it came from.
    is_live = manifest.identity.settings.processor is not None
    steps = (
        (given.step, NAME),
        (step_of(given.name or ""), "as the name says"),
        (manifest.step, "as the folder of its model says"),
        (None if is_live else step_of(_model_name(manifest)), "as the name of its model says"),
    )
    return next((each for each in steps if each[0] is not None), (None, ""))


def name_of_folder(folder: Path) -> str:
    """Name the model in a folder so that it can be told from those of other trainings.

    It is the folder's name, behind those of the folders above as far as it tells too little:
    `expA/checkpoint-500`. A snapshot in the hub's cache has the name of its repository.
    """
    return _name_of_path(folder.resolve())


def _name_of_path(path: PurePath) -> str:
    parts: list[str] = []
    for current in (path, *path.parents):
        repository = _HUB_FOLDER.fullmatch(current.parent.parent.name)
        if current.parent.name == "snapshots" and repository is not None:
            return "/".join([*repository.groups(), *parts])
        if current.name:
            parts.insert(0, current.name)
        if not _TELLS_TOO_LITTLE.fullmatch(current.name):
            break
    return "/".join(parts)


def step_of(name: str) -> int | None:
    """Return the training step that the name of a model tells, such as 600 of `checkpoint-600`."""
    for part in reversed(name.split("/")):
        if found := _STEP.fullmatch(part):
            return int(found[1])
        if not _TELLS_TOO_LITTLE.fullmatch(part):
            break
    return None


# --- several models and runs


def short_weights(manifests: Iterable[Manifest]) -> list[str | None]:
    """Return a short digest of each run's weights; None where it has none.

    Different weights have different digests.
    """
    digests = [manifest.identity.settings.loaded for manifest in manifests]
    known = {digest for digest in digests if digest is not None}
    length = SHORT_DIGEST
    while len({digest[:length] for digest in known}) < len(known):
        length += 1
    return [None if digest is None else digest[:length] for digest in digests]


def named(run: Called) -> dict[str, Any]:
    """Return which model a row of a table is of, beside `model`: its keys in JSON and CSV."""
    return {"name": run.name, "step": run.step, "weights": short_weights([run.manifest])[0]}


def display_names(runs: Sequence[Called]) -> list[str]:
    """Name the model of each run, with what tells it apart where other models have its name.

    That is more of the path of its folder, or the revision of a snapshot; where these say nothing,
    the training step; else a digest of its weights. What has no weights (a baseline, say) is told
    apart by its own name. Runs of the same model share a name if they have the same; different ones
    never do.
    """
    labels = [run.name for run in runs]
    for tell in (_by_path, _by_step, _by_weights):
        for members in _of_several_models(labels, runs):
            told = tell([runs[n] for n in members])
            taken = {label for n, label in enumerate(labels) if n not in members}
            if told and _is_one_to_one(told, [runs[n] for n in members], taken):
                for n, label in zip(members, told, strict=True):
                    labels[n] = label
    return labels


def _of_several_models(labels: Sequence[str], runs: Sequence[Called]) -> list[list[int]]:
    """Return the numbers of the runs behind each label that stands for more than one model."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        by_label[label].append(n)
    return [found for found in by_label.values() if len({runs[n].model for n in found}) > 1]


def _is_one_to_one(told: Sequence[str], runs: Sequence[Called], taken: set[str]) -> bool:
    """Say whether labels tell all models apart, and take nobody else's."""
    pairs = {(label, run.model) for label, run in zip(told, runs, strict=True)}
    n_models = len({run.model for run in runs})
    return len({label for label, _ in pairs}) == len(pairs) == n_models and not taken & {*told}


def _by_path(runs: Sequence[Called]) -> list[str]:
    """Tell models apart by the shortest tail of their paths that does, or by their revision."""
    if any(run.is_given or not run.manifest.model_path for run in runs):
        return []
    paths: dict[str, PurePath] = {}
    for run in runs:  # the same weights in two folders have the path of the first
        paths.setdefault(run.model, PurePath(run.manifest.model_path))
    revisions = {model: _revision(path) for model, path in paths.items()}
    if all(revisions.values()):
        short = _shortest(lambda n: {model: text[:n] for model, text in revisions.items()}, 8, 64)
        return [f"{run.name} (revision {short[run.model]})" for run in runs]
    if any(revisions.values()):  # nothing that snapshots and other folders are told apart by alike
        return []
    first = min(len(_name_of_path(path).split("/")) for path in paths.values())
    most = max(len(path.parts) for path in paths.values())
    tails = _shortest(
        lambda n: {model: "/".join(path.parts[-n:]) for model, path in paths.items()}, first, most
    )
    # In front of an adapter's folder stands its base.
    bases = [run.name.removesuffix(_name_of_path(paths[run.model])) for run in runs]
    return [base + tails[run.model] for run, base in zip(runs, bases, strict=True)]


def _shortest(cut: Callable[[int], Mapping[str, str]], first: int, most: int) -> Mapping[str, str]:
    """Return the texts of the first length at which they all differ, or the longest."""
    for length in range(first, most):
        texts = cut(length)
        if len({*texts.values()}) == len(texts):
            return texts
    return cut(most)


def _revision(path: PurePath) -> str:
    """Return the commit of a snapshot in the hub's cache; empty for any other folder."""
    for current in (path, *path.parents):
        is_snapshot = current.parent.name == "snapshots"
        if is_snapshot and _HUB_FOLDER.fullmatch(current.parent.parent.name):
            return current.name
    return ""


def _by_step(runs: Sequence[Called]) -> list[str]:
    if any(run.step is None for run in runs):
        return []
    return [f"{run.name} (step {run.step})" for run in runs]


def _by_weights(runs: Sequence[Called]) -> list[str]:
    weights = short_weights(run.manifest for run in runs)
    labels = []
    for run, digest in zip(runs, weights, strict=True):
        identity = run.manifest.identity
        if digest is not None:
            what = "answers" if identity.runner == IMPORTED else "weights"
            labels.append(f"{run.name} ({what} {digest})")
        else:
            own = identity.model
            labels.append(run.name if own == run.name else f"{run.name} ({own})")
    return labels


def in_order(runs: Sequence[Called]) -> list[int]:
    """Return the numbers of runs as they are shown: checkpoints of one training by their steps.

    Each training stands where its first run does; all else stays in its order.
    """
    places: dict[str, int] = {}
    for n, run in enumerate(runs):
        places.setdefault(training_of(run), n)

    def key(n: int) -> tuple[int, int]:
        step = runs[n].step
        return places[training_of(runs[n])], -1 if step is None else step

    return sorted(range(len(runs)), key=key)


def training_of(run: Called) -> str:
    """Return what the checkpoints of a training have in common: the folder that they are in."""
    where = run.name if run.is_given else run.manifest.model_path or run.name
    above, _, last = where.rpartition("/")
    return above if above and _STEP.fullmatch(last) else run.name


def protocol(manifest: Manifest) -> str:
    """Return prompt format, decoding, dtype and seed, as far as there are any."""
    settings = manifest.identity.settings
    parts = (settings.prompt_format, settings.decoding, settings.numbers)
    return ", ".join([*(part for part in parts if part), f"seed {manifest.identity.seed}"])


class _Told(NamedTuple):
    """What a run is told apart by."""

    identity: str
    path: str | None
    facts: dict[str, str]


class TellingApart:
    """Says what sets runs apart; what is needed of each run is made once, however many there are.

    Its runs must not go away meanwhile.
    """

    def __init__(self) -> None:
        self._told: dict[int, _Told] = {}

    def words(self, manifest: Manifest, others: Iterable[Manifest]) -> str:
        """Say what sets a run apart from others of its model and protocol, such as `limit 20`.

        Empty where it is a repetition of one of them: the same weights, asked the same in the same
        way.
        """
        own = self._of(manifest)
        theirs = [self._of(other) for other in {id(other): other for other in others}.values()]
        if any((own.identity, own.path) == (other.identity, other.path) for other in theirs):
            return ""
        facts = [other.facts for other in theirs]
        different = [
            text for name, text in own.facts.items() if any(each[name] != text for each in facts)
        ]
        if own.facts in facts:
            when = (manifest.finished or manifest.started)[:16].replace("T", " ")
            different.append(f"of {when}")
        return ", ".join(text for text in different if text)

    def _of(self, manifest: Manifest) -> _Told:
        found = self._told.get(id(manifest))
        if found is None:
            identity = identity_digest(manifest.identity)
            found = self._told[id(manifest)] = _Told(identity, manifest.path, _facts(manifest))
        return found


def _facts(manifest: Manifest) -> dict[str, str]:
    """Return in words what may differ between runs that have model and protocol in common."""
    identity, tasks = manifest.identity, list(manifest.identity.tasks)
    styles = dict.fromkeys(style.name for each in identity.styles.values() for style in each)
    return {
        "runner": f"runner {identity.runner}",
        "path": f"path {manifest.path}" if manifest.path else "",
        "suite": f"suite {identity.suite}",
        "tasks": ", ".join(tasks) if len(tasks) < 3 else f"{len(tasks)} tasks",
        "styles": _few("style", list(styles), 3),
        "fits": f"fit {'/'.join(dict.fromkeys(identity.fits.values()))}" if identity.fits else "",
        "limit": "no limit" if identity.limit is None else f"limit {identity.limit}",
        "ids": _few("id", identity.ids, 3) if identity.ids else "all ids",
    }


def _few(noun: str, names: Sequence[str], most: int) -> str:
    """Write `style none`, `styles demo, none`, or of more than a few `5 styles`."""
    if len(names) > most:
        return f"{len(names)} {noun}s"
    return f"{noun}{'s' * (len(names) != 1)} {', '.join(names)}"


def run_labels(runs: Sequence[Called]) -> list[str]:
    """Name runs so that no two have one name: by the model, and by as much more as it takes.

    That is the protocol, then what else sets them apart; `run 2` is a repetition.
    """
    manifests = [run.manifest for run in runs]
    labels = _told_apart(display_names(runs), [protocol(manifest) for manifest in manifests])
    telling, alike = TellingApart(), _alike(labels)
    apart = [
        telling.words(manifest, (manifests[n] for n in alike[labels[number]] if n != number))
        for number, manifest in enumerate(manifests)
    ]
    labels = _told_apart(labels, apart)
    return _told_apart(labels, [f"run {number}" for number in range(1, len(labels) + 1)])


def _alike(labels: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the runs that have a label."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        numbers[label].append(n)
    return numbers


def _told_apart(labels: Sequence[str], more: Sequence[str]) -> list[str]:
    counts = Counter(labels)
    return [
        f"{label} ({extra})" if counts[label] > 1 and extra else label
        for label, extra in zip(labels, more, strict=True)
    ]
