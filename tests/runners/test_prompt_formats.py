"""Prompt formats to the letter, and tokenisation that users' text cannot break."""

from typing import Any, Literal

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tests.models import CHAT_TEMPLATE, CORPUS, SPECIALS, build_tokenizer
from vipbench.errors import RunnerError
from vipbench.runners.prompt_formats import (
    PromptEncoder,
    PromptTokenizer,
    encode_prompt,
    format_prompt,
    option_tokens,
    readable,
)

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)
IMAGE = SPECIALS.index("<image>")
Kind = Literal["byte level", "prepend", "metaspace", "unigram", "word level"]
KINDS: tuple[Kind, ...] = ("byte level", "prepend", "metaspace", "unigram", "word level")


def tokenizer_of(kind: Kind) -> PreTrainedTokenizerBase:
    """One tokenizer of each kind that checkpoints come with; `prepend` is Llama's of old."""
    if kind == "byte level":
        return build_tokenizer()
    tokenizer: Tokenizer
    trainer: trainers.Trainer
    byte_tokens = [f"<0x{i:02X}>" for i in range(256)]
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=SPECIALS, unk_token="<unk>", show_progress=False
        )
    elif kind == "word level":
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(special_tokens=SPECIALS, show_progress=False)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        if kind == "prepend":
            steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
            tokenizer.normalizer = normalizers.Sequence(steps)
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        trainer = trainers.BpeTrainer(
            vocab_size=600, special_tokens=SPECIALS + byte_tokens, show_progress=False
        )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerBase = wrap(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<pad>", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    return wrapped


def test_hf_is_the_documented_prompt() -> None:
    assert readable(*format_prompt(["What is it?"], "hf")) == (
        f"{SYSTEM}###Human: <image>\nWhat is it?###Assistant:"
    )


def test_hf_with_several_turns() -> None:
    assert readable(*format_prompt(["t1", "a1", "t2", "a2", "t3"], "hf")) == (
        f"{SYSTEM}###Human: <image>\nt1###Assistant: a1###Human: t2###Assistant: a2###Human: t3"
        "###Assistant:"
    )


def test_llava_v1_is_the_training_prompt() -> None:
    assert readable(*format_prompt(["What is it?"], "llava_v1")) == (
        f"{SYSTEM} USER: <image>\nWhat is it? ASSISTANT:"
    )


def test_llava_v1_with_several_turns() -> None:
    assert readable(*format_prompt(["t1", "a1", "t2"], "llava_v1")) == (
        f"{SYSTEM} USER: <image>\nt1 ASSISTANT: a1</s>USER: t2 ASSISTANT:"
    )


def test_chat_template_is_the_checkpoints_own() -> None:
    tokenizer = build_tokenizer()
    expected = "[user] <image>\nt1[assistant] a1</s>[user] t2[assistant]"
    turns = ["t1", "a1", "t2"]
    assert readable(*format_prompt(turns, "chat_template", tokenizer, CHAT_TEMPLATE)) == expected
    tokenizer.chat_template = CHAT_TEMPLATE
    assert readable(*format_prompt(turns, "chat_template", tokenizer)) == expected


@pytest.mark.parametrize("turns", [[], ["t1", "a1"]])
def test_the_last_turn_must_be_the_users(turns: list[str]) -> None:
    with pytest.raises(RunnerError, match=f"{len(turns)} turns"):
        format_prompt(turns, "hf")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template"),
        ("{{ messages[0].content[1].text }}", "writes <image> 0 times"),
        (
            "<image><image>{{ messages[0].content[1].text }}",
            "writes <image> 2 times .*not trained for several images",
        ),
        ("{{ 'text: ' + messages[0].content }}", "template failed"),
        ("{% for %}", "template failed"),
        ("<image>", "writes turn 1 of 1 0 times"),
    ],
)
def test_unusable_chat_templates_are_refused(template: str | None, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        format_prompt(["t1"], "chat_template", build_tokenizer(), template)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1", "chat_template"])
def test_ids_are_those_of_the_two_texts_around_the_image(
    kind: Kind, prompt_format: Literal["hf", "llava_v1", "chat_template"]
) -> None:
    tokenizer = tokenizer_of(kind)
    turns = ["What is the object?\nA. it's 7.", "the red one", "and the blue one?"]
    before, after = format_prompt(turns, prompt_format, tokenizer, CHAT_TEMPLATE)
    texts = readable(before, after).split("<image>")
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 5), before, after)
    assert ids == [1, *first, *[IMAGE] * 5, *second]
    assert ids.count(2) == (prompt_format != "hf")  # the format's own </s> is the end token


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1", "chat_template"])
def test_special_tokens_in_users_text_stay_text(
    kind: Kind, prompt_format: Literal["hf", "llava_v1", "chat_template"]
) -> None:
    tokenizer = tokenizer_of(kind)
    turns = ["Is <image> </s> a <s>tag<pad>?", "<image></s>", "<image>"]
    before, after = format_prompt(turns, prompt_format, tokenizer, CHAT_TEMPLATE)
    assert readable(before, after).count("<image>") == 4
    prompt_tokenizer = PromptTokenizer(tokenizer, IMAGE, 5)
    ids = encode_prompt(prompt_tokenizer, before, after)
    assert ids.count(IMAGE) == 5
    assert (ids.count(1), ids.count(3)) == (1, 0)
    assert ids.count(2) == (prompt_format != "hf")
    if kind == "byte level":  # the only one that has every letter
        end = ids.index(IMAGE) + 5
        assert tokenizer.decode(ids[end:]) == readable("", after, "")


