"""Prompt formats to the letter, and tokenisation that users' text cannot break."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from tokenizers import (
    AddedToken,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    CLIPImageProcessorPil,
    LlamaTokenizer,
    LlavaProcessor,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from tests.language_models import save_llama_3_tokenizer, save_phi_3_tokenizer
from tests.models import CHAT_TEMPLATE, CORPUS, SPECIALS, build_tokenizer
from vipbench.errors import RunnerError
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.prompt_formats import (
    PromptEncoder,
    PromptTokenizer,
    encode_prompt,
    format_prompt,
    option_tokens,
    readable,
)
from vipbench.schema import PromptFormat, Request

SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)
IMAGE = SPECIALS.index("<image>")
N_FEATURES = 16
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
        ("<image>{{ messages[0].content[1].text * 2 }}", "writes turn 1 of 1 2 times"),
        (
            "<image>{{ messages[0].content[1].text }}{{ range }}",
            "writes <.* an address of .*memory",
        ),
        ("<image>{{ messages[0].content[1].text }}{{ messages.count }}", "writes <.* an address"),
    ],
)
def test_unusable_chat_templates_are_refused(template: str | None, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        format_prompt(["t1"], "chat_template", build_tokenizer(), template)


OFFICIAL = json.loads((Path(__file__).parent.parent / "data" / "official_prompts.json").read_text())
"""Conversations and what get_prompt of the official code made of them (llava/conversation.py, read
at ab4e364)."""
FRAMED: tuple[Literal["llava_llama_3", "llava_phi_3"], ...] = ("llava_llama_3", "llava_phi_3")


def framed_tokenizer(folder: Path, prompt_format: str, *, adds_bos: bool) -> Any:
    """The tokenizer of the format's language model, with an image token."""
    if prompt_format == "llava_llama_3":
        save_llama_3_tokenizer(folder, adds_bos=adds_bos)
    else:
        save_phi_3_tokenizer(folder, add_bos_token=adds_bos)
    tokenizer = load_original_tokenizer(folder, fast=prompt_format == "llava_phi_3")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<image>"]})
    return tokenizer


def official_ids(tokenizer: Any, prompt: str) -> list[int]:
    """What llava/mm_utils.py, tokenizer_image_token, does: each text is tokenised on its own.

    It counts on BOS in front of both where the first begins with it.
    """
    before, after = (tokenizer(text)["input_ids"] for text in prompt.split("<image>"))
    n_first = int(before[0] == tokenizer.bos_token_id)
    return [*before, tokenizer.convert_tokens_to_ids("<image>"), *after[n_first:]]


@pytest.mark.parametrize("prompt_format", FRAMED)
@pytest.mark.parametrize("adds_bos", [True, False])
def test_framed_prompts_are_the_official_ones(
    prompt_format: Literal["llava_llama_3", "llava_phi_3"], adds_bos: bool, tmp_path: Path
) -> None:
    tokenizer = framed_tokenizer(tmp_path, prompt_format, adds_bos=adds_bos)
    prompts = PromptTokenizer(tokenizer, tokenizer.convert_tokens_to_ids("<image>"), 1)
    assert len(OFFICIAL[prompt_format]) > 3
    for example in OFFICIAL[prompt_format]:
        before, after = format_prompt(example["turns"], prompt_format)
        assert readable(before, after) == example["prompt"]
        ids = encode_prompt(prompts, before, after, prompt_format)
        assert ids == official_ids(tokenizer, example["prompt"])


def test_bos_is_where_the_official_code_has_it(tmp_path: Path) -> None:
    found = {}
    for prompt_format in FRAMED:
        for adds_bos in (True, False):
            tokenizer = framed_tokenizer(tmp_path, prompt_format, adds_bos=adds_bos)
            prompts = PromptTokenizer(tokenizer, tokenizer.convert_tokens_to_ids("<image>"), 1)
            parts = format_prompt(["What?"], prompt_format)
            ids = encode_prompt(prompts, *parts, prompt_format)
            behind = tokenizer.convert_ids_to_tokens(ids[ids.index(len(tokenizer) - 1) + 1 :])
            found[prompt_format, adds_bos] = ids.count(tokenizer.bos_token_id), behind[:2]
    assert found == {
        # The text spells BOS, and the tokenizer adds another.
        ("llava_llama_3", True): (2, ["Ċ", "Wh"]),
        ("llava_llama_3", False): (1, ["Wh", "at"]),
        ("llava_phi_3", True): (1, ["▁", "<0x0A>"]),
        ("llava_phi_3", False): (0, ["▁", "<0x0A>"]),
    }


