import pytest

from vipbench.errors import RunError
from vipbench.planning.devices import DEVICES, find_device, parse_fleet


@pytest.mark.parametrize(
    ("text", "n", "name"),
    [
        ("2 x H100", 2, "H100"),
        ("4xA100-80GB", 4, "A100-80GB"),
        ("8 * a100", 8, "A100-40GB"),
        ("NVIDIA H200", 1, "H200"),
        ("RTX 4090", 1, "RTX-4090"),
        ("H100 PCIe", 1, "H100-PCIe"),
        ("3", 3, None),
        ("16 x CPU", 16, "cpu"),
        ("V100 32GB", 1, "V100"),
    ],
)
def test_a_fleet_is_a_number_and_a_name(text: str, n: int, name: str | None) -> None:
    fleet = parse_fleet(text)
    assert (fleet.n, fleet.name) == (n, name)
    assert (fleet.device is None) == (name in (None, "cpu"))


@pytest.mark.parametrize("text", ["", "0", "0 x H100", "5000", "x H100", "2 x", "²"])
def test_what_names_no_devices(text: str) -> None:
    with pytest.raises(RunError, match=r"^--devices "):
        parse_fleet(text)


@pytest.mark.parametrize("text", ["H10", "2 x H100 NVL", "V100 16GB", "A100 64GB", "L40"])
def test_an_unknown_device_is_told_with_what_is_known(text: str) -> None:
    with pytest.raises(RunError, match=r"is unknown · (did you mean|known:).* · ") as error:
        parse_fleet(text)
    assert "H200" in str(error.value)


def test_devices_are_found_by_the_names_that_torch_has_for_them() -> None:
    for name, expected in (
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100-40GB"),
        ("Tesla V100-SXM2-32GB", "V100"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
    ):
        found = find_device(name)
        assert found is not None
        assert found.name == expected
    assert find_device("NVIDIA L40") is None
    assert find_device("") is None


def test_every_device_finds_itself_and_has_its_source() -> None:
    for device in DEVICES:
        assert parse_fleet(device.name).device == device
        assert device.peak_16 > device.peak_32
        assert device.source
