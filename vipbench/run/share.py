"""The batches of a run, and what of its prompts is read once for several requests.

Which requests could share is a function of all requests that are asked together and of the
tokenizer; neither who answers nor how large batches are changes it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vipbench.images.load import pixels_of
from vipbench.runfolder.manifest import Blocks
from vipbench.runfolder.plan import BatchLimit, plan_batches
from vipbench.runfolder.sharing import Beginnings, Reading, Sharing
from vipbench.runfolder.trials_file import Entry, Trials
from vipbench.runners.spec import Shared
from vipbench.runners.vipllava import arithmetic
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import ImageRoots, Request, Trial
from vipbench.trials.blocks import cut

LEAST = 0.1
"""Share of the arithmetic of reading prompts that sharing has to save, or each is read by itself:
below it, batches stay what they would be."""


class Planned(NamedTuple):
    """Batches, and what is read once in them."""

    batches: list[tuple[int, ...]]
    """The indices in the trials that each batch holds."""
    sharing: Sharing | None
    """None: each prompt is read by itself."""


def grouping(
    shared: Shared, images: Mapping[str, ImageRoots], beginnings: Beginnings
) -> Callable[[Trial, Request], int]:
    """Return what counts what a trial has in common with those that are asked together with it.

    A picture is told by what it is drawn of, which is known before any is drawn and names all that
    drawing reads; the runner looks at the pixels themselves before it shares them.

    Args:
        shared: of the runner.
        images: the folder below which each task's images lie, by the task's name.
        beginnings: counts them.
    """
    roots = list(images.values())
    place = {task: roots.index(root) for task, root in images.items()}

    def group(trial: Trial, request: Request) -> int:
        if (found := shared.split(request)) is None:
            return beginnings.alone()
        ids, n_before = found
        # What is grey looks alike whatever the image is, once it is fitted.
        drawn = "blind" if request.blind else f"{place[request.task]} {pixels_of(request)}"
        sample = f"{trial.task} {trial.id}".encode()
        return beginnings.add(f"{trial.segment} {drawn}".encode(), sample, ids, n_before)

    return group


def plan_trials(
    trials: Trials,
    limit: BatchLimit,
    segment: int = 0,
    *,
    sharing: Sharing | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> list[tuple[int, ...]]:
    """Return the indices in `trials` that each batch of a segment holds.

    `sharing` keeps what has much in common together, where that is known. Where it is asked in
    `blocks`, no batch holds samples of two blocks or of two styles: then any of them may be left
    out, and the others are still what they were.
    """
    planned = plan_together(trials, limit, segment, sharing=sharing, blocks=blocks, seed=seed)
    return [batch for batches in planned for batch in batches]


def plan_together(
    trials: Trials,
    limit: BatchLimit,
    segment: int = 0,
    *,
    sharing: Sharing | None = None,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> list[list[tuple[int, ...]]]:
    """Return the batches of `plan_trials` in lists: each fits into memory as one batch.

    A list holds several where it is asked in blocks whose styles share: a batch of each of them,
    as far as they are asked.
    """
    planned: list[list[tuple[int, ...]]] = []
    asked, _ = _asked(trials, segment)
    for part in _parts(trials, asked, blocks, seed, across=sharing is not None and sharing.across):
        entries = [trials.entries[i] for i in part]
        samples = [(entry.name.task, entry.name.id) for entry in entries]
        groups, room = None, None
        if sharing is not None and trials.beginnings is not None:
            groups, room = trials.beginnings.groups(entry.group for entry in entries), sharing.room
        for batch in plan_batches(
            [entry.length for entry in entries], limit, samples, groups, room
        ):
            members = tuple(part[i] for i in batch)
            planned.append([members] if blocks is None else _by_arm(trials, members))
    return planned


def _by_arm(trials: Trials, members: Sequence[int]) -> list[tuple[int, ...]]:
    """Split trials by task and style."""
    parts: dict[tuple[str, str], list[int]] = {}
    for i in members:
        parts.setdefault(_arm(trials, i), []).append(i)
    return [tuple(part) for part in parts.values()]


def _arm(trials: Trials, i: int) -> tuple[str, str]:
    """Return the task and the style of a trial, which are asked, or left out, as one."""
    name = trials.entries[i].name
    return name.task, name.style


def _parts(
    trials: Trials, asked: Sequence[int], blocks: Blocks | None, seed: int, *, across: bool
) -> list[list[int]]:
    """Split trials by block, then by task and style, in the order of the run.

    What has something in common `across` tasks and styles stays together within its block.
    """
    if blocks is None:
        return [list(asked)]
    parts: dict[tuple[int, tuple[str, str]], list[int]] = {}
    block_of = blocks_of(trials, blocks, seed)
    first_of = _first_arms(trials, asked) if across else {}
    for i in asked:
        name, arm = trials.entries[i].name, _arm(trials, i)
        parts.setdefault((block_of[name.task, name.id], first_of.get(arm, arm)), []).append(i)
    return [parts[key] for key in sorted(parts, key=lambda key: key[0])]


def _first_arms(trials: Trials, asked: Sequence[int]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return of each task and style one that stands for all that it has anything in common with."""
    assert trials.beginnings is not None
    first_of: dict[tuple[str, str], tuple[str, str]] = {}

    def find(arm: tuple[str, str]) -> tuple[str, str]:
        while first_of.setdefault(arm, arm) != arm:
            arm = first_of[arm]
        return arm

    known: dict[int, tuple[str, str]] = {}
    groups = trials.beginnings.groups(trials.entries[i].group for i in asked)
    for i, group in zip(asked, groups, strict=True):
        arm = _arm(trials, i)
        first_of[find(arm)] = find(known.setdefault(group.picture, arm))
    return {arm: find(arm) for arm in first_of}


