"""How much arithmetic an answer takes, counted from a model's configuration.

Only matrix products count, two operations a multiply-add: what a device's measured matrix-product
peak can be compared with. What is needed counts, not what is computed: no padding, vision layers up
to the last one that is used, causal attention, of the last layer only keys and values except for
the last token of the prompt, the vocabulary once a new token.
"""

from vipbench.runners.checkpoints.shape import Shape
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


def count(shape: Shape, n_prompt: int, n_passes: int) -> Work:
    """Count one answer.

    Args:
        shape: of the model.
        n_prompt: tokens of the prompt, those of the image among them.
        n_passes: times that one further token went through the language model.
    """
    n_all = n_prompt + n_passes
    # The token at position t attends to t tokens: products with the keys, then with the values.
    attention = 4 * shape.layers * shape.heads * shape.head_width
    prompt_pairs = n_prompt * (n_prompt + 1) // 2
    all_pairs = n_all * (n_all + 1) // 2
    vocabulary = 2 * shape.width * shape.vocabulary
    # What the last layer makes of all tokens but the last is read by nobody.
    unread = (n_prompt - 1) * _unread(shape) + attention // shape.layers * (prompt_pairs - n_prompt)
    return Work(
        vision=_vision(shape),
        prefill=n_prompt * _token(shape) + attention * prompt_pairs - unread + vocabulary,
        decode=n_passes * (_token(shape) + vocabulary) + attention * (all_pairs - prompt_pairs),
    )


def add(works: list[Work]) -> Work:
    """Return the operations of many answers together: the sums, kind by kind."""
    return Work(
        vision=sum(work.vision for work in works),
        prefill=sum(work.prefill for work in works),
        decode=sum(work.decode for work in works),
    )


def _vision(shape: Shape) -> int:
    """Count the vision tower and the projector, which see one image."""
    patches = (shape.image_size // shape.patch_size) ** 2
    seen = patches + 1  # the class token
    embedding = 2 * patches * 3 * shape.patch_size**2 * shape.vision_width
    layer = 2 * seen * (4 * shape.vision_width**2 + 2 * shape.vision_width * shape.vision_mlp)
    attention = 4 * seen**2 * shape.vision_width
    projector = 2 * patches * shape.width * (shape.n_features * shape.vision_width + shape.width)
    return embedding + shape.vision_layers * (layer + attention) + projector


def _unread(shape: Shape) -> int:
    """Count queries, output and MLP of one token in one layer."""
    return 2 * shape.width * (2 * shape.heads * shape.head_width + 3 * shape.mlp)


def _token(shape: Shape) -> int:
    """Count one token on its way through the language model, without attention's own products."""
    queries = shape.heads * shape.head_width
    keys = shape.key_value_heads * shape.head_width
    return 2 * shape.layers * shape.width * (2 * queries + 2 * keys + 3 * shape.mlp)
