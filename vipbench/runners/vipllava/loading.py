"""loading: part of what was vipbench/runners/vipllava/runner.py."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from transformers import VipLlavaForConditionalGeneration

from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, image_statistics
from vipbench.runners.checkpoints.loading import check_live, load_model
from vipbench.runners.checkpoints.sizing import read_config


def _load_model(
    info: CheckpointInfo, dtype: torch.dtype, device: torch.device
) -> VipLlavaForConditionalGeneration:
    model: VipLlavaForConditionalGeneration = load_model(
        VipLlavaForConditionalGeneration,
        info,
        dtype,
        device,
        config=read_config(info),
        attn_implementation="sdpa",
    )
    return model


def drop_unused_layers(model: VipLlavaForConditionalGeneration, layers: Sequence[int]) -> None:
    """Remove the layers of the vision tower above the highest feature layer, in place.

    Feature layers count the embeddings as 0, and from the end where negative; the config then
    names them from the start. What is left computes the same features bit for bit.
    """
    config: Any = model.config
    tower: Any = model.model.vision_tower
    encoder: Any = getattr(getattr(tower, "vision_model", tower), "encoder", None)
    blocks = getattr(encoder, "layers", None)
    if not isinstance(blocks, torch.nn.ModuleList):
        return
    absolute = [layer % (len(blocks) + 1) for layer in layers]
    used = max(1, *absolute)  # the embeddings are taken from the first layer's input
    if used == len(blocks):
        return
    encoder.layers = blocks[:used]
    for each in (config.vision_config, tower.config, encoder.config):
        each.num_hidden_layers = used
    config.vision_feature_layers = absolute


def describe_live(model: VipLlavaForConditionalGeneration, processor: Any) -> CheckpointInfo:
    """Describe a model in memory as `check_checkpoint` describes one on disk."""
    check_live(model, processor)
    vision: Any = model.config.vision_config
    layers: Any = model.config.vision_feature_layers
    image_processor = getattr(processor, "image_processor", None)
    mean, std = image_statistics(getattr(image_processor, "to_dict", dict)())
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(raw.numpy())
    return CheckpointInfo(
        name="live",
        path=None,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        n_image_tokens=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layers=(layers,) if isinstance(layers, int) else tuple(layers),
        image_mean=mean,
        image_std=std,
        chat_template=getattr(processor, "chat_template", None),
        weights=digest.hexdigest(),
        settings="",
    )
