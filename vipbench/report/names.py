"""What people call a model, a run, and several runs beside each other: one name for one thing."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from vipbench.runfolder.manifest import Manifest, identity_digest

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
SHORT_DIGEST = 6
"""Hex digits that weights are shown by; more where these are those of other weights too."""


# --- one model


def name_of_folder(folder: Path) -> str:
    """Name the model in a folder so that it can be told from those of other trainings.

    It is the folder's name, behind those of the folders above as far as it tells too little:
    `expA/checkpoint-500`. A snapshot in the hub's cache has the name of its repository.
    """
    parts: list[str] = []
    for current in (path := folder.resolve(), *path.parents):
        repository = _HUB_FOLDER.fullmatch(current.parent.parent.name)
        if current.parent.name == "snapshots" and repository is not None:
            return "/".join([*repository.groups(), *parts])
        if current.name:
            parts.insert(0, current.name)
        if not _TELLS_TOO_LITTLE.fullmatch(current.name):
            break
    return "/".join(parts)


def model_name(manifest: Manifest) -> str:
    """Return what the model of a run is called; other models may be called the same."""
    return manifest.name or manifest.identity.model


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


def display_names(manifests: Sequence[Manifest]) -> list[str]:
    """Name the model of each run, with a digest of its weights where others have its name.

    Runs of the same weights share a name if they have the same; different weights never do. What
    has no weights (a baseline, say) is told apart by what it was before `--name`.
    """
    names, weights = [model_name(manifest) for manifest in manifests], short_weights(manifests)
    models = [
        manifest.identity.model if digest is None else digest
        for manifest, digest in zip(manifests, weights, strict=True)
    ]
    pairs = set(zip(names, models, strict=True))
    counts = Counter(name for name, _ in pairs)
    return [
        name if counts[name] == 1 or model == name else f"{name} [{model}]"
        for name, model in zip(names, models, strict=True)
    ]


def protocol(manifest: Manifest) -> str:
    """Return prompt format, decoding, dtype and seed, as far as there are any."""
    settings = manifest.identity.settings
    parts = (settings.prompt_format, settings.decoding, settings.numbers)
    return ", ".join([*(part for part in parts if part), f"seed {manifest.identity.seed}"])


def set_apart(manifest: Manifest, others: Iterable[Manifest]) -> str:
    """Say what sets a run apart from others of its model and protocol, such as `limit 20`.

    Empty where it is a repetition of one of them: the same weights, asked the same in the same way.
    """
    others = list(others)
    if any(_is_repetition(manifest, other) for other in others):
        return ""
    own, theirs = _facts(manifest), [_facts(other) for other in others]
    different = [text for name, text in own.items() if any(other[name] != text for other in theirs)]
    if own in theirs:
        different.append(f"identity {identity_digest(manifest.identity)[:8]}")
    return ", ".join(text for text in different if text)


def _is_repetition(manifest: Manifest, other: Manifest) -> bool:
    same = identity_digest(manifest.identity) == identity_digest(other.identity)
    return same and manifest.path == other.path


def _facts(manifest: Manifest) -> dict[str, str]:
    """Return in words what may differ between runs that have model and protocol in common."""
    identity = manifest.identity
    return {
        "runner": f"runner {identity.runner}",
        "path": f"path {manifest.path}" if manifest.path else "",
        "suite": f"suite {identity.suite}",
        "tasks": ", ".join(identity.tasks) if len(identity.tasks) < 3 else "",
        "fits": f"fit {'/'.join(dict.fromkeys(identity.fits.values()))}" if identity.fits else "",
        "limit": "no limit" if identity.limit is None else f"limit {identity.limit}",
        "ids": f"{len(identity.ids)} ids" if identity.ids else "all ids",
    }


def run_labels(manifests: Sequence[Manifest]) -> list[str]:
    """Name runs so that no two have one name: by the model, and by as much more as it takes.

    That is the protocol, then what else sets them apart; `run 2` is a repetition.
    """
    labels = _told_apart(display_names(manifests), [protocol(manifest) for manifest in manifests])
    apart = [
        set_apart(manifest, (manifests[n] for n in _alike(labels, number)))
        for number, manifest in enumerate(manifests)
    ]
    labels = _told_apart(labels, apart)
    return _told_apart(labels, [f"run {number}" for number in range(1, len(labels) + 1)])


def _alike(labels: Sequence[str], number: int) -> list[int]:
    """Return the numbers of the other labels that are the same."""
    return [n for n, label in enumerate(labels) if label == labels[number] and n != number]


def _told_apart(labels: Sequence[str], more: Sequence[str]) -> list[str]:
    counts = Counter(labels)
    return [
        f"{label} ({extra})" if counts[label] > 1 and extra else label
        for label, extra in zip(labels, more, strict=True)
    ]
