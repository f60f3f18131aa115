"""Names of devices and dtypes: checked without torch, found with it."""

import subprocess
import sys

import pytest
import torch

from vipbench.errors import RunnerError
from vipbench.runners.device import (
    Placement,
    assign_devices,
    check_names,
    check_placed,
    dtype_on,
    find_device,
    find_placement,
)


@pytest.mark.parametrize("device", [None, "auto", "cpu", "cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("dtype", [None, "auto", "float32", "fp16", "bfloat16"])
def test_known_names_pass(device: str | None, dtype: str | None) -> None:
    check_names(device, dtype)


@pytest.mark.parametrize(
    ("device", "dtype", "message"),
    [
        ("cda", None, "did you mean 'cuda'"),
        ("cuda:x", None, "expected a name such as cuda:1"),
        ("cuda:", None, "device 'cuda:' is unknown"),
        ("cuda:01", None, "device 'cuda:01' is unknown"),
        ("cuda:1000", None, "device 'cuda:1000' is unknown"),
        ("auto:1", None, "device 'auto:1' is unknown"),
        ("", None, "device '' is unknown"),
        (None, "", "dtype '' is unknown"),
        (None, "float23", "did you mean 'float32'"),
    ],
)
def test_unknown_names_come_with_the_nearest(
    device: str | None, dtype: str | None, message: str
) -> None:
    with pytest.raises(RunnerError, match=message):
        check_names(device, dtype)


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert find_placement("cpu", None) == Placement("cpu", "float32")
    assert find_placement("cpu", "auto") == Placement("cpu", "float32")
    assert find_placement("cpu", "fp16") == Placement("cpu", "float16")
    assert dtype_on("cuda", None) == "float16"


def test_a_placement_is_what_torch_has() -> None:
    placement = Placement("cpu", "bfloat16")
    assert placement.torch_device() == torch.device("cpu")
    assert placement.torch_dtype() is torch.bfloat16


def test_a_device_that_is_not_here_is_said() -> None:
    with pytest.raises(RunnerError, match="is not available"):
        find_device("cuda:97")


def test_names_need_no_torch() -> None:
    code = (
        "import sys; from vipbench.runners.device import check_names;"
        "check_names('cuda:1', 'bf16'); check_names(None, None);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_need_a_device_each() -> None:
    assert assign_devices(torch.device("cpu"), 3) == ["cpu"] * 3
    assert assign_devices(torch.device("mps"), 1) == ["mps"]
    with pytest.raises(RunnerError, match=r"2 workers need 2 devices, and there is 1 \(mps\)"):
        assign_devices(torch.device("mps"), 2)
    with pytest.raises(RunnerError, match="need a device each, and cuda:1 is one · give --device"):
        assign_devices(torch.device("cuda:1"), 2)
    n = torch.cuda.device_count()
    with pytest.raises(RunnerError, match=rf"{n + 1} devices?, and there .* \(cuda\)"):
        assign_devices(torch.device("cuda"), n + 1)


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_ray_hands_out_no_such_device(device: str) -> None:
    with pytest.raises(RunnerError, match=f"gives each worker a GPU or a CPU, not {device}"):
        check_placed(torch.device(device))
    check_placed(torch.device("cuda"))
