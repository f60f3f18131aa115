from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.endpoints.chatting import KEY
from vipbench.endpoints.keys import find_key, masked
from vipbench.errors import JudgeError
from vipbench.judge.settings import JUDGE

OPENAI = "https://api.openai.com/v1"
OPENROUTER = "https://openrouter.ai/api/v1"


def test_where_the_key_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"\n{KEY}\n")
    both = {"VIPBENCH_JUDGE_KEY": " ours ", "OPENAI_API_KEY": "theirs"}
    for path, environment, value, source in (
        (file, both, KEY, str(file)),
        (None, both, "ours", "VIPBENCH_JUDGE_KEY"),
        (None, both | {"VIPBENCH_JUDGE_KEY": ""}, "theirs", "OPENAI_API_KEY"),
    ):
        key, origin = find_key(path, environment, JUDGE, url=OPENAI)
        assert key is not None
        assert (key.get_secret_value(), origin) == (value, f"key from {source}")
    empty = {"OPENAI_API_KEY": " "}
    assert find_key(None, empty, JUDGE, url=OPENAI) == (None, "no key is sent")


def test_the_variable_of_a_provider_goes_to_its_host_alone() -> None:
    theirs = {"OPENAI_API_KEY": KEY}
    for url in ("http://127.0.0.1:8000/v1", "https://api.openai.com.evil.org/v1", OPENROUTER):
        key, said = find_key(None, theirs, JUDGE, url=url)
        assert key is None
        assert "OPENAI_API_KEY goes to api.openai.com only" in said
        assert "--judge-key-env" in said
        assert KEY not in said
        key, said = find_key(None, theirs, JUDGE, url=url, variable="OPENAI_API_KEY")
        assert key is not None
        assert said == "key from OPENAI_API_KEY"


def test_a_variable_that_the_user_names(tmp_path: Path) -> None:
    key, said = find_key(None, {"OTHER": KEY}, JUDGE, url=OPENROUTER, variable="OTHER")
    assert key is not None
    assert (key.get_secret_value(), said) == (KEY, "key from OTHER")
    with pytest.raises(JudgeError, match=r"^--judge-key-env OTHER: is not set"):
        find_key(None, {"OPENAI_API_KEY": KEY}, JUDGE, url=OPENAI, variable="OTHER")
    with pytest.raises(JudgeError, match="two keys"):
        find_key(tmp_path / "key", {"OTHER": KEY}, JUDGE, url=OPENAI, variable="OTHER")


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
            find_key(path, {"OPENAI_API_KEY": "x"}, JUDGE, url=OPENAI)


def test_other_text_is_left_as_it_is() -> None:
    assert masked("0.5 sk-proj and more", [SecretStr(KEY)]) == "0.5 sk-proj and more"
    assert masked("abc", [SecretStr("b")]) == "a[key]c"
    assert masked("abc", []) == "abc"
