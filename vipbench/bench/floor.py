"""How much arithmetic an answer takes, counted from a model's configuration.

Only matrix products count, two operations a multiply-add: what a device's measured matrix-product
peak can be compared with. Counted is what is needed, not what is computed: no padding, vision
layers up to the last one that is used, causal attention, the vocabulary once a new token.
"""

from typing import Any

from vipbench.schema import Record


class Shape(Record):
    """The sizes of a VipLlava that decide its arithmetic."""

    image_size: int
    patch_size: int
    vision_width: int
    vision_mlp: int
    vision_layers: int
    """Layers whose output is used, or leads to one that is."""
    n_features: int
    """Hidden states of the vision tower that the projector sees."""
    width: int
    mlp: int
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    vocabulary: int


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
        """All together."""
        return self.vision + self.prefill + self.decode


def shape_of(config: Any) -> Shape:
    """Read the sizes from a `VipLlavaConfig`."""
    vision, text = config.vision_config, config.text_config
    found = config.vision_feature_layers
    indices = [found] if isinstance(found, int) else list(found)
    depth = vision.num_hidden_layers
    return Shape(
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        vision_width=vision.hidden_size,
        vision_mlp=vision.intermediate_size,
        # hidden state 0 is the embedding, -1 the output of the last layer
        vision_layers=max(i if i >= 0 else depth + 1 + i for i in indices),
        n_features=len(indices),
        width=text.hidden_size,
        mlp=text.intermediate_size,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        key_value_heads=text.num_key_value_heads,
        head_width=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        vocabulary=text.vocab_size,
    )


def count(shape: Shape, n_prompt: int, n_passes: int) -> Work:
    """Count one answer.

    Args:
        shape: of the model.
        n_prompt: tokens of the prompt, those of the image among them.
        n_passes: times that one further token went through the language model.
    """
    n_all = n_prompt + n_passes
    # The token at place t attends to t tokens: products with the keys, then with the values.
    attention = 4 * shape.layers * shape.heads * shape.head_width
    prompt_pairs = n_prompt * (n_prompt + 1) // 2
    all_pairs = n_all * (n_all + 1) // 2
    vocabulary = 2 * shape.width * shape.vocabulary
    return Work(
        vision=_vision(shape),
        prefill=n_prompt * _token(shape) + attention * prompt_pairs + vocabulary,
        decode=n_passes * (_token(shape) + vocabulary) + attention * (all_pairs - prompt_pairs),
    )


def add(works: list[Work]) -> Work:
    """Sum up."""
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


def _token(shape: Shape) -> int:
    """Count one token on its way through the language model, without attention's own products."""
    queries = shape.heads * shape.head_width
    keys = shape.key_value_heads * shape.head_width
    return 2 * shape.layers * shape.width * (2 * queries + 2 * keys + 3 * shape.mlp)
