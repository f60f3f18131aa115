"""The conversations of the official code: which there are, and what two of them write around turns.

`prompt_formats.py` writes them; nothing heavy is loaded here.
"""

import re
from typing import NamedTuple

from vipbench.schema import PromptFormat

LLAVA_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language."
)
"""System sentence of formats `llava_llama_3` and `llava_phi_3` (ViP-LLaVA, llava/conversation.py,
conv_llava_llama_3 and conv_llava_phi_3)."""

OFFICIAL_FORMATS: frozenset[PromptFormat] = frozenset({"llava_v1", "llava_llama_3", "llava_phi_3"})
"""Formats of the official code, one for each kind of language model. Its scripts take the one that
goes with the checkpoint (ViP-LLaVA, llava/eval/model_vqa_loader_vip.py, conv_mode)."""

_SPECIAL = re.compile(r"<\|.*?\|>")


class Frame(NamedTuple):
    """What a format writes around each turn; `<|…|>` are special tokens."""

    language_model: str
    """For which it is, in words."""
    start: str
    """In front of the whole."""
    head: str
    """In front of a turn; `{role}` is system, user or assistant."""
    end: str
    """Behind a turn."""
    end_token: str
    """The special token in it, which ends an answer."""


FRAMES: dict[PromptFormat, Frame] = {
    "llava_llama_3": Frame(
        "Llama 3",
        start="<|begin_of_text|>",
        head="<|start_header_id|>{role}<|end_header_id|>\n\n",
        end="<|eot_id|>",
        end_token="<|eot_id|>",  # noqa: S106 (no password)
    ),
    "llava_phi_3": Frame(
        "Phi 3",
        start="",
        head="<|{role}|>\n",
        end="<|end|>\n",
        end_token="<|end|>",  # noqa: S106 (no password)
    ),
}
"""Source: ViP-LLaVA, llava/conversation.py, get_prompt; its end tokens are among the terminators of
llava/eval/model_vqa_loader_vip.py."""


def special_tokens_of(prompt_format: PromptFormat) -> tuple[str, ...]:
    """Name the special tokens without which no prompt can be written in a frame; else none."""
    if prompt_format not in FRAMES:
        return ()
    frame = FRAMES[prompt_format]
    heads = (frame.head.format(role=role) for role in ("system", "user", "assistant"))
    found = _SPECIAL.findall("".join((frame.start, *heads, frame.end)))
    return tuple(dict.fromkeys(found))
