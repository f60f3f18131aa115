"""Originals on Llama 3 and on Phi 3: what becomes of them, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, AutoTokenizer, VipLlavaForConditionalGeneration

from tests.language_models import (
    PHI_3_TOKENS,
    llama_3_tokenizer,
    save_llama_3,
    save_phi_3,
    save_phi_3_tokenizer,
)
from tests.originals import llama_like_tokenizer, save_original, save_tower
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import Hints, check_checkpoint
from vipbench.runners.conversion.convert import convert
from vipbench.runners.conversion.language_models import (
    LLAMA_3,
    PHI_3,
    VICUNA,
    find_language_model,
    is_own_code,
)
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer
from vipbench.runners.vipllava.net import normalise
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Request

Save = Callable[..., Path]
SAVED: tuple[tuple[Save, str, str], ...] = (
    (save_llama_3, "llava_llama_3", "<|eot_id|>"),
    (save_phi_3, "llava_phi_3", "<|end|>"),
)
EMBEDDING = "language_model.model.embed_tokens.weight"


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tower(tmp_path_factory.mktemp("towers") / "clip")


def converted(save: Save, folder: Path, clip: Path, **config: Any) -> Path:
    original = save(folder / "original", **config)
    convert(original, folder / "out", vision_tower=str(clip))
    return folder / "out"


def ask(*turns: str) -> Request:
    return Request(
        task="t", style="s", id="1", turns=turns, image="x", fit="pad", max_new_tokens=8, key="k"
    )


def pictures(n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@torch.no_grad()
def logits(folder: Path) -> torch.Tensor:
    """Of a prompt with an image, for the tokens that were trained, by plain transformers."""
    load: Any = VipLlavaForConditionalGeneration.from_pretrained
    model, report = load(str(folder), dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    pixels = torch.linspace(-2, 2, 3 * 64 * 64).reshape(1, 3, 64, 64).sin()
    ids = torch.tensor([[1, *[model.config.image_token_id] * 16, 70, 80, 90, 91, 120, 33]])
    found: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits[..., :300]
    return found


def test_phi_3_computes_what_llama_does_with_the_same_weights(tower: Path, tmp_path: Path) -> None:
    phi = converted(save_phi_3, tmp_path / "phi", tower)
    llama = converted(save_original, tmp_path / "llama", tower, tower=False)
    # Its joined projections and its rotary positions are another class's.
    assert torch.allclose(logits(phi), logits(llama), atol=1e-4, rtol=1e-4)
    config = json.loads((phi / "config.json").read_text())
    assert config["text_config"]["model_type"] == "phi3"
    assert config["text_config"]["sliding_window"] == 2047
    assert "auto_map" not in (phi / "config.json").read_text()


def test_llama_3_keeps_its_rotary_base(tower: Path, tmp_path: Path) -> None:
    wide = converted(save_llama_3, tmp_path / "wide", tower)
    usual = converted(save_llama_3, tmp_path / "usual", tower, rope_theta=10_000.0)
    assert not torch.allclose(logits(wide), logits(usual), atol=1e-2)
    text = json.loads((wide / "config.json").read_text())["text_config"]
    # The second is what versions of transformers before 5 read.
    assert text["rope_parameters"]["rope_theta"] == text["rope_theta"] == 500_000.0
    assert "rope_theta" not in json.loads((usual / "config.json").read_text())["text_config"]


@pytest.mark.parametrize(("save", "prompt_format", "end"), SAVED)
def test_what_is_written_says_how_it_is_asked_and_where_it_ends(
    save: Save, prompt_format: str, end: str, tower: Path, tmp_path: Path
) -> None:
    out = converted(save, tmp_path, tower)
    assert check_checkpoint(out).hints == Hints(
        prompt_format=prompt_format,  # type: ignore[arg-type]
        fit="pad",
        converted_from="original",
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    generation = json.loads((out / "generation_config.json").read_text())
    assert {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)} <= set(
        generation["eos_token_id"]
    )
    config = json.loads((out / "config.json").read_text())
    assert tokenizer.convert_ids_to_tokens(config["image_token_index"]) == "<image>"
    assert config["text_config"]["vocab_size"] >= len(tokenizer)
    load: Any = AutoProcessor.from_pretrained
    ids = load(out)(text="<image>", images=pictures(1)[0])["input_ids"][0]
    assert ids.count(config["image_token_index"]) == 16


@pytest.mark.parametrize(("save", "prompt_format", "end"), SAVED)
def test_the_runner_stops_at_the_end_of_a_turn(
    save: Save, prompt_format: str, end: str, tower: Path, tmp_path: Path
) -> None:
    out = converted(save, tmp_path, tower)
    # As a trainer saves it: EOS is the only end token that its files know.
    (out / "generation_config.json").unlink()
    runner = VipLlavaRunner(out)
    assert runner.settings.prompt_format == prompt_format
    end_id: Any = runner.net.tokenizer.convert_tokens_to_ids(end)
    assert end_id in runner.net.end_ids
    requests = [ask(f"What is object {i}?") for i in range(4)] + [ask("A?", "b", "C?")]
    found = runner.generate(requests, pictures(5))
    alone = [runner.generate([r], [i])[0] for r, i in zip(requests, pictures(5), strict=True)]
    reference = VipLlavaRunner(out, path="reference")
    assert found == alone == reference.generate(requests, pictures(5))
    assert all(answer.n_new_tokens for answer in found)
    # What would be the first token of an answer becomes the end of the turn.
    pixels = normalise(runner.net, torch.from_numpy(pictures(1)[0][None]))
    ids = torch.tensor([runner.encode(requests[0])])
    for path in (runner, reference):
        with torch.no_grad():
            first = int(path.model(input_ids=ids, pixel_values=pixels).logits[0, -1].argmax())
            head = path.model.lm_head.weight
            head[[first, end_id]] = head[[end_id, first]]
        [answer] = path.generate(requests[:1], pictures(1))
        assert (answer.text, answer.n_new_tokens, answer.finish) == ("", 0, "stop")


@pytest.mark.parametrize(("save", "prompt_format", "end"), SAVED)
def test_new_rows_are_means_and_trained_ones_stay(
    save: Save, prompt_format: str, end: str, tower: Path, tmp_path: Path
) -> None:
    out = converted(save, tmp_path, tower)
    rows = load_file(out / "model.safetensors")[EMBEDDING]
    own = load_file(tmp_path / "original" / "model.safetensors")["model.embed_tokens.weight"]
    tokenizer: Any = AutoTokenizer.from_pretrained(out)
    n_trained = tokenizer.convert_tokens_to_ids("<image>")
    assert torch.equal(rows[:n_trained], own[:n_trained])
    assert torch.allclose(rows[n_trained:].float(), own[:n_trained].float().mean(0), atol=1e-3)


def test_llama_3_s_own_padding_token_is_beyond_the_embeddings(tower: Path, tmp_path: Path) -> None:
    original = save_llama_3(tmp_path / "original")
    # As the training script leaves it: <pad> is added to the tokenizer, and no row to the model.
    spec = json.loads((original / "tokenizer.json").read_text())
    n_tokens = llama_3_tokenizer().get_vocab_size()
    spec["added_tokens"].append(spec["added_tokens"][-1] | {"id": n_tokens, "content": "<pad>"})
    (original / "tokenizer.json").write_text(json.dumps(spec))
    weights = load_file(original / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:n_tokens].clone()
    save_file(weights, original / "model.safetensors")
    edit(original / "config.json", vocab_size=n_tokens)
    convert(original, tmp_path / "out", vision_tower=str(tower))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["image_token_index"] == n_tokens + 1
    assert config["text_config"]["vocab_size"] == 320
    assert config["text_config"]["pad_token_id"] == n_tokens


def test_phi_3_s_tokenizer_is_loaded_as_the_official_code_does(tmp_path: Path) -> None:
    save_phi_3_tokenizer(tmp_path)
    text = "<|user|>\n a<|end|>\nb"  # the tokens take along what is behind them
    tokenizer = load_original_tokenizer(tmp_path, fast=True)
    assert tokenizer.tokenize(text) == [
        "<|user|>\n ",
        "▁",
        "a",
        "<|end|>\n",
        "▁",
        "b",
    ]
    assert tokenizer("a")["input_ids"][0] == 1
    assert [tokenizer.convert_ids_to_tokens(340 + i) for i in range(11)] == [*PHI_3_TOKENS]
    # A tokenizer.json comes first, and add_bos_token before what it says of BOS.
    llama = llama_like_tokenizer(340)
    llama.add_special_tokens(["<|mine|>"])
    llama.save(str(tmp_path / "tokenizer.json"))
    edit(tmp_path / "tokenizer_config.json", added_tokens_decoder={}, eos_token="</s>")
    for adds in (True, False):
        edit(tmp_path / "tokenizer_config.json", add_bos_token=adds)
        loaded = load_original_tokenizer(tmp_path, fast=True)
        assert loaded.convert_tokens_to_ids("<|mine|>") == 340
        assert (loaded("a")["input_ids"][0] == 1) == adds


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "llava_phi3"}, PHI_3),
        ({"architectures": ["LlavaPhi3ForCausalLM"], "model_type": "x"}, PHI_3),
        ({"model_type": "llava_llama", "vocab_size": 128_256}, LLAMA_3),
        ({"model_type": "llava_llama", "vocab_size": 32_000}, VICUNA),
        ({"model_type": "llava"}, VICUNA),
        ({"model_type": "llava_mpt"}, None),
    ],
)
def test_the_language_model_is_told_by_the_config(
    config: dict[str, Any], expected: object, tmp_path: Path
) -> None:
    assert find_language_model(tmp_path, config) is expected


def test_remote_code_is_passed_over_where_it_is_phi_3_s_own() -> None:
    own = {"AutoConfig": "a/b--configuration_phi3.Phi3Config"}
    assert is_own_code(PHI_3, {"auto_map": own})
    assert not is_own_code(LLAMA_3, {"auto_map": own})
    assert not is_own_code(PHI_3, {"auto_map": own | {"AutoModel": "evil.Model"}})


def spoil_tokenizer(folder: Path) -> None:
    """Leave the language model's own tokens out."""
    text = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(text.replace("<|end|>", "<|fin|>"))


