"""Folders of adapters, looked at without torch."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.adapters import adapter_notes, base_of, check_adapter


@pytest.fixture(autouse=True)
def _peft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


def write(folder: Path, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    content = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": str(folder.parent)} | config
    (folder / "adapter_config.json").write_text(json.dumps(content))
    save_file({"a": np.zeros((2, 2), np.float32)}, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_is_told_by_its_tensors_and_its_strength(tmp_path: Path) -> None:
    first = check_adapter(str(write(tmp_path / "a", modules_to_save=["lm_head"])))
    assert (first.name, first.base, first.whole) == ("a", str(tmp_path), ("lm_head",))
    same = write(tmp_path / "b", modules_to_save=["lm_head"], base_model_name_or_path="x/y")
    assert check_adapter(str(same)).digest == first.digest
    stronger = write(tmp_path / "c", modules_to_save=["lm_head"], lora_alpha=64)
    assert check_adapter(str(stronger)).digest != first.digest


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type is PREFIX_TUNING, which puts something before"),
        ({"peft_type": None}, "peft_type is None"),
        ({"auto_map": {"a": "b"}}, "auto_map asks for code of other packages"),
        ({"megatron_config": {"a": 1}}, "megatron_config asks for code of other packages"),
        ({"modules_to_save": "lm_head"}, "modules_to_save is 'lm_head' · expected names"),
    ],
)
def test_configs_that_cannot_be_used_are_refused(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        check_adapter(str(write(tmp_path / "a", **config)))


def test_folders_that_hold_no_adapter_of_peft_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(RunnerError, match=r"are pickled \(adapter_model.bin\)"):
        check_adapter(str(folder))
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(RunnerError, match="weights are not there"):
        check_adapter(str(folder))
    save_file({}, folder / "adapter_model.safetensors")
    with pytest.raises(RunnerError, match="holds no tensor"):
        check_adapter(str(folder))
    (folder / "non_lora_trainables.bin").touch()
    with pytest.raises(RunnerError, match=r"LoRA of the original LLaVA code.*vipbench convert"):
        check_adapter(str(folder))
    (tmp_path / "config.json").touch()
    with pytest.raises(RunnerError, match=r"has no adapter_config\.json.*give it as --model"):
        check_adapter(str(tmp_path))


def test_without_peft_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunnerError, match=r"needs peft.* pip install 'vipbench\[peft\]'"):
        check_adapter(str(write(tmp_path / "a")))


def test_the_base_is_the_one_that_the_config_names(tmp_path: Path) -> None:
    assert base_of(str(write(tmp_path / "a"))) == str(tmp_path)
    for changes, message in (
        ({"base_model_name_or_path": None}, "is None · expected the checkpoint"),
        ({"base_model_name_or_path": "/not/here"}, "'/not/here', which is not here"),
        ({"revision": "v1"}, "in revision 'v1'"),
    ):
        with pytest.raises(RunnerError, match=message):
            base_of(str(write(tmp_path / "a", **changes)))


def test_a_run_says_what_is_loaded_onto_what(tmp_path: Path) -> None:
    adapter = check_adapter(str(write(tmp_path / "a", base_model_name_or_path="x/other")))
    assert adapter_notes(adapter, "vip", merged=True) == (
        "--adapter a: merged into vip",
        "--adapter a: its config names other as its base",
    )
    beside = adapter_notes(adapter, "y/other", merged=False)
    assert beside == ("--adapter a: beside the quantised weights of y/other",)
    assert adapter_notes(None, "vip", merged=True) == ()