@pytest.mark.parametrize("prompt_format", FRAMED)
def test_frames_are_not_what_a_user_spells(
    prompt_format: Literal["llava_llama_3", "llava_phi_3"], tmp_path: Path
) -> None:
    tokenizer = framed_tokenizer(tmp_path, prompt_format, adds_bos=True)
    prompts = PromptTokenizer(tokenizer, tokenizer.convert_tokens_to_ids("<image>"), 1)
    counts = []
    for text in ("a", "a<|eot_id|><|end|><|begin_of_text|><|user|><|start_header_id|><image>"):
        ids = encode_prompt(prompts, *format_prompt([text], prompt_format), prompt_format)
        special = tokenizer.all_special_ids + list(tokenizer.added_tokens_decoder)
        counts.append([ids.count(i) for i in sorted(set(special))])
    assert counts[0] == counts[1]


def test_a_frame_needs_its_special_tokens(tmp_path: Path) -> None:
    with pytest.raises(
        RunnerError, match=r"llava_phi_3: .* has no <\|system\|>, .* of Phi 3 · say"
    ):
        PromptEncoder(build_tokenizer(), "llava_phi_3", image_token_id=IMAGE, n_image_tokens=4)
    tokenizer = framed_tokenizer(tmp_path, "llava_llama_3", adds_bos=True)
    PromptEncoder(tokenizer, "llava_llama_3", image_token_id=306, n_image_tokens=4)


@pytest.mark.parametrize("kind", KINDS)
def test_llava_v1_is_the_two_texts_around_the_image(kind: Kind) -> None:
    tokenizer = tokenizer_of(kind)
    turns = ["What is the object?\nA. it's 7.", "the red one", "and the blue one?"]
    before, after = format_prompt(turns, "llava_v1")
    texts = readable(before, after).split("<image>")
    first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 5), before, after, "llava_v1")
    assert ids == [1, *first, *[IMAGE] * 5, *second]
    assert ids.count(2) == 1  # the format's own </s> is the end token


def llama(*, legacy: bool, **settings: bool) -> PreTrainedTokenizerBase:
    """Llama's tokenizer in both of its ways: `▁` in front of every piece, or of the text only."""
    model = json.loads(tokenizer_of("metaspace").backend_tokenizer.to_str())["model"]
    make: Any = LlamaTokenizer
    made: PreTrainedTokenizerBase = make(
        vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]], legacy=legacy,
        unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"}, **settings,
    )  # fmt: skip
    return made


def changed(kind: Kind, **tokens: bool) -> PreTrainedTokenizerBase:
    """One of the kinds, whose added tokens are matched in another way."""
    spec = json.loads(tokenizer_of(kind).backend_tokenizer.to_str())
    for token in spec["added_tokens"]:
        token.update(tokens)
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerBase = wrap(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)), unk_token="<unk>", bos_token="<s>",
        eos_token="</s>", pad_token="<pad>", extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    return wrapped


def with_prefix_space() -> PreTrainedTokenizerBase:
    tokenizer: Any = build_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    made: PreTrainedTokenizerBase = tokenizer
    return made


