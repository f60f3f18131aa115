"""The frames of the official conversations."""

from vipbench.runners.frames import FRAMES, OFFICIAL_FORMATS, special_tokens_of


def test_the_special_tokens_of_a_frame_are_named_once() -> None:
    assert special_tokens_of("llava_llama_3") == (
        "<|begin_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    )
    assert special_tokens_of("llava_phi_3") == (
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
    )
    assert special_tokens_of("llava_v1") == special_tokens_of("chat_template") == ()


def test_every_frame_is_official_and_has_its_end() -> None:
    assert set(FRAMES) < OFFICIAL_FORMATS
    for frame in FRAMES.values():
        assert frame.end_token == frame.end.strip()
