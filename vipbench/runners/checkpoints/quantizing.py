"""Quantised weights: what transformers is told to load them, and what came of it."""

import logging
import re
from typing import Any

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import ModelInfo
from vipbench.runners.checkpoints.quantization import (
    BITSANDBYTES,
    COMPRESSED_TENSORS,
    Quantization,
)
from vipbench.runners.device import Placement

_LAYERS = {"int4": "Linear4bit", "int8": "Linear8bitLt"}
"""Kind -> class of bitsandbytes."""


_NOISE = {
    "bitsandbytes.autograd._functions": "MatMul8bitLt: inputs will be cast",
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
}
"""Logger -> a message that says nothing of use, the first one for every layer of every batch."""
_LAST = "lm_head"
"""What transformers leaves as it is, where it is not told what to."""


def quantized_options(info: ModelInfo, placement: Placement) -> dict[str, Any]:
    """Return what `from_pretrained` is told beside dtype and folder; nothing for plain weights.

    By `--quantize`, int4 is NF4 computed in the dtype of the run, without double quantisation (the
    default of QLoRA's 4-bit type), and int8 is LLM.int8() with its default threshold of 6. Which
    layers are left as they are is the default of transformers: the embeddings and the last layer.
    So are the modules that an adapter brings as a whole.
    """
    quantization = info.quantization
    if quantization is None:
        return {}
    for name, text in _NOISE.items():
        logging.getLogger(name).addFilter(_Without(text))
    # Quantised layers are made where they are to be: not all can be moved afterwards.
    options: dict[str, Any] = {"device_map": {"": placement.device}}
    if quantization.method == COMPRESSED_TENSORS:
        from transformers import CompressedTensorsConfig

        # What is computed with is unpacked while it is loaded: layers are called one by one here,
        # and packed ones are unpacked by the model as a whole only.
        unpacked: Any = CompressedTensorsConfig
        return options | {"quantization_config": unpacked(run_compressed=False)}
    if not quantization.at_loading:
        return options
    from transformers import BitsAndBytesConfig

    make: Any = BitsAndBytesConfig
    whole = info.adapter.whole if info.adapter else ()
    # Names are read as regular expressions from the start.
    skipped = [_LAST, *(rf"(?:.*\.)?{re.escape(name)}" for name in whole)] if whole else None
    if quantization.kind == "int8":
        config = make(load_in_8bit=True, llm_int8_skip_modules=skipped)
    else:
        config = make(
            load_in_4bit=True,
            llm_int8_skip_modules=skipped,  # of int4 too, whatever its name
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=placement.torch_dtype(),
        )
    return options | {"quantization_config": config}


class _Without(logging.Filter):
    """Lets no message pass that begins with a text."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self.name)


def check_quantized(model: Any, where: str, quantization: Quantization) -> None:
    """Refuse a model of which no layer became what bitsandbytes makes of it."""
    if quantization.method != BITSANDBYTES:
        return  # others keep torch's own class of layers
    wanted = _LAYERS[quantization.kind]
    if not any(type(module).__name__ == wanted for module in model.modules()):
        raise RunnerError(
            f"{where}: no layer was quantised to {quantization.words} · expected linear layers "
            "beside the last one"
        )


def live_quantization(model: Any) -> Quantization | None:
    """Tell how the weights of a model in memory are quantised; None: they are not."""
    kinds = {type(module).__name__ for module in model.modules()}
    for kind, layer in _LAYERS.items():
        if layer in kinds:
            bits = int(kind.removeprefix("int"))
            return Quantization(method=BITSANDBYTES, kind=kind, bits=bits, by_token=kind == "int4")
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is None:
        return None
    method = getattr(quantizer.quantization_config, "quant_method", "unknown")
    return Quantization(method=str(getattr(method, "value", method)), kind="quantised")
