"""What configs say of quantised weights."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.quantization import METHODS, Quantization, find_quantization
from vipbench.schema import Quantize

PATH = Path("m/config.json")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modules that are installed; to be changed."""
    names = {name for needed in METHODS.values() for name in needed}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in names else None)
    return names


def find(stored: object, quantize: Quantize | None = None) -> Quantization | None:
    return find_quantization(PATH, {"quantization_config": stored}, quantize)


@pytest.mark.parametrize(
    ("stored", "words", "by_token"),
    [
        ({"load_in_4bit": True}, "int4 (bitsandbytes)", True),
        (
            {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False},
            "int8 (bitsandbytes)",
            False,
        ),
        (
            {
                "quant_method": "torchao",
                "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}},
            },
            "Int8WeightOnly (torchao)",
            True,
        ),
        (
            {"quant_method": "torchao", "quant_type": "int8_dynamic_activation_int8_weight"},
            "int8_dynamic_activation_int8_weight (torchao)",
            False,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"a": {"weights": {"num_bits": 4, "type": "int"}}},
            },
            "int4 (compressed-tensors)",
            True,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "a": {
                        "weights": {"num_bits": 8, "type": "float"},
                        "input_activations": {"n": 1},
                    }
                },
            },
            "float8 (compressed-tensors)",
            False,
        ),
    ],
)
def test_the_method_is_read(
    stored: dict[str, Any], words: str, by_token: bool, installed: set[str]
) -> None:
    found = find(stored)
    assert found is not None
    assert (found.words, found.by_token, found.at_loading) == (words, by_token, False)


def test_plain_weights_are_quantised_where_that_is_asked(installed: set[str]) -> None:
    assert find(None) is None
    for kind, bits in (("int4", 4), ("int8", 8)):
        found = find(None, kind)  # type: ignore[arg-type]  # both are
        assert found is not None
        assert (found.words, found.bits, found.at_loading) == (f"{kind} (bitsandbytes)", bits, True)


@pytest.mark.parametrize(
    ("config", "quantize", "message"),
    [
        (
            {"quantization_config": {"quant_method": "gptq"}},
            None,
            r"by 'gptq'.*expected one of bits",
        ),
        (
            {"quantization_config": {"load_in_4bit": True}},
            "int8",
            r"quantised already.*leave --quant",
        ),
        ({"quantization_config": ["int4"]}, None, r"is \['int4'\] · expected a mapping"),
        ({"compression_config": {"quant_method": "x"}}, None, r"quantised by 'x'"),
        ({"text_config": {"quantization_config": {"a": 1}}}, None, r"text_config holds a quant"),
    ],
)
def test_what_cannot_be_loaded_is_refused(
    config: dict[str, Any], quantize: Quantize | None, message: str, installed: set[str]
) -> None:
    with pytest.raises(RunnerError, match=message):
        find_quantization(PATH, config, quantize)


@pytest.mark.parametrize(
    ("stored", "quantize", "message"),
    [
        (None, "int4", r"--quantize int4: needs bitsandbytes.* pip install 'vipbench\[quantize\]'"),
        ({"quant_method": "compressed-tensors"}, None, r"needs compressed-tensors, not installed"),
    ],
)
def test_a_package_that_is_missing_is_named(
    stored: object, quantize: Quantize | None, message: str, installed: set[str]
) -> None:
    installed -= {"bitsandbytes", "compressed_tensors"}
    assert importlib.util.find_spec("bitsandbytes") is None
    with pytest.raises(RunnerError, match=message):
        find(stored, quantize)
