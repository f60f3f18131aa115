"""What chat template and tokenizer say against the prompts that are written."""

import pytest

from tests.models import CHAT_TEMPLATE, SPECIALS, build_tokenizer
from vipbench.runners.vipllava.prompt_check import SHOWN, check_image_token, check_template

SAME = "{{ bos_token }}{{ 'S' }}"
HF = (
    "{% set s = 'A chat between a curious human and an artificial intelligence assistant. The "
    "assistant gives helpful, detailed, and polite answers to the human\\'s questions.' %}"
    "{{ s }}###Human: <image>\n{{ messages[0].content[1].text }}###Assistant:"
)


def test_a_template_that_writes_another_prompt_is_named_with_it() -> None:
    tokenizer = build_tokenizer()
    [fault] = check_template(tokenizer, "hf", CHAT_TEMPLATE)
    assert "'[user] <image>\\nWhat is this?[assistant]'" in fault
    [long] = check_template(tokenizer, "hf", "x" * 5000 + "<image>" + CHAT_TEMPLATE[-11:] * 0)
    assert "cannot be used here" in long  # it leaves the text out
    [cut] = check_template(tokenizer, "llava_v1", "x" * 5000 + CHAT_TEMPLATE)
    assert len(cut) < SHOWN + 100


@pytest.mark.parametrize("start", ["", "{{ bos_token }}"])
def test_one_that_writes_the_same_is_not(start: str) -> None:
    assert check_template(build_tokenizer(), "hf", start + HF) == ()
    assert len(check_template(build_tokenizer(), "llava_v1", start + HF)) == 1


def test_without_a_template_nothing_is_said() -> None:
    tokenizer = build_tokenizer()
    assert check_template(tokenizer, "hf", None) == ()
    assert check_template(tokenizer, "chat_template", CHAT_TEMPLATE) == ()
    tokenizer.chat_template = CHAT_TEMPLATE
    assert len(check_template(tokenizer, "hf", None)) == 1


def test_a_token_that_is_not_the_image_s_is_named() -> None:
    tokenizer = build_tokenizer()
    assert check_image_token(tokenizer, SPECIALS.index("<image>")) == ()
    assert "is not in the tokenizer" in check_image_token(tokenizer, len(tokenizer))[0]
    assert "is ordinary text in the tokenizer" in check_image_token(tokenizer, 20)[0]
