"""Names of devices and dtypes: checked without torch, found with it."""

import pytest
import torch

from vipbench.errors import RunnerError
from vipbench.runners.device import check_names, find_device, find_dtype


@pytest.mark.parametrize("device", [None, "auto", "cpu", "cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("dtype", [None, "auto", "float32", "fp16", "bfloat16"])
def test_known_names_pass(device: str | None, dtype: str | None) -> None:
    check_names(device, dtype)


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("cda", None, "did you mean 'cuda'"),
        ("cuda:x", None, "expected such as cuda:1"),
        (None, "float23", "did you mean 'float32'"),
    ],
)
def test_unknown_names_come_with_the_nearest(
    device: str | None, dtype: str | None, message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        check_names(device, dtype)


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    cpu = find_device("cpu")
    assert find_dtype(None, cpu) is torch.float32
    assert find_dtype("fp16", cpu) is torch.float16
    assert find_dtype(None, torch.device("cuda")) is torch.float16


def test_a_device_that_is_not_here_is_said() -> None:
    with pytest.raises(RunnerError, match="is not here"):
        find_device("cuda:97")
