"""The language models that official checkpoints have: config, tokenizer, special tokens, prompts.

What is said of the official code's loader is llava/model/builder.py of ViP-LLaVA with
transformers 4.37.2, which its pyproject.toml asks for.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from transformers import LlamaConfig, Phi3Config

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.frames import special_tokens_of
from vipbench.schema import PromptFormat

# Keys of the configurations that are taken over; all others are the official code's own.
_SHARED_KEYS = (
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "vocab_size",
)
_LLAMA_KEYS = (*_SHARED_KEYS, "attention_bias", "head_dim", "mlp_bias", "pretraining_tp")
_PHI_3_KEYS = (
    *_SHARED_KEYS,
    "embd_pdrop",
    "original_max_position_embeddings",
    "resid_pdrop",
    "sliding_window",
)
_LLAMA_3_ROWS = 128_000
_LLAMA_3_TOKEN = "<|eot_id|>"  # noqa: S105 (no password)
_OWN_CODE = frozenset({"Phi3Config", "Phi3ForCausalLM"})
"""Classes of microsoft/Phi-3-mini-4k-instruct, whose auto_map a fine-tuned config still holds."""


class LanguageModel(NamedTuple):
    """One kind of language model."""

    name: str
    config_class: type[LlamaConfig] | type[Phi3Config]
    keys: tuple[str, ...]
    """Of the config, that are taken over."""
    prompt_format: PromptFormat
    tokens: tuple[str, ...]
    """Special tokens that its prompts need."""
    is_loaded_fast: bool = False
    """Whether the official code loads its tokenizer with `use_fast=True`, as LlamaTokenizerFast."""


VICUNA = LanguageModel("Vicuna", LlamaConfig, _LLAMA_KEYS, "llava_v1", ("</s>",))
LLAMA_3 = LanguageModel(
    "Llama 3", LlamaConfig, _LLAMA_KEYS, "llava_llama_3", special_tokens_of("llava_llama_3")
)
PHI_3 = LanguageModel(
    "Phi 3", Phi3Config, _PHI_3_KEYS, "llava_phi_3", special_tokens_of("llava_phi_3"), True
)


def find_language_model(folder: Path, config: Mapping[str, Any]) -> LanguageModel | None:
    """Tell the language model of an official checkpoint by its config; None: it is another.

    Llama 3 differs from Vicuna in nothing but sizes and the tokenizer: its vocabulary is four times
    as large, or has the token that ends its turns.
    """
    named = config.get("architectures") or config.get("model_type")
    classes = ", ".join(map(str, named)) if isinstance(named, list) else str(named)
    if re.search("phi_?3", classes, re.IGNORECASE):
        return PHI_3
    if not re.search(r"llama|^(vip_?)?llava$", classes, re.IGNORECASE):
        return None
    rows = config.get("vocab_size")
    large = type(rows) is int and rows >= _LLAMA_3_ROWS
    return LLAMA_3 if large or _LLAMA_3_TOKEN in _added_tokens(folder) else VICUNA


def _added_tokens(folder: Path) -> set[str]:
    """Texts of the tokens that stand beside a tokenizer's vocabulary, as far as files name them."""
    path = folder / "tokenizer.json"
    added = read_json(path).get("added_tokens") if path.is_file() else None
    return {
        str(token.get("content"))
        for token in (added if isinstance(added, list) else ())
        if isinstance(token, dict)
    }


def is_own_code(language_model: LanguageModel | None, config: Mapping[str, Any]) -> bool:
    """Whether what a config says of remote code is that of the language model's own authors.

    It is not run: transformers has the model. Microsoft's Phi 3 came with its code before
    transformers had it, and the config of a fine-tuned one still says so.
    """
    auto_map = config.get("auto_map")
    return (
        language_model is PHI_3
        and isinstance(auto_map, dict)
        and {str(name).rsplit(".", 1)[-1] for name in auto_map.values()} <= _OWN_CODE
    )


def make_text_config(
    path: Path, language_model: LanguageModel, config: Mapping[str, Any]
) -> LlamaConfig | Phi3Config:
    """Make the config of the language model.

    Raises:
        RunnerError: rotary positions of Phi 3 that are stretched, as those with 128k are.
        ValueError, TypeError and others of transformers: values that are none of such a model.
    """
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = rope.get("type", rope.get("rope_type", "default")) if isinstance(rope, dict) else rope
    if language_model is PHI_3 and kind != "default":
        raise RunnerError(
            f"{path}: rope_scaling is {kind!r}, as in Phi 3 with 128k, which is not supported · "
            "expected ViP-LLaVA on Phi-3-mini-4k-instruct"
        )
    values = {key: config[key] for key in language_model.keys if key in config}
    # Named later, when the tokenizer has its own; Phi 3's default lies beyond small vocabularies.
    return language_model.config_class(**values, pad_token_id=None)