def blocks_of(trials: Trials, blocks: Blocks, seed: int) -> dict[tuple[str, str], int]:
    """Return the block that each sample of each task is asked in, by task and id."""
    ids: dict[str, dict[str, None]] = {}
    for entry in trials.entries:
        ids.setdefault(entry.name.task, {}).setdefault(entry.name.id)
    return {
        (task, id_): number
        for task, known in ids.items()
        for number, block in enumerate(cut(list(known), seed, blocks))
        for id_ in block
    }


def plan_shared(
    trials: Trials,
    limit: BatchLimit,
    shared: Shared | None,
    segment: int = 0,
    *,
    blocks: Blocks | None = None,
    seed: int = 0,
    across: bool = False,
) -> Planned:
    """Plan a segment so that what requests have in common is read once, where that saves enough.

    `shared` is of a runner that can do so; None: it cannot. In `blocks` that is what they have
    in common within one; `across` styles only where rounding does not tell who else was asked,
    since any of these may be left out.
    """
    sharing = None
    across = across and blocks is not None
    if limit.requests != 1 and shared is not None and trials.beginnings is not None:
        asked, _ = _asked(trials, segment)
        parts = _parts(trials, asked, blocks, seed, across=across)
        counted = count_sharing(trials, trials.beginnings, shared.sizes, parts)
        if counted.arithmetic >= LEAST:
            update = {"room": room_for(limit, shared), "across": across}
            sharing = counted.model_copy(update=update)
    batches = plan_trials(trials, limit, segment, sharing=sharing, blocks=blocks, seed=seed)
    return Planned(batches, sharing)


def room_for(limit: BatchLimit, shared: Shared) -> int | None:
    """Return how many tokens a batch may hold whose limit counts those that are read.

    Keys and values are laid out row by row, as if nothing had been read once: as many bytes of
    them as the runner allows, or as many tokens as the limit alone does.
    """
    if limit.tokens is None:
        return None
    sizes = shared.sizes
    a_token = 2 * sizes.layers * sizes.key_value_heads * sizes.head_width * 4
    return max(limit.tokens, shared.cache_bytes // a_token)


def count_sharing(
    trials: Trials,
    beginnings: Beginnings,
    sizes: ModelSizes,
    parts: Sequence[Sequence[int]],
) -> Sharing:
    """Count what of reading prompts and images is not needed again.

    That is what is saved if each of the `parts`, of indices in `trials`, is one batch: a group that
    is cut into several is read once in each.
    """
    found: Counter[str] = Counter()
    for part in parts:
        found.update(_count([trials.entries[i] for i in part], beginnings, sizes))
    return Sharing(
        n_groups=found["groups"],
        n_requests=found["requests"],
        tokens=round(found["tokens again"] / found["tokens"], 4) if found["tokens"] else 0.0,
        arithmetic=round(found["work again"] / found["work"], 4) if found["work"] else 0.0,
        asked=Reading(),
        read=Reading(),
    )


def _count(entries: Sequence[Entry], beginnings: Beginnings, sizes: ModelSizes) -> dict[str, int]:
    """Count tokens and arithmetic of requests, and what of it is not needed again."""
    vision = arithmetic.vision(sizes)
    lengths = Counter(entry.length for entry in entries)
    work = sum(n * (vision + arithmetic.prompt(sizes, length)) for length, n in lengths.items())
    by_sample = Counter(beginnings.groups(entry.group for entry in entries))
    by_picture: Counter[tuple[int, int]] = Counter()
    for group, n in by_sample.items():
        by_picture[group.picture, group.length] += n
    # From where to where tokens are not read again, and how often.
    again: Counter[tuple[int, int]] = Counter()
    for (_, length), n in by_picture.items():
        again[0, length] += n - 1
    for group, n in by_sample.items():
        if by_picture[group.picture, group.length] > 1:
            again[group.length, group.sample_length] += n - 1
    saved = sum(
        n * (arithmetic.beginning(sizes, end) - arithmetic.beginning(sizes, begin))
        for (begin, end), n in again.items()
    )
    several = [n for n in by_picture.values() if n > 1]
    return {
        "groups": len(several),
        "requests": sum(several),
        "tokens": sum(length * n for length, n in lengths.items()),
        "tokens again": sum(n * (end - begin) for (begin, end), n in again.items()),
        "work": work,
        "work again": saved + vision * sum(n - 1 for n in by_picture.values()),
    }


def _asked(trials: Trials, segment: int) -> tuple[list[int], list[Entry]]:
    """Return the indices and entries of what a segment asks."""
    asked = [
        i
        for i, entry in enumerate(trials.entries)
        if entry.key is not None and entry.segment == segment
    ]
    return asked, [trials.entries[i] for i in asked]
