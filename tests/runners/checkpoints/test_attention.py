"""The kernel for the attention of a prompt: named as torch names it, or said not to be known."""

from pathlib import Path

import pytest

from tests.models import build_model, save_checkpoint
from vipbench.runners.checkpoints.attention import (
    KERNELS,
    UNKNOWN,
    attention_kernel,
    checkpoint_kernel,
)


def test_the_kernel_of_a_model_has_a_name() -> None:
    model = build_model()
    for masked in (True, False):
        assert attention_kernel(model, masked=masked) in KERNELS.values()


def test_the_kernel_of_a_checkpoint_is_one_that_runners_take(tmp_path: Path) -> None:
    folder = str(save_checkpoint(tmp_path))
    for dtype in (None, "bfloat16"):
        name = checkpoint_kernel(folder, dtype, "cpu")
        assert name.removeprefix("sdpa: ") in {*KERNELS.values()} - {"cudnn"}


def test_a_checkpoint_without_a_config_has_no_known_kernel(tmp_path: Path) -> None:
    assert checkpoint_kernel(str(tmp_path), None, "cpu") == UNKNOWN


def test_a_device_without_a_choice_of_kernels_has_no_known_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("not implemented for this device")

    monkeypatch.setattr("torch._fused_sdp_choice", refuse)
    assert attention_kernel(build_model(), masked=False) == UNKNOWN
    assert checkpoint_kernel(str(save_checkpoint(tmp_path)), None, "cpu") == f"sdpa: {UNKNOWN}"
