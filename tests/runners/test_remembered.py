"""Prompts are tokenised once, also by the workers of a run."""

from array import array

import pytest

from tests.models import CHAT_TEMPLATE, SPECIALS, build_tokenizer
from vipbench.runners import prompt_formats, remembered
from vipbench.runners.prompt_formats import PromptEncoder
from vipbench.runners.remembered import remember_prompts, remembered_prompts
from vipbench.schema import PromptFormat, Request

IMAGE = SPECIALS.index("<image>")


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with nothing."""
    monkeypatch.setattr(remembered, "_memory", remembered._Memory())


def request(*turns: str) -> Request:
    return Request(
        key="k",
        task="t",
        style="s",
        id="1",
        image="x",
        turns=turns,
        fit="pad",
        max_new_tokens=1,
    )


def encoder(
    prompt_format: PromptFormat = "hf", template: str = CHAT_TEMPLATE, n: int = 4
) -> PromptEncoder:
    return PromptEncoder(
        build_tokenizer(),
        prompt_format,
        image_token_id=IMAGE,
        n_image_tokens=n,
        chat_template=template,
    )


@pytest.mark.parametrize("prompt_format", ["hf", "llava_v1", "chat_template"])
def test_a_prompt_is_tokenised_once_by_all_encoders_alike(
    monkeypatch: pytest.MonkeyPatch, prompt_format: PromptFormat
) -> None:
    asked = [request("a red <image> cup"), request("a", "b", "a red cup")]
    first = [encoder(prompt_format).encode(each) for each in asked]
    assert all(ids.count(IMAGE) == 4 for ids in first)
    monkeypatch.setattr(prompt_formats, "encode_prompt", None)
    assert [encoder(prompt_format).encode(each) for each in asked] == first


def test_whatever_writes_a_prompt_tells_it_from_others() -> None:
    asked = request("a red cup")
    others = [
        encoder(),
        encoder("llava_v1"),
        encoder("chat_template"),
        encoder("chat_template", f"x{CHAT_TEMPLATE}"),
        encoder(n=5),
    ]
    ids = [tuple(each.encode(asked)) for each in others]
    assert len(set(ids)) == len(others)
    assert [tuple(each.encode(asked)) for each in others] == ids
    assert len(remembered_prompts()) == len(others)
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["red"])
    other = PromptEncoder(tokenizer, "hf", image_token_id=IMAGE, n_image_tokens=4)
    assert other.encode(asked) != list(ids[0])
    other.encode(request("a red", "c", "up"))
    assert len(remembered_prompts()) == len(others) + 2


def test_another_process_is_handed_what_this_one_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request("a red cup")
    ids = encoder().encode(asked)
    known = remembered_prompts()
    monkeypatch.setattr(remembered, "_memory", remembered._Memory())
    remember_prompts(known)
    monkeypatch.setattr(prompt_formats, "encode_prompt", None)
    assert encoder().encode(asked) == ids


def test_there_is_room_for_so_many_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ROOM", 5)
    monkeypatch.setattr(remembered, "_memory", remembered._Memory())
    remember_prompts({b"a": array("I", [1, 2, 3]), b"b": array("I", [1, 2, 3])})
    remember_prompts({b"a": array("I", [9]), b"c": array("I", [4, 5])})
    assert remembered_prompts() == {b"a": array("I", [1, 2, 3]), b"c": array("I", [4, 5])}
