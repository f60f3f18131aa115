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

CACHE_BYTES = 2**30
"""Of keys and values in float32 that a batch holds at most, where its limit of tokens is reached by
fewer since much of them is read once. Ours: six prompts of 686 tokens fit for all but the largest
models on a CPU, and on a GPU it is little beside what the limit itself allows."""
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
    asked, _ = _asked(trials, segment)
    plan: list[tuple[int, ...]] = []
    for part in [asked] if blocks is None else _parts(trials, asked, blocks, seed):
        entries = [trials.entries[i] for i in part]
        samples = [(entry.name.task, entry.name.id) for entry in entries]
        groups, room = None, None
        if sharing is not None and trials.beginnings is not None:
            groups, room = trials.beginnings.groups(entry.group for entry in entries), sharing.room
        batches = plan_batches([entry.length for entry in entries], limit, samples, groups, room)
        plan += [tuple(part[i] for i in batch) for batch in batches]
    return plan


def _parts(trials: Trials, asked: Sequence[int], blocks: Blocks, seed: int) -> list[list[int]]:
    """Split trials by block, then by task and style, in the order of the run."""
    parts: dict[tuple[int, str, str], list[int]] = {}
    block_of = blocks_of(trials, blocks, seed)
    for i in asked:
        name = trials.entries[i].name
        parts.setdefault((block_of[name.task, name.id], name.task, name.style), []).append(i)
    return [parts[key] for key in sorted(parts, key=lambda key: key[0])]


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
    sizes: ModelSizes | None,
    segment: int = 0,
    *,
    blocks: Blocks | None = None,
    seed: int = 0,
) -> Planned:
    """Plan a segment so that what requests have in common is read once, where that saves enough.

    `sizes` are those of a model that can do so; None: it cannot. In `blocks` nothing is shared:
    most of what requests have in common, they have with those of other styles, and these may be
    left out.
    """
    sharing = None
    can_share = limit.requests != 1 and blocks is None
    if can_share and sizes is not None and trials.beginnings is not None:
        counted = count_sharing(trials, trials.beginnings, sizes, segment)
        if counted.arithmetic >= LEAST:
            sharing = counted.model_copy(update={"room": room_for(limit, sizes)})
    batches = plan_trials(trials, limit, segment, sharing=sharing, blocks=blocks, seed=seed)
    return Planned(batches, sharing)


def room_for(limit: BatchLimit, sizes: ModelSizes) -> int | None:
    """Return how many tokens a batch may hold whose limit counts those that are read.

    Keys and values are laid out row by row, as if nothing had been read once: up to `CACHE_BYTES`
    of them, or as many as the limit alone allows.
    """
    if limit.tokens is None:
        return None
    a_token = 2 * sizes.layers * sizes.key_value_heads * sizes.head_width * 4
    return max(limit.tokens, CACHE_BYTES // a_token)


def count_sharing(
    trials: Trials, beginnings: Beginnings, sizes: ModelSizes, segment: int = 0
) -> Sharing:
    """Count what of reading the prompts and images of a segment is not needed again.

    That is what is saved if all is asked in one batch: a group that is cut into several is read
    once in each.
    """
    _, entries = _asked(trials, segment)
    vision = arithmetic.vision(sizes)
    lengths = Counter(entry.length for entry in entries)
    n_tokens = sum(length * n for length, n in lengths.items())
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
    saved += vision * sum(n - 1 for n in by_picture.values())
    several = [n for n in by_picture.values() if n > 1]
    return Sharing(
        n_groups=len(several),
        n_requests=sum(several),
        tokens=round(sum(n * (end - begin) for (begin, end), n in again.items()) / n_tokens, 4)
        if n_tokens
        else 0.0,
        arithmetic=round(saved / work, 4) if work else 0.0,
        asked=Reading(),
        read=Reading(),
    )


def _asked(trials: Trials, segment: int) -> tuple[list[int], list[Entry]]:
    """Return the indices and entries of what a segment asks."""
    asked = [
        i
        for i, entry in enumerate(trials.entries)
        if entry.key is not None and entry.segment == segment
    ]
    return asked, [trials.entries[i] for i in asked]