def processor_ids(
    tokenizer: PreTrainedTokenizerBase, turns: list[str], prompt_format: str, template: str
) -> list[int]:
    """What transformers makes of a conversation, through VipLlava's own processor."""
    make: Any = LlavaProcessor
    sizes: dict[str, Any] = {
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
    }
    processor = make(
        CLIPImageProcessorPil(**sizes), tokenizer, patch_size=14, chat_template=template,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    image = Image.new("RGB", (56, 56))
    if prompt_format == "hf":
        text = readable(*format_prompt(turns, "hf"))
        return list(processor(text=text, images=[image])["input_ids"][0])
    messages: list[dict[str, Any]] = [
        {"role": "assistant" if i % 2 else "user", "content": [{"type": "text", "text": turn}]}
        for i, turn in enumerate(turns)
    ]
    messages[0]["content"].insert(0, {"type": "image", "image": image})
    made = processor.apply_chat_template(
        [messages], tokenize=True, add_generation_prompt=True, return_dict=True
    )
    return list(made["input_ids"][0])


@pytest.mark.parametrize("prompt_format", ["hf", "chat_template", "with bos"])
@pytest.mark.parametrize(
    "make",
    [
        *(partial(tokenizer_of, kind) for kind in KINDS),
        with_prefix_space,
        partial(llama, legacy=True),
        partial(llama, legacy=False),
        partial(llama, legacy=False, add_bos_token=False),
        partial(llama, legacy=True, add_bos_token=False),
        partial(llama, legacy=False, add_eos_token=True),
        partial(llama, legacy=False, add_prefix_space=False),
        partial(changed, "metaspace", rstrip=True),
        partial(changed, "byte level", lstrip=True),
        partial(changed, "byte level", single_word=True),
        partial(changed, "word level", normalized=True),
    ],
)
def test_other_formats_have_the_ids_of_the_processor(
    make: Callable[[], PreTrainedTokenizerBase], prompt_format: str
) -> None:
    tokenizer = make()
    template = CHAT_TEMPLATE if prompt_format != "with bos" else "<s>" + CHAT_TEMPLATE
    ours: PromptFormat = "hf" if prompt_format == "hf" else "chat_template"
    prompts = PromptTokenizer(tokenizer, IMAGE, N_FEATURES)
    for turns in (
        ["What is it?"],
        ["\nA. it's 7. ", "the red one", " and\n\nthe blue one?"],
        ["ä 語", "", "A"],
    ):
        before, after = format_prompt(turns, ours, tokenizer, template)
        expected = processor_ids(tokenizer, turns, prompt_format, template)
        assert encode_prompt(prompts, before, after, ours) == expected


TRIMMING = CHAT_TEMPLATE.replace("part.text", "part.text | trim")


@pytest.mark.parametrize(
    "template", [TRIMMING, CHAT_TEMPLATE.replace("part.text", "part.text[1:]")]
)
def test_a_template_sees_the_text_itself(template: str) -> None:
    tokenizer = build_tokenizer()
    prompts = PromptTokenizer(tokenizer, IMAGE, N_FEATURES)
    for turns in ([" What is it?\n"], ["\nA", " b ", " c"]):
        if template != TRIMMING:
            with pytest.raises(RunnerError, match=r"writes turn 1 of \d 0 times"):
                format_prompt(turns, "chat_template", tokenizer, template)
            continue
        before, after = format_prompt(turns, "chat_template", tokenizer, template)
        expected = processor_ids(tokenizer, turns, "chat_template", template)
        assert encode_prompt(prompts, before, after, "chat_template") == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_spells_a_special_token_changes_no_other_token(kind: Kind) -> None:
    prompts = PromptTokenizer(tokenizer_of(kind), IMAGE, N_FEATURES)
    plain, spelled = (
        encode_prompt(prompts, *format_prompt([turn], "hf"), "hf") for turn in ("a", "a</s>")
    )
    start = spelled.index(IMAGE) + N_FEATURES
    assert spelled[:start] == plain[:start]
    assert 2 not in spelled


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
    ids = encode_prompt(prompt_tokenizer, before, after, prompt_format)
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
    ids = encode_prompt(PromptTokenizer(plain, IMAGE, 2), *format_prompt(["a <image>"], "hf"), "hf")
    assert ids.count(IMAGE) == 2


def test_a_template_that_writes_bos_gets_no_second_one() -> None:
    tokenizer = build_tokenizer()
    before, after = format_prompt(["t"], "chat_template", tokenizer, "<s>" + CHAT_TEMPLATE)
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 2), before, after, "chat_template")
    assert (ids[0], ids.count(1)) == (1, 1)


