"""Whether vLLM leaves out the first token that a checkpoint's tokenizer puts before each prompt."""

from typing import TypeGuard

from vipbench.endpoints.transport import Transport

OPTION = "add_special_tokens"
"""Field of a request to vLLM: the tokenizer adds what it does in transformers."""


def lacks_first_token(transport: Transport) -> bool | None:
    """Say whether prompts begin without the token that the tokenizer would add.

    vLLM takes a chat template's text as it is; transformers adds BOS where the template writes
    none, as those of `llava-hf` do. Asks `/tokenize`, which costs nothing and which other servers
    are not asked for. None: it is another server, or does not tell.
    """
    if not transport.is_vllm():
        return None
    plain, special = (_tokens(transport, is_added=is_added) for is_added in (False, True))
    if not plain or not special:
        return None
    # A tokenizer may add a last token too. Where the template writes BOS, it would stand twice.
    return special[0] != plain[0] and special[1 : len(plain) + 1] == plain


def _tokens(transport: Transport, *, is_added: bool) -> list[int] | None:
    """Return the ids of a short question as the server reads it; None where it does not tell."""
    messages = [{"role": "user", "content": "Which?"}]
    body = {"model": transport.endpoint.model, "messages": messages, OPTION: is_added}
    content = transport.post_beside("tokenize", body)
    tokens = content.get("tokens") if isinstance(content, dict) else None
    return tokens if _are_ids(tokens) else None


def _are_ids(tokens: object) -> TypeGuard[list[int]]:
    return isinstance(tokens, list) and all(type(token) is int for token in tokens)
