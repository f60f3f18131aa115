"""Loading: a checkpoint on disk, or a live model, made ready to decode."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, VipLlavaForConditionalGeneration

from vipbench.runners.checkpoints.adapting import live_adapter, unwrap
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, image_statistics
from vipbench.runners.checkpoints.loading import check_live, end_ids, load_model, load_tokenizer
from vipbench.runners.checkpoints.parts import digest_live_parts
from vipbench.runners.checkpoints.quantizing import live_quantization
from vipbench.runners.checkpoints.template_files import template_of
from vipbench.runners.device import Placement
from vipbench.runners.frames import FRAMES
from vipbench.runners.prompt_formats import PromptEncoder
from vipbench.runners.vipllava.net import Net
from vipbench.runners.vipllava.sizing import read_config
from vipbench.schema import PromptFormat


def load(
    info: CheckpointInfo, placement: Placement, prompt_format: PromptFormat | None = None
) -> Net:
    """Load a checkpoint that was checked.

    Args:
        info: the checkpoint, with what is loaded onto it.
        placement: where and in which numbers it computes.
        prompt_format: default: the one in the checkpoint's `vipbench.json`, else `hf`.

    Raises:
        RunnerError: the checkpoint, tokenizer or prompt format cannot be used.
    """
    tokenizer = load_tokenizer(info)
    return _make_net(info, load_weights(info, placement), tokenizer, prompt_format)


def wrap(
    model: VipLlavaForConditionalGeneration,
    processor: Any,
    prompt_format: PromptFormat | None = None,
) -> Net:
    """Take a live model, which is not moved or cast; `processor` is a processor or a tokenizer.

    The adapter of a PeftModel stays at work.

    Raises:
        RunnerError: the model, its tokenizer or the prompt format cannot be used.
    """
    model = unwrap(model)
    info = describe_live(model, processor)
    return _make_net(info, model, getattr(processor, "tokenizer", processor), prompt_format)


def load_weights(info: CheckpointInfo, placement: Placement) -> VipLlavaForConditionalGeneration:
    """Load a checkpoint's weights, without the vision layers that nothing reads."""
    model: VipLlavaForConditionalGeneration = load_model(
        VipLlavaForConditionalGeneration,
        info,
        placement,
        config=read_config(info),
        attn_implementation="sdpa",
    )
    drop_unused_layers(model, info.vision_feature_layers)
    return model


def _make_net(
    info: CheckpointInfo,
    model: VipLlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    prompt_format: PromptFormat | None,
) -> Net:
    config: Any = model.config
    resolved = info.format_for(prompt_format)
    return Net(
        info=info,
        model=model,
        tokenizer=tokenizer,
        prompts=PromptEncoder(
            tokenizer,
            resolved,
            image_token_id=int(config.image_token_id),
            n_image_tokens=info.n_image_tokens,
            chat_template=template_of(info, resolved),
        ),
        end_ids=end_ids(model, tokenizer) | _ends_of(resolved, tokenizer),
        image_mean=torch.tensor(info.image_mean, device=model.device).view(1, 3, 1, 1),
        image_std=torch.tensor(info.image_std, device=model.device).view(1, 3, 1, 1),
    )


def _ends_of(prompt_format: PromptFormat, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the token that ends a turn in a frame of the official code, whatever a config says.

    Not that of `llava_v1`, `</s>`, which is EOS wherever the format is used.
    """
    if prompt_format not in FRAMES:
        return frozenset()
    end = tokenizer.convert_tokens_to_ids(FRAMES[prompt_format].end_token)
    assert isinstance(end, int)  # `PromptEncoder` has looked for it
    return frozenset({end})


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
    for owner in (config.vision_config, tower.config, encoder.config):
        owner.num_hidden_layers = used
    config.vision_feature_layers = absolute


def describe_live(model: VipLlavaForConditionalGeneration, processor: Any) -> CheckpointInfo:
    """Describe a model in memory as `check_checkpoint` describes one on disk."""
    check_live(model, processor)
    vision: Any = model.config.vision_config
    layers: Any = model.config.vision_feature_layers
    image_processor = getattr(processor, "image_processor", None)
    mean, std = image_statistics(getattr(image_processor, "to_dict", dict)())
    adapter = live_adapter(model)
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
        weights=(weights := digest_weights(model)),
        settings="",
        parts=digest_live_parts(weights, model, processor)
        | ({} if adapter is None else {"adapter": adapter.digest}),
        adapter=adapter,
        quantization=live_quantization(model),
    )


def digest_weights(model: torch.nn.Module) -> str:
    """Sha256 over names, dtypes, shapes and bytes of a model's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(raw.numpy())
    return digest.hexdigest()
