"""The deterministic batch plan: which requests go through the model together.

In 16 bit, rounding depends on who shares a batch; so the plan is a pure function of the full list
of requests, and a resumed run redoes whole batches of it.
"""

import hashlib
import json
from collections.abc import Hashable, Iterable, Sequence

from vipbench.errors import RunError
from vipbench.schema import Request


def prompt_length(request: Request) -> int:
    """Characters of the whole conversation: a length that needs no tokenizer."""
    return sum(map(len, request.turns))


def plan_batches(
    lengths: Sequence[int], batch_size: int, samples: Sequence[Hashable] | None = None
) -> list[tuple[int, ...]]:
    """Cut requests into batches of similar length; every index is in exactly one batch.

    Requests of one sample, which differ in style, stay together, so that its image is opened once;
    samples are sorted by (longest request, first index). The last batch may be smaller.

    Args:
        lengths: one a request, in any unit.
        batch_size: requests in a batch.
        samples: one a request; equal values are one sample. None: each request is one.
    """
    if batch_size < 1:
        raise RunError(f"batch size {batch_size} · expected at least 1 · give --batch-size")
    names = range(len(lengths)) if samples is None else samples
    first: dict[Hashable, int] = {}
    longest: dict[Hashable, int] = {}
    for i, (name, length) in enumerate(zip(names, lengths, strict=True)):
        first.setdefault(name, i)
        longest[name] = max(longest.get(name, 0), length)
    order = sorted(range(len(lengths)), key=lambda i: (longest[names[i]], first[names[i]], i))
    return [tuple(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]


def plan_digest(plan: Iterable[Sequence[int]]) -> str:
    """Return the sha256 of a plan, in hex; equal for equal batches in equal order."""
    text = json.dumps([list(batch) for batch in plan], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
