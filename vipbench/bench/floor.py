"""How much arithmetic an answer takes, counted from a model's configuration.

Only matrix products count, two operations a multiply-add: what a device's measured matrix-product
peak can be compared with. What is needed counts, not what is computed: no padding, vision layers up
to the last one that is used, causal attention, of the last layer only keys and values except for
the last token of the prompt, the vocabulary once a new token.
"""

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
    # The token at position t attends to t tokens: products with the keys, then with the values.
    attention = 4 * sizes.layers * sizes.heads * sizes.head_width
    prompt_pairs = n_prompt * (n_prompt + 1) // 2
    all_pairs = n_all * (n_all + 1) // 2
    vocabulary = 2 * sizes.width * sizes.vocabulary
    # What the last layer makes of all tokens but the last is read by nobody.
    unread = (n_prompt - 1) * _unread(sizes) + attention // sizes.layers * (prompt_pairs - n_prompt)
    return Work(
        vision=_vision(sizes),
        prefill=n_prompt * _token(sizes) + attention * prompt_pairs - unread + vocabulary,
        decode=n_passes * (_token(sizes) + vocabulary) + attention * (all_pairs - prompt_pairs),
    )


def add(works: list[Work]) -> Work:
    """Return the operations of many answers together: the sums, kind by kind."""
    return Work(
        vision=sum(work.vision for work in works),
        prefill=sum(work.prefill for work in works),
        decode=sum(work.decode for work in works),
    )


def _vision(sizes: ModelSizes) -> int:
    """Count the vision tower and the projector, which see one image."""
    patches = (sizes.image_size // sizes.patch_size) ** 2
    seen = patches + 1  # the class token
    embedding = 2 * patches * 3 * sizes.patch_size**2 * sizes.vision_width
    layer = 2 * seen * (4 * sizes.vision_width**2 + 2 * sizes.vision_width * sizes.vision_mlp)
    attention = 4 * seen**2 * sizes.vision_width
    projector = 2 * patches * sizes.width * (sizes.n_features * sizes.vision_width + sizes.width)
    return embedding + sizes.vision_layers * (layer + attention) + projector


def _unread(sizes: ModelSizes) -> int:
    """Count queries, output and MLP of one token in one layer."""
    return 2 * sizes.width * (2 * sizes.heads * sizes.head_width + 3 * sizes.mlp)


def _token(sizes: ModelSizes) -> int:
    """Count one token on its way through the language model, without attention's own products."""
    queries = sizes.heads * sizes.head_width
    keys = sizes.key_value_heads * sizes.head_width
    return 2 * sizes.layers * sizes.width * (2 * queries + 2 * keys + 3 * sizes.mlp)
