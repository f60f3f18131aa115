from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.endpoints.chatting import KEY
from vipbench.endpoints.keys import find_key, masked
from vipbench.errors import JudgeError
from vipbench.judge.settings import JUDGE


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{KEY}\n")
    both = {"VIPBENCH_JUDGE_KEY": " ours ", "OPENAI_API_KEY": "theirs"}
    for path, environment, value, source in (
        (file, both, KEY, str(file)),
        (None, both, "ours", "VIPBENCH_JUDGE_KEY"),
        (None, both | {"VIPBENCH_JUDGE_KEY": ""}, "theirs", "OPENAI_API_KEY"),
    ):
        key, origin = find_key(path, environment, JUDGE)
        assert key is not None
        assert (key.get_secret_value(), origin) == (value, source)
    assert find_key(None, {"OPENAI_API_KEY": " "}, JUDGE) == (None, None)


def test_a_key_file_that_cannot_be_used(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe")
    for path, words in (
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
        (empty, "is empty"),
        (binary, "is not text"),
    ):
        with pytest.raises(JudgeError, match=words):
            find_key(path, {"OPENAI_API_KEY": "x"}, JUDGE)


def test_other_text_is_left_as_it_is() -> None:
    assert masked("0.5 sk-proj and more", SecretStr(KEY)) == "0.5 sk-proj and more"
    assert masked("abc", SecretStr("b")) == "a[key]c"
    assert masked("abc", None) == "abc"
