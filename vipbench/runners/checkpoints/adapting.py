"""Adapters at work: loaded onto a model and merged, or found in one that is in memory."""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.adapters import PROMPTS, WEIGHTS, AdapterInfo, facts_of

_NAME = "default"
"""What PEFT calls the adapter here; it stands in the names of its tensors."""
FSDP = "FullyShardedDataParallel"
"""The class of torch's first FSDP; its second one leaves DTensors in the model itself."""
_OLD_NAMES = (
    (r"^base_model\.model\.language_model\.model\.", "base_model.model.model.language_model."),
    (r"^base_model\.model\.language_model\.lm_head\b", "base_model.model.lm_head"),
    (r"^base_model\.model\.(vision_tower|multi_modal_projector)\.", r"base_model.model.model.\1."),
    (r"\.vision_tower\.vision_model\.", ".vision_tower."),
)
"""How models of images and text called their parts, and what these are called now."""
_ERRORS = (ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError, OSError)
"""What PEFT raises for an adapter that does not go with a model; others derive from these."""


def load_adapter(model: Any, adapter: AdapterInfo, *, merge: bool) -> Any:
    """Load an adapter onto a model, which is changed in place: every tensor has its place.

    Args:
        model: of transformers.
        adapter: the checked adapter.
        merge: into the weights, which are plain ones then; else its layers stay around them.

    Raises:
        RunnerError: the adapter is one of another model, or cannot be merged.
    """
    from peft import PeftConfig, PeftModel, set_peft_model_state_dict  # an extra

    assert adapter.path is not None

    where = f"--adapter {adapter.path}"
    try:
        # PEFT draws at random what it then reads from the file, and warns of what is refused here.
        with torch.random.fork_rng([]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = PeftConfig.from_pretrained(str(adapter.path))
            config.inference_mode = True
            if getattr(config, "use_dora", False) and _is_int8(model):
                raise RunnerError(
                    f"{where}: is DoRA, which PEFT cannot compute beside int8 weights of "
                    "bitsandbytes · expected LoRA · give --quantize int4, or plain weights"
                )
            wrapped: Any = PeftModel(model, config, _NAME)
            tensors = _renamed(load_file(adapter.path / WEIGHTS), wrapped)
            report = set_peft_model_state_dict(wrapped, tensors, _NAME)
            missing = [key for key in report.missing_keys if _NAME in key.split(".")]
            _check_placed(where, "unexpected", report.unexpected_keys, model)
            _check_placed(where, "missing", missing, model)
            if not merge:
                return wrapped.base_model.model.eval()
            return wrapped.merge_and_unload(safe_merge=True).eval()
    except _ERRORS as error:
        raise RunnerError(
            f"{where}: cannot be loaded onto a {type(model).__name__} "
            f"({_shortened(error)}) · expected an adapter of this model · "
            f"{_advice(adapter, merge=merge)}"
        ) from error


def _is_int8(model: Any) -> bool:
    """Say whether a layer is one of LLM.int8(), which loses its scales when it is first asked."""
    return any(type(module).__name__ == "Linear8bitLt" for module in model.modules())


def _advice(adapter: AdapterInfo, *, merge: bool) -> str:
    """Say what to do about an adapter that does not go with the model."""
    if adapter.whole and not merge:
        names = ", ".join(adapter.whole)
        return f"it brings {names} as a whole: where these are quantised, load plain weights"
    return "give its base as --model"


def _renamed(tensors: Mapping[str, torch.Tensor], wrapped: Any) -> dict[str, torch.Tensor]:
    """Give tensors that were saved with transformers before 4.52 the names of today."""
    from peft import get_peft_model_state_dict

    expected = get_peft_model_state_dict(wrapped).keys()
    renamed = {}
    for name, tensor in tensors.items():
        new = name
        for pattern, replacement in _OLD_NAMES:
            new = re.sub(pattern, replacement, new)
        renamed[name if name in expected or new not in expected else new] = tensor
    return renamed


def _shortened(error: Exception) -> str:
    """Write an error of PEFT on one line; of shapes that do not go together, the first ones."""
    lines = [line.strip() for line in str(error).splitlines()]
    mismatches = [line for line in lines if line.startswith("size mismatch")]
    text = f"{mismatches[0]} ({len(mismatches)} in all)" if mismatches else " ".join(lines)
    return f"{type(error).__name__}: {text}"[:400]


def _check_placed(where: str, what: str, keys: Sequence[str], model: Any) -> None:
    """Refuse tensors without a place, and places without a tensor."""
    if keys:
        first = ", ".join(sorted(keys)[:3])
        raise RunnerError(
            f"{where}: {what} keys: {first} ({len(keys)} in all) · expected the tensors that its "
            f"config asks for in a {type(model).__name__}, and no others · give its base as --model"
        )


# --- in memory


def unwrap(model: Any) -> Any:
    """Return the model inside of what wraps it; any other as it is.

    That is torch.compile (`_orig_mod`), DistributedDataParallel and its like (`module`), and a
    PeftModel, whose adapter stays at work. One whose parameters are sharded stays as it is.

    Raises:
        RunnerError: the adapter is one of prompts, which is not in the model inside.
    """
    while (inner := _inside(model)) is not None:
        model = inner
    if not (hasattr(model, "merge_and_unload") or hasattr(model, "active_peft_config")):
        return model
    configs = getattr(model, "peft_config", {})
    kinds = [str(getattr(c.peft_type, "value", c.peft_type)) for c in configs.values()]
    if prompts := sorted(PROMPTS.intersection(kinds)):
        raise RunnerError(
            f"model: is a {type(model).__name__} with {prompts[0]}, which puts something before "
            "the prompt · expected an adapter of layers, such as LORA"
        )
    return unwrap(model.base_model.model)


def _inside(model: Any) -> torch.nn.Module | None:
    """Return what torch.compile or DDP holds; None: it is neither, or its parameters are sharded.

    Looked for in the wrapper alone: others pass names on to what they wrap.
    """
    if FSDP in type(model).__name__ or not isinstance(model, torch.nn.Module):
        return None
    own = {**vars(model), **vars(model).get("_modules", {})}
    inner = own.get("_orig_mod", own.get("module"))
    return inner if isinstance(inner, torch.nn.Module) else None


def sharding(model: Any) -> str | None:
    """Say in words what has sharded a model's parameters; None: they are whole in this process."""
    if not isinstance(model, torch.nn.Module):
        return None
    if any(FSDP in type(module).__name__ for module in model.modules()):
        return "FSDP"
    parameters = list(model.parameters())
    if any(hasattr(parameter, "ds_status") for parameter in parameters):
        return "ZeRO-3"
    if any(hasattr(parameter, "full_tensor") for parameter in parameters):  # a DTensor
        return "FSDP or tensor parallelism"
    return None


def live_adapter(model: Any) -> AdapterInfo | None:
    """Describe the adapters in a model in memory; None: there are none.

    The digest covers what is not in the tensors: which of them are at work, and how strongly.
    """
    layers = [
        [
            name,
            list(module.active_adapters),
            list(module.merged_adapters),
            bool(module.disable_adapters),
            _plain(getattr(module, "scaling", None)),
        ]
        for name, module in model.named_modules()
        if hasattr(module, "merged_adapters") and hasattr(module, "disable_adapters")
    ]
    if not layers:
        return None
    configs = {
        name: facts_of(config.to_dict())
        for name, config in sorted(getattr(model, "peft_config", {}).items())
    }
    return AdapterInfo(
        name="live", path=None, digest=digests.digest([_plain(configs), sorted(layers)])
    )


def _plain(value: Any) -> Any:
    """Make plain data of what a config holds: sets in order, and anything else by its words."""
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
