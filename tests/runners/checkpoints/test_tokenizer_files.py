"""What is not a tokenizer is refused by its file, and what cannot be loaded with what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models import save_family
from tests.runners.checkpoints.breaking import edit, refused
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint, check_model
from vipbench.runners.checkpoints.tokenizer_files import tokenizer_errors
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.hf.runner import HfRunner
from vipbench.runners.vipllava.runner import VipLlavaRunner

ALONE = (
    r"has tokenizer\.model and no tokenizer\.json · expected tokenizer\.json · save it once: "
    r"AutoTokenizer.*sentencepiece"
)


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


def alone(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"\x0a\x05")


def test_a_tokenizer_model_alone_is_refused_with_what_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "vipbench.runners.checkpoints.tokenizer_files.find_spec"
    alone(folder)
    monkeypatch.setattr(names, lambda name: None)
    refused(folder, ALONE)
    monkeypatch.setattr(names, lambda name: name == "sentencepiece")
    assert check_checkpoint(folder)  # where the package is installed, it may well be read
    with pytest.raises(RunnerError, match=r"cannot be loaded .* · expected tokenizer\.json · save"):
        VipLlavaRunner(folder, device="cpu")
    (folder / "vocab.json").write_text(json.dumps({}))
    monkeypatch.setattr(names, lambda name: None)
    assert check_checkpoint(folder)
