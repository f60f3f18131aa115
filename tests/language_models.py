"""Official checkpoints on Llama 3 and on Phi 3: the embedded one with their tokenizers and names.

The tokenizers are small ones of the same kind, with the special tokens, the splitting and the BOS
of the real ones, which no test can fetch.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from tests.originals import llama_like_tokenizer, save_original, save_sentencepiece

LLAMA_3_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
LLAMA_3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 splits a text before its byte-level BPE (its tokenizer.json)."""
PHI_3_TOKENS = (
    "<|endoftext|>",
    "<|assistant|>",
    "<|placeholder1|>",
    "<|placeholder2|>",
    "<|placeholder3|>",
    "<|placeholder4|>",
    "<|system|>",
    "<|end|>",
    "<|placeholder5|>",
    "<|placeholder6|>",
    "<|user|>",
)
"""Phi 3 adds these to Llama's vocabulary, in this order; all but the first strip on the right."""
_TEXT = "user system assistant What is the object? A. B. C. \n\n You are a helpful language and"


def llama_3_tokenizer(*, adds_bos: bool = True) -> Tokenizer:
    """A byte-level BPE of Llama 3's kind; its special tokens have the last numbers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT] * 4, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in LLAMA_3_SPECIALS]
    )
    bos = LLAMA_3_SPECIALS[0]
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A",
            pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.token_to_id(bos))],
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def save_llama_3_tokenizer(folder: Path, *, adds_bos: bool = True) -> None:
    """Write the files that are saved with Llama 3."""
    llama_3_tokenizer(adds_bos=adds_bos).save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        bos_token=LLAMA_3_SPECIALS[0],
        eos_token=LLAMA_3_SPECIALS[1],
        tokenizer_class="PreTrainedTokenizerFast",
    )


def save_phi_3_tokenizer(folder: Path, **config: Any) -> None:
    """Write the files that the training script saves with Phi 3: no tokenizer.json."""
    (folder / "tokenizer.json").unlink(missing_ok=True)
    llama = llama_like_tokenizer(340)
    save_sentencepiece(folder / "tokenizer.model", llama)
    added = {
        str(340 + i): {
            "content": text,
            "lstrip": False,
            "normalized": False,
            "rstrip": i > 0,
            "single_word": False,
            "special": True,
        }
        for i, text in enumerate(PHI_3_TOKENS)
    }
    _write(
        folder / "tokenizer_config.json",
        **{
            "add_bos_token": True,
            "added_tokens_decoder": added,
            "bos_token": "<s>",
            "eos_token": "<|endoftext|>",
            "legacy": False,
            "pad_token": "<unk>",
            "tokenizer_class": "LlamaTokenizer",
            "unk_token": "<unk>",
        }
        | config,
    )


def save_llama_3(folder: Path, *, adds_bos: bool = True, **config: Any) -> Path:
    """Write the embedded checkpoint as one on Llama 3; keys of the config may be changed."""
    settings: dict[str, Any] = {
        "model_type": "llava_llama",
        "rope_theta": 500_000.0,
        "eos_token_id": llama_3_tokenizer().token_to_id(LLAMA_3_SPECIALS[1]),
    } | config
    save_original(folder, tower=False, **settings)
    save_llama_3_tokenizer(folder, adds_bos=adds_bos)
    return folder


def save_phi_3(folder: Path, **config: Any) -> Path:
    """Write the embedded checkpoint as one on Phi 3, whose projections are joined."""
    settings: dict[str, Any] = {
        "architectures": ["LlavaPhi3ForCausalLM"],
        "model_type": "llava_phi3",
        "eos_token_id": 340,
        "sliding_window": 2047,
        "auto_map": {
            "AutoConfig": "microsoft/Phi-3--configuration_phi3.Phi3Config",
            "AutoModelForCausalLM": "microsoft/Phi-3--modeling_phi3.Phi3ForCausalLM",
        },
    } | config
    save_original(folder, tower=False, **settings)
    save_phi_3_tokenizer(folder)
    weights = load_file(folder / "model.safetensors")
    for joined, parts in (
        ("self_attn.qkv_proj", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        ("mlp.gate_up_proj", ("mlp.gate_proj", "mlp.up_proj")),
    ):
        for name in sorted(name for name in weights if f".{parts[0]}." in name):
            names = [name.replace(parts[0], part) for part in parts]
            weights[name.replace(parts[0], joined)] = torch.cat([weights.pop(n) for n in names])
    save_file(weights, folder / "model.safetensors")
    return folder


def _write(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(content))