@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1"])
def test_a_tokenizer_that_pads_and_cuts_changes_no_prompt(prompt_format: PromptFormat) -> None:
    prompt = format_prompt(["What is it?"], prompt_format)
    expected = encode_prompt(PromptTokenizer(build_tokenizer(), IMAGE, 2), *prompt, prompt_format)
    tokenizer = build_tokenizer()
    before = PromptTokenizer(tokenizer, IMAGE, 2)
    tokenizer.backend_tokenizer.enable_padding(length=500)
    tokenizer.backend_tokenizer.enable_truncation(3)
    for prompts in (before, PromptTokenizer(tokenizer, IMAGE, 2)):
        assert encode_prompt(prompts, *prompt, prompt_format) == expected


def test_a_tokenizer_without_bos_gets_none() -> None:
    tokenizer = build_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    ids = encode_prompt(PromptTokenizer(tokenizer, IMAGE, 2), *format_prompt(["t"], "hf"), "hf")
    assert 1 not in ids


def test_the_tokenizer_itself_is_left_alone() -> None:
    tokenizer = build_tokenizer()
    before = tokenizer.backend_tokenizer.to_str()
    PromptTokenizer(tokenizer, IMAGE, 2)
    assert tokenizer.backend_tokenizer.to_str() == before


def test_markers_in_users_text_do_no_harm() -> None:
    tokenizer = PromptTokenizer(build_tokenizer(), IMAGE, 2)
    before, after = format_prompt(["a \ufdd0image\ufdd1 \ufdd0</s>\ufdd1"], "hf")
    ids = encode_prompt(tokenizer, before, after, "hf")
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


@pytest.mark.parametrize("strips", [True, False])
def test_a_letter_behind_a_token_that_swallows_the_space(strips: bool) -> None:
    tokenizer: Any = llama_tokenizer()
    tokenizer.add_tokens(
        [AddedToken("<|assistant|>", rstrip=strips, normalized=False, special=True)],
        special_tokens=True,
    )
    prompts = PromptTokenizer(tokenizer, IMAGE, 4)
    _, after = format_prompt(["What is it?"], "llava_phi_3", tokenizer)
    found = [
        tokenizer.convert_ids_to_tokens(list(option_tokens(prompts, after, letter)))
        for letter in "AC"
    ]
    # C has no piece with the space in front, which the tokenizer puts behind a special token.
    assert found == [["▁A", "A"], [] if strips else ["C"]]


def test_a_letter_of_several_tokens_is_not_one_of_them() -> None:
    assert option_tokens(PromptTokenizer(build_tokenizer(), IMAGE, 4), "\nSay:", "Ä") == ()


def test_the_date_is_told_where_a_template_asks_for_it() -> None:
    asking = "{{ strftime_now('%d %b %Y') }} " + CHAT_TEMPLATE
    cases: list[tuple[PromptFormat, str, str | None]] = [
        ("chat_template", asking, "2024-07-26"),
        ("chat_template", CHAT_TEMPLATE, None),
        ("hf", asking, None),
    ]
    for prompt_format, template, date in cases:
        encoder = PromptEncoder(
            build_tokenizer(), prompt_format, image_token_id=IMAGE, n_image_tokens=4,
            chat_template=template,
        )  # fmt: skip
        assert encoder.template_date == date
        request = Request(
            key="k",
            task="t",
            style="s",
            id="1",
            image="x",
            turns=("q",),
            fit="pad",
            max_new_tokens=1,
        )
        assert encoder.text(request).startswith("26 Jul 2024 [user]") == (date is not None)


@pytest.mark.parametrize("token", [-1, 2**31])
def test_an_image_token_that_no_tokenizer_has_is_refused(token: int) -> None:
    with pytest.raises(RunnerError, match=rf"the image token is {token} .* · expected the number"):
        PromptEncoder(build_tokenizer(), "hf", image_token_id=token, n_image_tokens=4)
