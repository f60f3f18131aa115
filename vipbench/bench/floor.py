"""How much arithmetic an answer takes, counted from a model's configuration.

Only matrix products count, two operations a multiply-add: what a device's measured matrix-product
peak can be compared with. What is needed counts, not what is computed: no padding, vision layers up
to the last one that is used, causal attention, of the last layer only keys and values except for
the last token of the prompt, the vocabulary once a new token.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from vipbench.runfolder.sharing import n_common
from vipbench.runners.vipllava import arithmetic
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import Record


class Work(Record):
    """Operations of one answer, or of many."""

    vision: int
    """Vision tower and projector."""
    prefill: int
    """The language model over the prompt, and the vocabulary after it."""
    decode: int
    """The same for each further token."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.vision + self.prefill + self.decode


def count(sizes: ModelSizes, n_prompt: int, n_passes: int) -> Work:
    """Count one answer.

    Args:
        sizes: of the model.
        n_prompt: tokens of the prompt, those of the image among them.
        n_passes: times that one further token went through the language model.
    """
    n_all = n_prompt + n_passes
    pairs = n_all * (n_all + 1) // 2 - n_prompt * (n_prompt + 1) // 2
    further = arithmetic.token(sizes) + arithmetic.vocabulary(sizes)
    return Work(
        vision=arithmetic.vision(sizes),
        prefill=arithmetic.prompt(sizes, n_prompt),
        decode=n_passes * further + arithmetic.attention(sizes) * pairs,
    )


class Prompt(NamedTuple):
    """What decides which of a prompt's arithmetic other prompts have in common with it."""

    ids: Sequence[int]
    """Tokens, the image token once a feature."""
    picture: str
    """Digest of the pixels that the model sees."""
    image_begins: int
    """Index of the first image token: from there on all depends on the picture."""


def count_once(sizes: ModelSizes, prompts: Sequence[Prompt]) -> Work:
    """Count what prompts take together where nothing that is the same is computed twice.

    Each picture goes through the vision tower once, and so does each beginning that prompts have in
    common through the language model: the same tokens behind the same picture. The last token of a
    prompt is read for each, and nothing of answers counts.
    """
    pictures = {prompt.picture: -1 - i for i, prompt in enumerate(prompts)}
    keyed = []
    for prompt in prompts:
        key = list(prompt.ids)
        key[prompt.image_begins] = pictures[prompt.picture]
        keyed.append(key)
    keyed.sort()
    # Of all that are sorted before it, a prompt has most in common with its neighbour.
    known = [0, *(n_common(a, b) for a, b in itertools.pairwise(keyed))]
    prefill = [
        count(sizes, len(key), 0).prefill - arithmetic.beginning(sizes, min(n, len(key) - 1))
        for key, n in zip(keyed, known, strict=True)
    ]
    return Work(vision=len(pictures) * arithmetic.vision(sizes), prefill=sum(prefill), decode=0)


def add(works: list[Work]) -> Work:
    """Return the operations of many answers together: the sums, kind by kind."""
    return Work(
        vision=sum(work.vision for work in works),
        prefill=sum(work.prefill for work in works),
        decode=sum(work.decode for work in works),
    )
