"""How much arithmetic reading takes, counted from a model's sizes; needs no torch.

Only matrix products count, two operations a multiply-add. What is needed counts, not what is
computed: no padding, vision layers up to the last one that is used, causal attention, of the last
layer only keys and values except for the last token of the prompt.
"""

from vipbench.runners.vipllava.model_sizes import ModelSizes


def vision(sizes: ModelSizes) -> int:
    """Count the vision tower and the projector, which see one image."""
    patches = (sizes.image_size // sizes.patch_size) ** 2
    seen = patches + 1  # the class token
    embedding = 2 * patches * 3 * sizes.patch_size**2 * sizes.vision_width
    layer = 2 * seen * (4 * sizes.vision_width**2 + 2 * sizes.vision_width * sizes.vision_mlp)
    attention = 4 * seen**2 * sizes.vision_width
    projector = 2 * patches * sizes.width * (sizes.n_features * sizes.vision_width + sizes.width)
    return embedding + sizes.vision_layers * (layer + attention) + projector


def token(sizes: ModelSizes) -> int:
    """Count one token on its way through the language model, without attention's own products."""
    queries = sizes.heads * sizes.head_width
    keys = sizes.key_value_heads * sizes.head_width
    return 2 * sizes.layers * sizes.width * (2 * queries + 2 * keys + 3 * sizes.mlp)


def attention(sizes: ModelSizes) -> int:
    """Count what a token does with one that it attends to: with its key, then with its value."""
    return 4 * sizes.layers * sizes.heads * sizes.head_width


def vocabulary(sizes: ModelSizes) -> int:
    """Count the logits behind one token."""
    return 2 * sizes.width * sizes.vocabulary


def beginning(sizes: ModelSizes, n: int) -> int:
    """Count the first `n` tokens of a prompt that has more: nobody reads what follows them."""
    pairs = n * (n + 1) // 2
    unread = n * _unread(sizes) + attention(sizes) // sizes.layers * pairs
    return n * token(sizes) + attention(sizes) * pairs - unread


def prompt(sizes: ModelSizes, n: int) -> int:
    """Count a prompt of `n` tokens, and the logits behind it."""
    last = _unread(sizes) + attention(sizes) // sizes.layers * n
    return beginning(sizes, n) + last + vocabulary(sizes)


def _unread(sizes: ModelSizes) -> int:
    """Count queries, output and MLP of one token in one layer."""
    return 2 * sizes.width * (2 * sizes.heads * sizes.head_width + 3 * sizes.mlp)
