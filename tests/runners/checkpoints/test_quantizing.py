"""Quantised weights, on tiny models: both paths and every batch give the same answers."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import VipLlavaForConditionalGeneration

from tests.models import build_processor
from tests.runners.vipllava.asking import one_by_one, pictures, questions
from vipbench.demo.embedded import CHECKPOINT
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.checkpoints.quantization import Quantization
from vipbench.runners.checkpoints.quantizing import (
    check_quantized,
    live_quantization,
    quantized_options,
)
from vipbench.runners.device import Placement
from vipbench.runners.hf.runner import HfRunner
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Quantize

pytest.importorskip("bitsandbytes")


def kinds(model: Any) -> dict[str, str]:
    """Return the class of each linear layer by its name."""
    return {
        name: type(module).__name__
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


@pytest.mark.parametrize("kind", ["int4", "int8"])
def test_both_paths_and_every_batch_answer_alike(kind: Quantize) -> None:
    fast = VipLlavaRunner(CHECKPOINT, quantize=kind)
    reference = VipLlavaRunner(CHECKPOINT, quantize=kind, path="reference")
    requests, images = questions(8), pictures(8, size=fast.image_size)
    assert (fast.settings.dtype, fast.settings.quantization) == (
        "float32",
        f"{kind} (bitsandbytes)",
    )
    together = [answer.text for answer in fast.generate(requests, images)]
    assert together == [answer.text for answer in one_by_one(fast, requests, images)]
    assert together == [answer.text for answer in reference.generate(requests, images)]
    assert len(set(together)) > 3  # nothing degenerate is compared


def test_all_linear_layers_but_the_last_one_are_quantised(checkpoint: Path) -> None:
    found = kinds(VipLlavaRunner(checkpoint, quantize="int4").model)
    assert found.pop("lm_head") == "Linear"
    assert set(found.values()) == {"Linear4bit"}
    for part in ("vision_tower", "multi_modal_projector", "language_model"):
        assert any(part in name for name in found)


def test_a_checkpoint_that_was_saved_quantised_is_loaded(checkpoint: Path, tmp_path: Path) -> None:
    made = VipLlavaRunner(checkpoint, quantize="int8")
    saved = Path(shutil.copytree(checkpoint, tmp_path / "int8"))
    made.model.save_pretrained(str(saved))
    loaded = VipLlavaRunner(saved)
    assert loaded.settings.quantization == "int8 (bitsandbytes)"
    assert not (loaded.info.quantization and loaded.info.quantization.at_loading)
    requests, images = questions(2), pictures(2)
    assert loaded.generate(requests, images) == made.generate(requests, images)
    with pytest.raises(RunnerError, match="quantised already"):
        check_checkpoint(saved, quantize="int4")


def test_runner_hf_answers_with_quantised_weights(checkpoint: Path) -> None:
    runner = HfRunner(checkpoint, quantize="int8")
    requests, images = questions(3), pictures(3)
    together = runner.generate(requests, images)
    alone = [runner.generate([r], [i])[0] for r, i in zip(requests, images, strict=True)]
    assert together == alone
    assert runner.settings.quantization == "int8 (bitsandbytes)"


def test_a_quantised_model_in_memory_says_so(checkpoint: Path) -> None:
    model = VipLlavaRunner(checkpoint, quantize="int4").model
    live = VipLlavaRunner(model, build_processor())
    assert live.settings.quantization == "int4 (bitsandbytes)"
    assert live_quantization(torch.nn.Linear(1, 1)) is None


def test_a_model_without_a_quantised_layer_is_refused(checkpoint: Path) -> None:
    model = VipLlavaForConditionalGeneration.from_pretrained(str(checkpoint))
    wanted = Quantization(method="bitsandbytes", kind="int4")
    with pytest.raises(RunnerError, match=r"m: no layer was quantised to int4 \(bitsandbytes\)"):
        check_quantized(model, "m", wanted)


def test_compressed_tensors_are_unpacked_while_they_are_loaded(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.CompressedTensorsConfig", dict)  # wants the package itself
    runner = VipLlavaRunner(checkpoint)
    found = Quantization(method="compressed-tensors", kind="int8")
    info = runner.info.model_copy(update={"quantization": found})
    options = quantized_options(info, Placement("cpu", "float32"))
    assert options["quantization_config"] == {"run_compressed": False}
