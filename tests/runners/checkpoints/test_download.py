"""A checkpoint is found in its folder or in the hub's cache, and what is neither is named."""

import os
import shutil
from pathlib import Path

import pytest

from tests.runners.checkpoints.breaking import refused
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.checkpoints.download import find_folder


def test_a_wrong_path_suggests_the_nearest(checkpoint: Path) -> None:
    refused(checkpoint.parent / "tiny-vpi", "does not exist.*did you mean 'tiny-vip'")
    refused(checkpoint.parent / "tiny-vpi" / "deeper", "looked for 'tiny-vpi'.*mean 'tiny-vip'")
    refused(checkpoint / "config.json", "is a file · expected a checkpoint's folder")


def test_of_what_is_not_near_nothing_is_listed(tmp_path: Path) -> None:
    for name in ("one", "two", "checkpoint-1", "checkpoint-2", "checkpoint-3", "checkpoint-4"):
        (tmp_path / name).mkdir()
    refused(tmp_path / "zzz" / "ck", f"looked for 'zzz' in {tmp_path} · expected a checkpoint's")
    with pytest.raises(RunnerError) as end:
        find_folder(tmp_path / "checkpoint-9")
    assert str(end.value).count("'checkpoint-") == 1 + 3
    assert " one" not in str(end.value)


def test_a_hub_id_is_found_in_the_hubs_cache(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--somebody--tiny-vip"
    shutil.copytree(checkpoint, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    info = check_checkpoint("somebody/tiny-vip")
    assert info.name == "somebody/tiny-vip"
    assert info.weights == check_checkpoint(checkpoint).weights


def test_an_id_that_cannot_be_fetched_is_named() -> None:
    refused("nobody/no-such-model", "nobody/no-such-model: there is no such folder.*hub id")


def test_a_relative_path_is_not_taken_for_a_hub_id(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent.parent)
    refused(f"{checkpoint.parent.name}/tiny-vpi", "did you mean 'tiny-vip'")
    assert check_checkpoint(f"{checkpoint.parent.name}/tiny-vip").name == "tiny-vip"


def test_pipes_in_a_checkpoint_are_refused_before_anybody_reads_them(tmp_path: Path) -> None:
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    assert find_folder(tmp_path) == (tmp_path, tmp_path.name)
    os.mkfifo(tmp_path / "tokenizer_config.json")
    with pytest.raises(RunnerError) as end:
        find_folder(tmp_path)
    assert str(end.value) == (
        f"model {tmp_path}: holds no checkpoint (no config.json) · expected a folder that "
        "save_pretrained wrote"
    )
    with pytest.raises(RunnerError, match=r"--adapter .*: holds no .* \(no adapter_config.json\)"):
        find_folder(tmp_path, "--adapter")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RunnerError, match=r"tokenizer_config.json: not a regular file · expected"):
        find_folder(tmp_path)