@pytest.mark.parametrize(
    ("save", "config", "change", "message"),
    [
        (save_phi_3, {}, spoil_tokenizer, r"has no <\|end\|>, .*llava_phi_3 needs .* of Phi 3"),
        (
            save_original,
            {"tower": False, "vocab_size": 128_256},
            None,
            r"embed_tokens.weight has the shape \[548, 128\]",
        ),
        (
            save_phi_3,
            {"rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}},
            None,
            "rope_scaling is 'su', as in Phi 3 with 128k, .* Phi-3-mini-4k",
        ),
        (save_phi_3, {"auto_map": {"AutoModel": "evil.Model"}}, None, "asks for remote code"),
        (save_phi_3, {"mm_projector_type": "linear"}, None, "mm_projector_type is 'linear'"),
        (save_llama_3, {"mm_vision_tower": "openai/clip"}, None, "mm_hidden_size|mm_vision_tower"),
        (save_phi_3, {"num_attention_heads": 3}, None, "is not a configuration of Phi3|shape"),
        (save_llama_3, {"num_key_value_heads": 1}, None, "k_proj.weight has the shape"),
    ],
)
def test_what_does_not_fit_is_refused(
    save: Save,
    config: dict[str, Any],
    change: Callable[[Path], None] | None,
    message: str,
    tower: Path,
    tmp_path: Path,
) -> None:
    original = save(tmp_path / "original", **config)
    if change is not None:
        change(original)
    named = None if "mm_vision_tower" in config else str(tower)
    with pytest.raises(RunnerError, match=message) as caught:
        convert(original, tmp_path / "out", vision_tower=named)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
