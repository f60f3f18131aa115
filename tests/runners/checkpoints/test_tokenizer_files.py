"""What is not a tokenizer is refused by its file, and what cannot be loaded with what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.models import save_family
from tests.originals import llama_like_tokenizer, save_sentencepiece
from tests.runners.checkpoints.breaking import edit, refused
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint, check_model
from vipbench.runners.checkpoints.loading import load_tokenizer, readable_tokenizer
from vipbench.runners.checkpoints.tokenizer_files import tokenizer_errors
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.hf.runner import HfRunner
from vipbench.runners.vipllava.runner import VipLlavaRunner


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.clear(), r"tokenizer\.json: holds no vocabulary"),
        (lambda c: c.update(model=3), r"tokenizer\.json: holds no vocabulary"),
        (lambda c: c["model"].update(vocab="abc"), r"tokenizer\.json: holds no vocabulary"),
        (lambda c: c["model"].update(type="Zorb"), "model.type is 'Zorb'"),
        (lambda c: c["model"].update(type=["BPE"]), r"model.type is \['BPE'\]"),
    ],
)
def test_json_that_is_not_a_tokenizer_is_refused_by_its_file(
    folder: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    edit(folder / "tokenizer.json", change)
    expected = rf"tiny-vip: the tokenizer cannot be loaded \(.*{reason}.*\) · expected .* · fetch"
    refused(folder, expected)
    with pytest.raises(RunnerError, match=expected):
        load_original_tokenizer(folder)
    edit(folder / "config.json", lambda c: c.update(model_type="llava"))
    with pytest.raises(RunnerError, match=expected):
        check_model(folder)


@pytest.mark.parametrize("content", ["[1, 2]", '"x"', "null", "\0"])
def test_other_json_is_refused_by_its_file(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content)
    refused(folder, r"tokenizer\.json: (holds a|cannot be read as JSON)")


def test_what_only_the_library_finds_is_one_line(folder: Path, tmp_path: Path) -> None:
    other = save_family(tmp_path / "tiny-llava", "llava", [2])
    for path in (folder, other):
        edit(path / "tokenizer.json", lambda c: c.update(pre_tokenizer={"type": "Zorb"}))
    expected = r"cannot be loaded \(Exception: .*PreTokenizer.*\) · expected .* · fetch"
    with pytest.raises(RunnerError, match=f"the tokenizer {expected}"):
        VipLlavaRunner(folder, device="cpu")
    with pytest.raises(RunnerError, match=f"the processor {expected}"):
        HfRunner(other, device="cpu")
    with pytest.raises(RunnerError, match=f"the tokenizer {expected}"):
        load_original_tokenizer(folder)


def test_other_errors_pass(tmp_path: Path) -> None:
    for error in (KeyboardInterrupt(), ZeroDivisionError(), RunnerError("told already")):
        with (
            pytest.raises(type(error)) as caught,
            tokenizer_errors(tmp_path, "tokenizer", (ValueError,)),
        ):
            raise error
        assert caught.value is error


@pytest.mark.parametrize("token", [5, ["<s>"], {"a": 1}])
def test_special_tokens_of_the_wrong_kind_are_refused(folder: Path, token: object) -> None:
    edit(folder / "tokenizer_config.json", lambda c: c.update(bos_token=token))
    with pytest.raises(RunnerError, match=r"the tokenizer cannot be loaded .*bos_token"):
        VipLlavaRunner(folder, device="cpu")


def test_a_special_token_that_ordinary_text_is_made_of_is_refused(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", lambda c: c.update(bos_token="A"))
    with pytest.raises(RunnerError, match=r"'A' is a special token, .* · expected .* · correct"):
        VipLlavaRunner(folder, device="cpu")


@pytest.mark.parametrize("key", ["image_token_index", "image_token_id"])
@pytest.mark.parametrize("token", [-1, 2**31, 4.5, None, True, "4"])
def test_the_image_token_is_the_number_of_a_token(folder: Path, key: str, token: object) -> None:
    edit(folder / "config.json", lambda c: c.update({key: token}))
    refused(folder, rf"config\.json: {key} is .* · expected the number of a token, 0 or more")
    edit(folder / "config.json", lambda c: c.update(model_type="llava"))
    if token is None:
        assert check_model(folder)
        return
    with pytest.raises(RunnerError, match=f"{key} is "):
        check_model(folder)


def test_a_tokenizer_model_alone_is_read_as_sentencepiece_reads_it(
    folder: Path, tmp_path: Path
) -> None:
    reference = llama_like_tokenizer(330)
    (folder / "tokenizer.json").unlink()
    edit(folder / "tokenizer_config.json", lambda c: c.update(chat_template="{{ own }}"))
    save_sentencepiece(folder / "tokenizer.model", reference)
    tokenizer = load_tokenizer(check_checkpoint(folder))
    assert tokenizer.chat_template == "{{ own }}"
    for text in ("What is this?", "  two  spaces", "a\tb", "ä 漢"):
        ids = tokenizer(text)["input_ids"]
        assert ids == [tokenizer.bos_token_id, *reference.encode(text).ids]
    with readable_tokenizer(folder) as readable:
        again = AutoTokenizer.from_pretrained(str(readable))
        assert (readable / "model.safetensors").exists()
    assert again("What is this?")["input_ids"] == tokenizer("What is this?")["input_ids"]
    with readable_tokenizer(tmp_path) as same:
        assert same == tmp_path


def test_one_of_another_kind_is_refused_with_what_is_expected(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\x0a\x05")
    assert check_checkpoint(folder)
    with pytest.raises(RunnerError, match=r"tokenizer\.model: is truncated .* tokenizer\.json"):
        VipLlavaRunner(folder, device="cpu")
    (folder / "vocab.json").write_text(json.dumps({}))
    assert check_checkpoint(folder)