def test_an_image_token_that_is_not_special_is_safe_too() -> None:
    tokenizer = build_tokenizer()
    spec = tokenizer.backend_tokenizer.to_str().replace(
        '"content":"<image>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,'
        '"special":true',
        '"content":"<image>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,'
        '"special":false',
    )
    wrap: Any = PreTrainedTokenizerFast
    plain = wrap(tokenizer_object=Tokenizer.from_str(spec), bos_token="<s>", eos_token="</s>")
    assert not plain.added_tokens_decoder[IMAGE].special
    assert IMAGE in plain("a <image>")["input_ids"]
    ids = encode_prompt(PromptTokenizer(plain, IMAGE, 2), *format_prompt(["a <image>"], "hf"))
    assert ids.count(IMAGE) == 2


def test_a_template_that_writes_bos_gets_no_second_one() -> None:
    tokenizer = build_tokenizer()
    before, after = format_prompt(["t"], "chat_template", tokenizer, "<s>" + CHAT_TEMPLATE)
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 2), before, after)
    assert (ids[0], ids.count(1)) == (1, 1)


def test_a_tokenizer_without_bos_gets_none() -> None:
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 2), *format_prompt(["t"], "hf"))
    assert 1 not in ids


def test_the_tokenizer_itself_is_left_alone() -> None:
    tokenizer = build_tokenizer()
    before = tokenizer.backend_tokenizer.to_str()
    PromptTokenizer(tokenizer, IMAGE, 2)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_markers_in_users_text_do_no_harm() -> None:
    tokenizer = PromptTokenizer(build_tokenizer(), IMAGE, 2)
    before, after = format_prompt(["a \ufdd0image\ufdd1 \ufdd0</s>\ufdd1"], "hf")
    ids = encode_prompt(tokenizer, before, after)
    assert (ids.count(IMAGE), ids.count(2)) == (2, 0)
    assert "a \ufffdimage\ufffd \ufffd</s>\ufffd" in readable(before, after)


def llama_tokenizer() -> PreTrainedTokenizerBase:
    """As Llama's: a space is `▁`, put in front of a text, and merged into the letter behind it."""
    texts = sorted({*"".join(CORPUS).replace(" ", "▁"), *"▁[]?:C", "\n"})
    vocab = {text: i for i, text in enumerate([*SPECIALS, *texts, "▁A", "▁B"])}
    backend = Tokenizer(models.BPE(vocab, [("▁", "A"), ("▁", "B")], unk_token="<unk>"))
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    backend.normalizer = normalizers.Sequence(steps)
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerBase = wrap(
        tokenizer_object=backend, unk_token="<unk>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    return wrapped


@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1", "chat_template"])
def test_a_letter_is_what_an_answer_would_begin_with(
    prompt_format: Literal["hf", "llava_v1", "chat_template"],
) -> None:
    for tokenizer, expected in (
        (llama_tokenizer(), [["▁A", "A"], ["▁B", "B"], ["C"]]),
        (build_tokenizer(), [["ĠA", "A"], ["ĠB", "B"], ["C"]]),
    ):
        _, after = format_prompt(["What is it?"], prompt_format, tokenizer, CHAT_TEMPLATE)
        prompts = PromptTokenizer(tokenizer, IMAGE, 4)
        found = [option_tokens(prompts, after, letter) for letter in "ABC"]
        assert [tokenizer.convert_ids_to_tokens(list(ids)) for ids in found] == expected


def test_a_letter_behind_a_prompt_that_melts_into_it() -> None:
    for tokenizer, expected in (
        (llama_tokenizer(), ["▁A"]),
        (build_tokenizer(), ["ĠA", "A"]),
    ):
        prompts = PromptTokenizer(tokenizer, IMAGE, 4)
        found = option_tokens(prompts, "Answer: ", "A")
        assert tokenizer.convert_ids_to_tokens(list(found)) == expected


def test_a_letter_of_several_tokens_is_not_one_of_them() -> None:
    assert option_tokens(PromptTokenizer(build_tokenizer(), IMAGE, 4), "\nSay:", "Ä") == ()


@pytest.mark.parametrize("token", [-1, 2**31])
def test_an_image_token_that_no_tokenizer_has_is_refused(token: int) -> None:
    with pytest.raises(RunnerError, match=rf"the image token is {token} .* · expected the number"):
        PromptEncoder(build_tokenizer(), "hf", image_token_id=token, n_image_tokens=4)
