"""What chat template and tokenizer of a checkpoint say against the prompts that are written."""

from typing import Any

from vipbench.errors import RunnerError
from vipbench.runners.prompt_formats import format_prompt, readable, special_tokens
from vipbench.runners.templates import ChatTemplate
from vipbench.schema import PromptFormat

QUESTION = ("What is this?",)
"""Stands in for the text of a request."""
SHOWN = 120
"""Letters of a template's prompt that a message holds."""


def check_template(
    tokenizer: Any,
    prompt_format: PromptFormat,
    chat_template: ChatTemplate | str | None,
    image_token: str = "<image>",  # noqa: S107 (no password)
) -> tuple[str, ...]:
    """Say what the chat template of a checkpoint does otherwise than a prompt format.

    Nothing where there is none, or where it writes the same prompt, up to the token that begins a
    text.
    """
    if prompt_format == "chat_template" or not (chat_template or tokenizer.chat_template):
        return ()
    start = tokenizer.bos_token or ""
    try:
        own, taken = (
            readable(
                *format_prompt(QUESTION, name, tokenizer, chat_template, image_token)
            ).removeprefix(start)
            for name in ("chat_template", prompt_format)
        )
    except RunnerError as error:
        return (f"the checkpoint brings a chat template, which cannot be used here ({error})",)
    if own == taken:
        return ()
    shown = own if len(own) <= SHOWN else f"{own[:SHOWN]}…"
    return (f"the checkpoint's chat template writes another prompt, {shown!r}",)


def check_image_token(tokenizer: Any, image_token_id: int) -> tuple[str, ...]:
    """Say where a tokenizer does not have the token that the config takes for the image."""
    number = f"token {image_token_id}, the image's by config.json,"
    if not 0 <= image_token_id < len(tokenizer):
        return (f"{number} is not in the tokenizer, which has {len(tokenizer)} tokens",)
    text = str(tokenizer.convert_ids_to_tokens(image_token_id))
    if text in special_tokens(tokenizer):
        return ()
    return (f"{number} is ordinary text in the tokenizer: {text!r}",)
