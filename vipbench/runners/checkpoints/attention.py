"""The kernel that torch takes for the attention of a prompt; the choice is torch's own."""

from typing import Any

import torch
from transformers import AutoConfig

from vipbench.runners.checkpoints.loading import LOAD_ERRORS, inference

KERNELS = {0: "math", 1: "flash", 2: "efficient", 3: "cudnn"}
"""Number -> name of torch's attention kernels (`torch.nn.attention.SDPBackend`)."""
UNKNOWN = "not known"


def attention_kernel(model: Any, *, masked: bool) -> str:
    """Name the kernel that torch takes here and now for a prompt's attention in a model.

    One of `KERNELS`, or "not known". `masked`: a mask says which tokens are seen; else every token
    sees those before it.
    """
    return _kernel(model.config.get_text_config(), model.dtype, model.device, masked=masked)


def checkpoint_kernel(model: str, dtype: str | None, device: str) -> str:
    """Name the kernel that a runner takes for a prompt of a checkpoint, such as `sdpa: flash`.

    Args:
        model: folder or hub id; "not known" where its config cannot be read.
        dtype: torch's name; None: float32.
        device: torch's name.
    """
    try:
        text = AutoConfig.from_pretrained(model).get_text_config()
    except LOAD_ERRORS:
        return UNKNOWN
    with inference(torch.nn.Identity()):  # cuDNN's kernel is off, as it is for the runners
        kernel = _kernel(text, getattr(torch, dtype or "float32"), device, masked=False)
    return f"sdpa: {kernel}"


def _kernel(text: Any, dtype: torch.dtype, device: torch.device | str, *, masked: bool) -> str:
    heads = int(text.num_attention_heads)
    width = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    query = torch.zeros(1, heads, 16, width, device=device, dtype=dtype)
    mask = torch.ones(1, 1, 16, 16, device=device, dtype=torch.bool) if masked else None
    try:
        number = int(torch._fused_sdp_choice(query, query, query, mask, 0.0, not masked))
    except RuntimeError:  # not every device has several kernels
        return UNKNOWN
    return KERNELS.get(number, str(number))
