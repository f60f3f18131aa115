"""The sizes of a VipLlava that decide its arithmetic and its memory; needs no torch."""

from typing import Any

from vipbench.schema import Record


class ModelSizes(Record):
    """What a `VipLlavaConfig` says of sizes."""

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

    @property
    def n_image_tokens(self) -> int:
        """Features of an image: its patches."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def n_weights(self) -> int:
        """Numbers in the large matrices: all but a thousandth of the model."""
        vision = self.vision_width * (4 * self.vision_width + 2 * self.vision_mlp)
        projector = self.width * (self.n_features * self.vision_width + self.width)
        attention = 2 * self.width * self.head_width * (self.heads + self.key_value_heads)
        text = attention + 3 * self.width * self.mlp
        return self.vision_layers * vision + projector + self.layers * text + self.n_embeddings

    @property
    def n_embeddings(self) -> int:
        """Numbers in the embeddings and in the last layer, which are never quantised."""
        return 2 * self.vocabulary * self.width


def sizes_of(config: Any) -> ModelSizes:
    """Read the sizes from a `VipLlavaConfig`."""
    vision, text = config.vision_config, config.text_config
    layers = config.vision_feature_layers
    indices = [layers] if isinstance(layers, int) else list(layers)
    depth = vision.num_hidden_layers
    return ModelSizes(
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
