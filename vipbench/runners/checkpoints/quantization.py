"""How a checkpoint's weights are quantised, by its config or by `--quantize`; without torch."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vipbench.errors import RunnerError
from vipbench.schema import Quantize, Record

BITSANDBYTES = "bitsandbytes"
COMPRESSED_TENSORS = "compressed-tensors"
METHODS = {
    BITSANDBYTES: (BITSANDBYTES, "accelerate"),
    "torchao": ("torchao", "accelerate"),
    COMPRESSED_TENSORS: ("compressed_tensors", "accelerate"),
}
"""Method, as configs name it -> modules that it needs."""
_KEYS = ("quantization_config", "compression_config")
"""Where a config says it; the second is that of older compressed-tensors."""
_PARTS = ("text_config", "vision_config")
EXTRA = "pip install 'vipbench[quantize]'"


class Quantization(Record):
    """How the weights of linear layers are quantised."""

    method: str
    """One of `METHODS`."""
    kind: str
    """Such as `int4`."""
    bits: int | None = None
    """Of a weight, where they are known."""
    at_loading: bool = False
    """By `--quantize`, and not in the checkpoint."""
    by_token: bool = False
    """Whether a layer computes each token by itself, so that a batch answers like its requests."""

    @property
    def words(self) -> str:
        """What stands in the identity and in tables, such as `int4 (bitsandbytes)`."""
        return f"{self.kind} ({self.method})"


def find_quantization(
    path: Path, config: Mapping[str, Any], quantize: Quantize | None
) -> Quantization | None:
    """Find how a checkpoint's weights will be quantised; None: they will not.

    Args:
        path: of its config.json.
        config: what that holds.
        quantize: what the user asks for.

    Raises:
        RunnerError: the method is not one of `METHODS`, or its package is not installed; or the
            user asks to quantise weights that are.
    """
    stored = next(filter(None, (config.get(key) for key in _KEYS)), None)
    for part in _PARTS:
        inner = config.get(part)
        if isinstance(inner, dict) and (inner.get(_KEYS[0]) or inner.get(_KEYS[1])):
            raise RunnerError(
                f"{path}: {part} holds a quantization_config of its own · expected one for the "
                "whole model, at the top of the file"
            )
    if stored is None:
        if quantize is None:
            return None
        _check_modules(f"--quantize {quantize}", BITSANDBYTES)
        return Quantization(
            method=BITSANDBYTES,
            kind=quantize,
            bits=int(quantize.removeprefix("int")),
            at_loading=True,
            by_token=quantize == "int4",
        )
    if quantize is not None:
        raise RunnerError(
            f"--quantize {quantize}: the weights are quantised already (quantization_config in "
            f"{path}) · leave --quantize out, or give the checkpoint that they were made of"
        )
    return _read(path, stored)


def _read(path: Path, stored: object) -> Quantization:
    """Read what a config says of its weights; see `find_quantization`."""
    if not isinstance(stored, dict):
        raise RunnerError(f"{path}: quantization_config is {stored!r} · expected a mapping")
    method = stored.get("quant_method")
    if method is None and (stored.get("load_in_4bit") or stored.get("load_in_8bit")):
        method = BITSANDBYTES  # as transformers takes it
    if method not in METHODS:
        raise RunnerError(
            f"{path}: the weights are quantised by {method!r} (quantization_config) · expected one "
            f"of {', '.join(METHODS)}, or float32, float16 or bfloat16 weights"
        )
    _check_modules(f"{path}: the weights are quantised by {method}", method)
    return _READERS[method](stored)


def _bitsandbytes(stored: Mapping[str, Any]) -> Quantization:
    bits = 4 if stored.get("load_in_4bit") else 8
    # LLM.int8() looks for outliers in all tokens of a batch together.
    return Quantization(method=BITSANDBYTES, kind=f"int{bits}", bits=bits, by_token=bits == 4)


def _torchao(stored: Mapping[str, Any]) -> Quantization:
    kind = stored.get("quant_type")
    if isinstance(kind, dict):
        inner = kind.get("default", kind)
        kind = inner.get("_type") if isinstance(inner, dict) else None
    name = str(kind).removesuffix("Config")
    weight_only = re.fullmatch(r"(?i)(u?int[1-8]|float8)_?weight_?only", name)
    named = re.search(r"(?i)(?:int|float)([1-8])", name)
    return Quantization(
        method="torchao",
        kind=name,
        bits=int(named[1]) if named else None,
        by_token=weight_only is not None,
    )


def _compressed_tensors(stored: Mapping[str, Any]) -> Quantization:
    groups = stored.get("config_groups")
    groups = [group for group in groups.values() if isinstance(group, dict)] if groups else []
    weights = [group.get("weights") or {} for group in groups]
    kinds = sorted({f"{w.get('type', 'int')}{w.get('num_bits', '')}" for w in weights})
    bits = [w.get("num_bits") for w in weights]
    known = [n for n in bits if isinstance(n, int)]
    return Quantization(
        method=COMPRESSED_TENSORS,
        kind="+".join(kinds) or str(stored.get("format") or "unknown"),
        bits=max(known) if known and len(known) == len(bits) else None,
        by_token=bool(groups) and not any(group.get("input_activations") for group in groups),
    )


_READERS = {
    BITSANDBYTES: _bitsandbytes,
    "torchao": _torchao,
    COMPRESSED_TENSORS: _compressed_tensors,
}


def _check_modules(where: str, method: str) -> None:
    """Refuse a method whose packages are not installed."""
    missing = [name for name in METHODS[method] if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        install = EXTRA if method == BITSANDBYTES else f"pip install {names.replace(',', '')}"
        raise RunnerError(f"{where}: needs {names}, not installed here · {install}")
