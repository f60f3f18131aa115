"""The deterministic batch plan: which requests go through the model together.

In 16 bit, rounding depends on who shares a batch; so the plan is a pure function of the full list
of requests, and a resumed run redoes whole batches of it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence

from vipbench.errors import RunError
from vipbench.schema import Request


def prompt_length(request: Request) -> int:
    """Characters of the whole conversation: a length that needs no tokenizer."""
    return sum(map(len, request.turns))


def plan_batches(lengths: Sequence[int], batch_size: int) -> list[tuple[int, ...]]:
    """Cut requests into batches of similar length; every index is in exactly one batch.

    `lengths` has one entry a request, in any unit; indices are sorted by (length, index), so equal
    lengths stay in order. The last batch may be smaller.
    """
    if batch_size < 1:
        raise RunError(f"batch size {batch_size} · expected at least 1 · give --batch-size")
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    return [tuple(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]


def plan_digest(plan: Iterable[Sequence[int]]) -> str:
    """Return the sha256 of a plan, in hex; equal for equal batches in equal order."""
    text = json.dumps([list(batch) for batch in plan], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
