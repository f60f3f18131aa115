"""Adapters on tiny models: merged, beside quantised weights, and in memory."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import VipLlavaForConditionalGeneration

from tests.models import build_processor
from tests.runners.vipllava.asking import pictures, questions
from vipbench.demo.embedded import CHECKPOINT
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.adapters import check_adapter
from vipbench.runners.checkpoints.adapting import live_adapter, load_adapter, unwrap
from vipbench.runners.vipllava.runner import VipLlavaRunner

peft = pytest.importorskip("peft")
# PEFT asks a model of transformers by a name that is going.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
WEIGHTS = "adapter_model.safetensors"


def build(checkpoint: Path) -> Any:
    return VipLlavaForConditionalGeneration.from_pretrained(str(checkpoint))


def adapt(checkpoint: Path, **config: Any) -> Any:
    """A PeftModel whose adapter changes answers; the same one each time."""
    wanted = {"r": 2, "target_modules": ["q_proj", "v_proj"]} | config
    model = peft.get_peft_model(build(checkpoint), peft.LoraConfig(**wanted))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = 0.3 * torch.randn(weight.shape, generator=generator)
            if "lora_" in name:
                weight.copy_(noise)  # PEFT has drawn the first ones at random
            elif "modules_to_save" in name:
                weight += noise
    return model


@pytest.fixture(scope="module")
def saved(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "lora"
    adapt(checkpoint, modules_to_save=["multi_modal_projector"]).save_pretrained(str(folder))
    return folder


@pytest.fixture
def adapter(saved: Path, tmp_path: Path) -> Path:
    """An adapter of one's own to break."""
    return Path(shutil.copytree(saved, tmp_path / "lora"))


def answers(runner: VipLlavaRunner) -> list[str | None]:
    images = pictures(6, size=runner.image_size)
    return [answer.text for answer in runner.generate(questions(6), images)]


def test_a_merged_adapter_answers_like_the_one_in_memory(checkpoint: Path, adapter: Path) -> None:
    merged = VipLlavaRunner(checkpoint, adapter=str(adapter))
    assert not any("lora" in name for name, _ in merged.model.named_modules())
    found = answers(merged)
    assert found != answers(VipLlavaRunner(checkpoint))
    live = adapt(checkpoint, modules_to_save=["multi_modal_projector"])
    assert answers(VipLlavaRunner(live, build_processor())) == found
    assert merged.settings.model == "tiny-vip+lora"
    assert merged.settings.adapter == check_adapter(str(adapter)).digest


def test_names_of_older_transformers_are_placed(checkpoint: Path, adapter: Path) -> None:
    expected = answers(VipLlavaRunner(checkpoint, adapter=str(adapter)))
    tensors = load_file(adapter / WEIGHTS)
    renamed = {
        name.replace("model.model.language_model.", "model.language_model.model.")
        .replace("model.model.vision_tower.", "model.vision_tower.vision_model.")
        .replace("model.model.multi_modal_projector.", "model.multi_modal_projector."): tensor
        for name, tensor in tensors.items()
    }
    assert renamed.keys().isdisjoint(tensors)
    save_file(renamed, adapter / WEIGHTS)
    assert answers(VipLlavaRunner(checkpoint, adapter=str(adapter))) == expected


def test_tensors_without_a_place_and_places_without_a_tensor_are_named(
    checkpoint: Path, adapter: Path
) -> None:
    tensors = load_file(adapter / WEIGHTS)
    name = next(iter(tensors))
    changes: tuple[tuple[dict[str, torch.Tensor], str], ...] = (
        (
            tensors | {"base_model.model.other.lora_A.weight": torch.zeros(2)},
            "unexpected keys: base",
        ),
        ({key: value for key, value in tensors.items() if key != name}, "missing keys: .*lora_A"),
        (tensors | {name: torch.zeros(2, 3)}, r"size mismatch for .*lora_A.*\(1 in all\)"),
    )
    for content, message in changes:
        save_file(content, adapter / WEIGHTS)
        with pytest.raises(RunnerError, match=message):
            VipLlavaRunner(checkpoint, adapter=str(adapter))


def test_an_adapter_of_other_modules_is_refused(checkpoint: Path, adapter: Path) -> None:
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace("q_proj", "query"))
    with pytest.raises(RunnerError, match="unexpected keys"):
        VipLlavaRunner(checkpoint, adapter=str(adapter))
    config.write_text(config.read_text().replace("v_proj", "value"))
    with pytest.raises(RunnerError, match=r"No modules were targeted|Target modules"):
        VipLlavaRunner(checkpoint, adapter=str(adapter))


def test_the_generator_of_torch_is_left_as_it_is(checkpoint: Path, adapter: Path) -> None:
    model, before = build(checkpoint), torch.get_rng_state()
    load_adapter(model, check_adapter(str(adapter)), merge=True)
    assert torch.equal(torch.get_rng_state(), before)


def test_beside_quantised_weights_an_adapter_stays_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    adapter = tmp_path / "lora"
    adapt(CHECKPOINT, modules_to_save=["multi_modal_projector"]).save_pretrained(str(adapter))
    runner = VipLlavaRunner(CHECKPOINT, adapter=str(adapter), quantize="int4")
    names = {type(module).__name__ for module in runner.model.modules()}
    assert "Linear4bit" in names
    assert any("lora" in name for name, _ in runner.model.named_modules())
    projector = runner.model.model.multi_modal_projector
    assert all(type(part).__name__ != "Linear4bit" for part in projector.modules())
    reference = VipLlavaRunner(CHECKPOINT, adapter=str(adapter), quantize="int4", path="reference")
    assert answers(runner) == answers(reference)


def test_dora_beside_int8_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    adapter = tmp_path / "dora"
    adapt(checkpoint, use_dora=True).save_pretrained(str(adapter))
    with pytest.raises(RunnerError, match=r"is DoRA.* · give --quantize int4"):
        VipLlavaRunner(checkpoint, adapter=str(adapter), quantize="int8")
    VipLlavaRunner(checkpoint, adapter=str(adapter), quantize="int4")


def test_in_memory_the_digest_tells_what_is_at_work(checkpoint: Path) -> None:
    model = adapt(checkpoint)
    inner = unwrap(model)
    assert isinstance(inner, VipLlavaForConditionalGeneration)
    assert unwrap(inner) is inner

    def digest() -> str | None:
        found = live_adapter(inner)
        return None if found is None else found.digest

    first = digest()
    assert first == digest()
    assert first is not None
    with model.disable_adapter():
        assert digest() not in (None, first)
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            module.scale_layer(2.0)
    assert digest() not in (None, first)
    assert live_adapter(build(checkpoint)) is None


def test_prompts_that_were_learned_are_refused(checkpoint: Path) -> None:
    config = peft.PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=2,
        token_dim=64,
        num_layers=2,
        num_attention_heads=4,
    )
    model = peft.get_peft_model(build(checkpoint), config)
    with pytest.raises(RunnerError, match="with PROMPT_TUNING, which puts something before"):
        unwrap(model)
