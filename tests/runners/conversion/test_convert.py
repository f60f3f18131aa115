"""Originals made from the embedded checkpoint by the inverse mapping, and converted back."""

import json
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoProcessor, AutoTokenizer, VipLlavaForConditionalGeneration

from tests.originals import (
    TOWER,
    Form,
    llama_like_tokenizer,
    official_weights,
    save_original,
    save_sentencepiece,
    save_tower,
    save_weights,
)
from vipbench.demo.embedded import CHECKPOINT
from vipbench.errors import RunError, RunnerError
from vipbench.runners.checkpoints.checkpoint import Hints, check_checkpoint
from vipbench.runners.conversion import weights as weights_module
from vipbench.runners.conversion.convert import convert
from vipbench.runners.conversion.llama_tokenizer import load_original_tokenizer, read_sentencepiece
from vipbench.runners.vipllava.runner import VipLlavaRunner
from vipbench.schema import Request

EMBEDDINGS = ("language_model.model.embed_tokens.weight", "language_model.lm_head.weight")


def load(folder: Path) -> VipLlavaForConditionalGeneration:
    """Load a checkpoint with plain transformers; every tensor must fit."""
    from_pretrained: Any = VipLlavaForConditionalGeneration.from_pretrained
    model: VipLlavaForConditionalGeneration  # it comes in evaluation mode
    model, report = from_pretrained(str(folder), dtype=torch.float32, output_loading_info=True)
    assert not any(report.values()), report
    return model


@torch.no_grad()
def logits(model: VipLlavaForConditionalGeneration, image_id: int = 4) -> torch.Tensor:
    """Of two prompts with an image each, at all places."""
    pixels = torch.linspace(-2, 2, 2 * 3 * 64 * 64).reshape(2, 3, 64, 64).sin()
    ids = torch.tensor([[1, *[image_id] * 16, 70, 80, 90], [1, *[image_id] * 16, 91, 120, 33]])
    found: torch.Tensor = model(input_ids=ids, pixel_values=pixels).logits
    return found


def ask(*turns: str) -> Request:
    return Request(
        task="t", style="s", id="1", turns=turns, image="x", fit="pad", max_new_tokens=8, key="k"
    )


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return logits(load(CHECKPOINT))


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tower(tmp_path_factory.mktemp("towers") / "clip")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """An original of one's own to break, without a vision tower."""
    return save_original(tmp_path / "vip-llava-demo", tower=False)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def refused(original: Path | str, tower: Path | str | None, message: str, **options: Any) -> None:
    """Converting fails with one line, and leaves nothing behind."""
    out = Path(original).parent / "refused"
    with pytest.raises(RunnerError, match=message) as caught:
        convert(original, out, vision_tower=None if tower is None else str(tower), **options)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert not out.with_name("refused.part").exists()


@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin"])
@pytest.mark.parametrize("n_files", [1, 3])
@pytest.mark.parametrize("inside", [True, False])
def test_the_converted_checkpoint_is_the_embedded_one(
    form: Form, n_files: int, inside: bool, tower: Path, tmp_path: Path, expected: torch.Tensor
) -> None:
    original = save_original(tmp_path / "demo-7b", form, n_files=n_files, tower=inside)
    done = convert(original, tmp_path / "out", vision_tower=str(tower))
    assert torch.equal(logits(load(tmp_path / "out")), expected)
    assert done.n_tensors == len(load_file(tmp_path / "out" / "model.safetensors")) == 125
    assert done.vision_tower == ("the original" if inside else "clip")
    assert done.hints == Hints(prompt_format="llava_v1", fit="pad", converted_from="demo-7b")
    assert check_checkpoint(tmp_path / "out").hints == done.hints


def test_the_runner_answers_as_with_the_embedded_checkpoint(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    convert(original, tmp_path / "out", vision_tower=str(tower))
    info = check_checkpoint(CHECKPOINT)
    converted = check_checkpoint(tmp_path / "out")
    assert converted.vision_feature_layers == info.vision_feature_layers
    assert (converted.image_size, converted.n_image_tokens) == (64, 16)
    images = list(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8))
    requests = [ask(f"What is the shape of object {i}?") for i in range(4)]
    runner = VipLlavaRunner(tmp_path / "out")
    assert runner.settings.prompt_format == "llava_v1"
    # The statistics are the tower's, which are others than the embedded checkpoint's here.
    edit(tmp_path / "out" / "preprocessor_config.json", image_mean=None, image_std=None)
    found = VipLlavaRunner(tmp_path / "out").generate(requests, images)
    assert found == VipLlavaRunner(CHECKPOINT, prompt_format="llava_v1").generate(requests, images)
    assert all(answer.n_new_tokens for answer in found)


def test_only_the_configuration_of_a_tower_is_read_where_the_original_holds_one(
    tmp_path: Path, tower: Path, expected: torch.Tensor
) -> None:
    shutil.copytree(tower, tmp_path / "config-only")
    (tmp_path / "config-only" / "pytorch_model.bin").unlink()
    original = save_original(tmp_path / "original")
    convert(original, tmp_path / "out", vision_tower=str(tmp_path / "config-only"))
    assert torch.equal(logits(load(tmp_path / "out")), expected)
    # Without it: the sizes of the tower that the configuration stands for are others.
    refused(original, None, r"mm_hidden_size is 640, and 5 layers .* 5120 · .*--vision-tower")
    vision = json.loads((CHECKPOINT / "config.json").read_text())["vision_config"]
    edit(original / "config.json", vision_config=vision)
    convert(original, tmp_path / "again")
    assert torch.equal(logits(load(tmp_path / "again")), expected)


@pytest.mark.parametrize("layout", ["clip", "vision", "bare"])
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_towers_come_whole_or_as_a_vision_model(
    layout: Literal["clip", "vision", "bare"],
    form: Form,
    original: Path,
    tmp_path: Path,
    expected: torch.Tensor,
) -> None:
    clip = save_tower(tmp_path / "tower", form, layout=layout)
    convert(original, tmp_path / "out", vision_tower=str(clip))
    assert torch.equal(logits(load(tmp_path / "out")), expected)
    info = check_checkpoint(tmp_path / "out")
    assert (info.image_mean, info.image_std) == ((0.5, 0.25, 0.125), (1.0, 0.5, 0.25))


def test_large_checkpoints_get_several_files(
    original: Path,
    tower: Path,
    tmp_path: Path,
    expected: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights_module, "MAX_SHARD", 1_000_000)
    told: list[int] = []
    done = convert(
        original,
        tmp_path / "out",
        vision_tower=str(tower),
        on_plan=told.append,
        on_written=told.append,
    )
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert files == [f"model-0000{i}-of-00005.safetensors" for i in range(1, 6)]
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("*.safetensors")]
    assert max(sizes) < 1_010_000
    assert told[0] == done.n_bytes == sum(told[1:])
    assert torch.equal(logits(load(tmp_path / "out")), expected)
    assert check_checkpoint(tmp_path / "out").weights


def test_the_hub_s_names_and_the_default_tower_are_found(
    original: Path, tower: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in (
        ("mucai--vip-llava-7b-base-vcr-ft", original),
        ("openai--clip-vit-large-patch14-336", tower),
    ):
        repository = tmp_path / "cache" / f"models--{name}"
        shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    done = convert("mucai/vip-llava-7b-base-vcr-ft", tmp_path / "out")
    assert done.vision_tower == "openai/clip-vit-large-patch14-336"
    # The VCR checkpoint is evaluated with squashed images, whatever its configuration says.
    assert done.hints.fit == "squash"
    hints = check_checkpoint(tmp_path / "out").hints
    assert hints.converted_from == "mucai/vip-llava-7b-base-vcr-ft"


@pytest.mark.parametrize(
    ("ratio", "fit", "colour"),
    [("pad", "pad", (122, 116, 104)), ("resize", "squash", None), ("square", "crop", None)],
)
def test_the_fit_is_that_of_the_configuration(
    ratio: str, fit: str, colour: tuple[int, int, int] | None, tmp_path: Path, tower: Path
) -> None:
    original = save_original(tmp_path / "original", image_aspect_ratio=ratio, tower=False)
    (tmp_path / "clip").mkdir()
    for file in ("config.json", "pytorch_model.bin"):
        shutil.copyfile(tower / file, tmp_path / "clip" / file)
    done = convert(original, tmp_path / "out", vision_tower=str(tmp_path / "clip"))
    assert done.hints.fit == fit
    # Transformers' own processor does the same with the files that are written for it.
    load_processor: Any = AutoProcessor.from_pretrained
    processor = load_processor(tmp_path / "out")
    picture = Image.new("RGB", (128, 64), "black")
    picture.paste("white", (0, 0, 16, 64))
    inputs = processor(text="USER: <image>\n? ASSISTANT:", images=picture, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 64, 64)
    assert (inputs["input_ids"] == 4).sum() == 16
    mean, std = torch.tensor(processor.image_processor.image_mean), 0.26862954
    pixels = inputs["pixel_values"][0]
    brightness = (pixels[0] * std + mean[0]) * 255
    corner, left = brightness[0, 32], brightness[32, 0]
    if colour:
        assert corner == pytest.approx(colour[0], abs=0.6)
    else:
        assert corner == pytest.approx(0, abs=0.6)
    # The white stripe at the left border is what a crop loses.
    assert left == pytest.approx(0 if fit == "crop" else 255, abs=0.6)


def test_weights_are_stored_as_asked(original: Path, tower: Path, tmp_path: Path) -> None:
    edit_weights(original, lambda w: w.update({"lm_head.weight": w["lm_head.weight"].bfloat16()}))
    for dtype, own, head in (
        ("keep", torch.float16, torch.bfloat16),
        ("float32", torch.float32, torch.float32),
        ("float16", torch.float16, torch.float16),
    ):
        out = tmp_path / dtype
        convert(original, out, vision_tower=str(tower), dtype=dtype)  # type: ignore[arg-type]
        found = load_file(out / "model.safetensors")
        assert found[EMBEDDINGS[0]].dtype == own
        assert found["vision_tower.vision_model.post_layernorm.bias"].dtype == own
        assert found[EMBEDDINGS[1]].dtype == head
        config = json.loads((out / "config.json").read_text())
        assert config["dtype"] == str(own).removeprefix("torch.")
    edit_weights(original, lambda w: w["lm_head.weight"].fill_(1e5))
    refused(original, tower, "lm_head.weight has values that torch.float16", dtype="float16")


def cut_vocabulary(folder: Path, n_tokens: int, n_rows: int | None = None) -> Tokenizer:
    """Give an original a tokenizer of Llama's kind, as `tokenizer.model`, and so many rows."""
    tokenizer = llama_like_tokenizer(n_tokens)
    assert tokenizer.get_vocab_size() == n_tokens
    (folder / "tokenizer.json").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").write_text("{}")
    save_sentencepiece(folder / "tokenizer.model", tokenizer)
    n_rows = n_tokens if n_rows is None else n_rows
    official = official_weights()

    def cut(weights: dict[str, torch.Tensor]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = official[name][:n_rows].clone()

    edit_weights(folder, cut)
    edit(folder / "config.json", vocab_size=n_rows)
    return tokenizer


def test_missing_tokens_are_added_and_never_said(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    cut_vocabulary(original, 330)
    convert(original, tmp_path / "out", vision_tower=str(tower))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["image_token_index"] == 330
    assert config["text_config"]["vocab_size"] == 384  # the next multiple of 64
    assert config["text_config"]["pad_token_id"] == 331
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_tokens_to_ids(["<image>", "<pad>", "</s>"]) == [330, 331, 2]
    assert (tokenizer.pad_token_id, len(tokenizer)) == (331, 332)
    found = load_file(tmp_path / "out" / "model.safetensors")
    official = official_weights()
    for new, old in zip(EMBEDDINGS, ("model.embed_tokens.weight", "lm_head.weight"), strict=True):
        assert torch.equal(found[new][:330], official[old][:330])
        assert torch.allclose(found[new][330:].float(), official[old][:330].float().mean(0), 1e-3)
    model = load(tmp_path / "out")
    scores = logits(model, image_id=330)
    assert (scores[..., 330:] < scores[..., :330].max(-1, keepdim=True).values).all()
    # Twice the same bytes: the new rows are not drawn.
    convert(original, tmp_path / "again", vision_tower=str(tower))
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("out", "again")
    )
    assert first == second
    request = ask("Is <image> the red object?", "A", "the green one?")
    ids = VipLlavaRunner(tmp_path / "out").encode(request)
    assert ids.count(330) == 16
    assert ids.count(2) == 1  # </s> between the turns
    assert ids[0] == 1


def test_a_vocabulary_that_has_both_tokens_is_left_alone(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    # Two rows more than the tokenizer has ids.
    def pad(weights: dict[str, torch.Tensor]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = torch.cat([weights[name], weights[name][7:9]])

    edit_weights(original, pad)
    edit(original / "config.json", vocab_size=550)
    convert(original, tmp_path / "out", vision_tower=str(tower))
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(
        found[EMBEDDINGS[1]], load_file(original / "model.safetensors")["lm_head.weight"]
    )


def test_rows_behind_the_vocabulary_are_not_taken_over(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    cut_vocabulary(original, 330, n_rows=360)
    edit_weights(original, lambda weights: weights["lm_head.weight"][330:].fill_(100))
    convert(original, tmp_path / "out", vision_tower=str(tower))
    head = load_file(tmp_path / "out" / "model.safetensors")[EMBEDDINGS[1]]
    assert head.shape == (384, 128)
    assert head[330:].abs().max() < 1


def test_a_tokenizer_of_another_model_is_refused(original: Path, tower: Path) -> None:
    cut_vocabulary(original, 330, n_rows=320)
    refused(original, tower, "tokenizer has ids up to 329, and the model 320 embeddings")


def test_tokens_beside_the_vocabulary_are_added_first(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    cut_vocabulary(original, 330)
    (original / "added_tokens.json").write_text('{"<pad>": 330}')
    (original / "special_tokens_map.json").write_text('{"pad_token": {"content": "<pad>"}}')
    convert(original, tmp_path / "out", vision_tower=str(tower))
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.convert_tokens_to_ids(["<pad>", "<image>"]) == [330, 331]
    (original / "added_tokens.json").write_text('{"<pad>": 340}')
    refused(original, tower, "adds the token '<pad>' as 340, while the vocabulary ends at 329")


@pytest.mark.parametrize("legacy", [None, True, False])
def test_a_sentencepiece_model_is_read(legacy: bool | None, tmp_path: Path) -> None:
    reference = llama_like_tokenizer(330)
    save_sentencepiece(tmp_path / "tokenizer.model", reference)
    config = {"bos_token": {"content": "<s>"}} if legacy is None else {"legacy": legacy}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert len(read_sentencepiece(tmp_path / "tokenizer.model").pieces) == 330
    tokenizer: Any = load_original_tokenizer(tmp_path)
    assert tokenizer.get_vocab() == reference.get_vocab()
    for text in ("the red rectangle", "which  object\nis it?", "\nA. é 日", "USER: ", ""):
        ids = reference.encode(text, add_special_tokens=False).ids
        assert tokenizer(text)["input_ids"] == [1, *ids]
        assert tokenizer.decode(ids) == text
    after_special = tokenizer.tokenize("A.</s>USER")[-4:]
    assert ("\u2581" in "".join(after_special)) is (legacy is not False)
    assert tokenizer("", add_special_tokens=True)["input_ids"] == [1]


def test_the_official_loader_s_file_comes_first(original: Path, tmp_path: Path) -> None:
    byte_level: Any = load_original_tokenizer(original)
    save_sentencepiece(original / "tokenizer.model", llama_like_tokenizer(330))
    assert len(byte_level) == 548
    assert len(load_original_tokenizer(original)) == 330


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:-3], "is truncated or not a SentencePiece model"),
        (lambda raw: b"\xff" * 40, "is truncated or not a SentencePiece model"),
        (lambda raw: b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (lambda raw: b"", "has 0 pieces"),
        (lambda raw: raw.replace(b"\x18\x02\x20", b"\x18\x01\x20"), "model type 1"),
        (
            lambda raw: raw.replace(b"<0x41>\x15\0\0\0\0\x18\x06", b"<0x41>\x15\0\0\0\0\x18\x01"),
            "255 byte pieces",
        ),
        (lambda raw: raw[:-6] + b"\x18\x01\x20\x01\x28\x01", "text is normalised"),
        (lambda raw: raw[:-6] + b"\x18\x00\x20\x00\x28\x01", "no space in front"),
    ],
)
def test_other_tokenizers_are_refused(
    change: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.model"
    save_sentencepiece(path, llama_like_tokenizer(330))
    raw = path.read_bytes()
    assert change(raw) != raw
    path.write_bytes(change(raw))
    with pytest.raises(RunnerError, match=message):
        read_sentencepiece(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "vipllava"}, "is a VipLlava checkpoint already"),
        ({"mm_vision_tower": "-"}, "there is no mm_vision_tower · expected .* official"),
        (
            {"architectures": ["LlavaPhi3ForCausalLM"], "model_type": "llava_phi3"},
            r"the tokenizer has no <\|system\|>, .* llava_phi_3 needs · expected the .* of Phi 3",
        ),
        ({"architectures": "-", "model_type": "llava_mpt"}, "'llava_mpt' .*not supported"),
        (
            {"architectures": ["LlavaQwen2ForCausalLM"], "model_type": "llava_qwen2"},
            r"LlavaQwen2ForCausalLM\): this language model is not supported · .* Llama 3, .* Phi 3",
        ),
        ({"quantization_config": {"bits": 4}}, "quantised"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map asks for remote code"),
        ({"mm_projector_type": "linear"}, "mm_projector_type is 'linear'"),
        ({"mm_projector_type": "-"}, "mm_projector_type is 'linear'"),
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end is True"),
        ({"mm_patch_merge_type": "spatial_unpad"}, "mm_patch_merge_type is 'spatial_unpad'"),
        ({"image_aspect_ratio": "anyres"}, "image_aspect_ratio is 'anyres'"),
        ({"hidden_size": "big"}, "hidden_size is 'big' · expected a whole number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": 4}, "unexpected tensors: model.layers.4"),
        ({"num_hidden_layers": 6}, "missing tensors: language_model.model.layers.5"),
        ({"intermediate_size": 380}, r"down_proj.weight has the shape \[128, 384\] · .*128, 380"),
        ({"vocab_size": 500}, r"embed_tokens.weight has the shape \[548, 128\] .*\[500, 128\]"),
        ({"num_attention_heads": 3}, "is not a configuration of Llama"),
        ({"mm_hidden_size": 128}, "mm_hidden_size is 128, and 5 layers"),
        ({"mm_vision_select_layer": -2}, r"sees the layers \[-2, -5, -8, -11, 6\], .* has 4"),
        ({"mm_vision_select_layer": [-1, "x", 0, 1, 2]}, "expected numbers of its layers"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, tower: Path
) -> None:
    original = save_original(tmp_path / "original", tower=False, **changes)
    refused(original, tower, message)


def test_a_tower_must_be_named_where_the_configuration_stands_for_none(
    tmp_path: Path, tower: Path
) -> None:
    original = save_original(tmp_path / "original", tower=False, mm_vision_tower="my/clip")
    refused(original, None, "mm_vision_tower is 'my/clip' .*--vision-tower")
    refused(original, tmp_path / "cilp", "vision tower: .*does not exist.*--vision-tower")
    (tmp_path / "cilp").mkdir()
    refused(original, tmp_path / "cilp", "config.json: cannot be read")
    (tmp_path / "cilp" / "config.json").write_text("{}")
    refused(original, tmp_path / "cilp", "hidden_size of the vision model is None")
    shutil.copyfile(tower / "config.json", tmp_path / "cilp" / "config.json")
    refused(original, tmp_path / "cilp", "holds no weights")
    save_file({"x": torch.zeros(1)}, tmp_path / "cilp" / "model.safetensors")
    refused(original, tmp_path / "cilp", "has no vision_model.embeddings.class_embedding")
    save_weights(tmp_path / "cilp", {"vision_model.embeddings.class_embedding": torch.zeros(128)})
    refused(original, tmp_path / "cilp", "missing tensors: vision_tower.vision_model.embeddings")
    done = convert(original, tmp_path / "out", vision_tower=str(tower))
    assert done.vision_tower == "clip"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.norm.weight"), "missing tensors: language_model.model.norm.weight"),
        (lambda w: w.pop("lm_head.weight"), "missing tensors: language_model.lm_head.weight"),
        (
            lambda w: w.update({"model.image_newline": torch.ones(128)}),
            r"unexpected tensors: model.image_newline \(1 in all\)",
        ),
        (
            lambda w: w.update({"model.layers.0.extra": torch.ones(1)}),
            "unexpected tensors: model.layers.0.extra",
        ),
        (
            lambda w: w.update({"model.mm_projector.0.weight": torch.ones(128, 640)}),
            "plain LLaVA",
        ),
        (
            lambda w: w.update({"lm_head.weight": torch.ones(548, 128, dtype=torch.int8)}),
            "lm_head.weight is stored as I8 · expected float32",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    change: Callable[[dict[str, torch.Tensor]], object], message: str, original: Path, tower: Path
) -> None:
    edit_weights(original, change)
    refused(original, tower, message)


def test_a_tensor_must_stand_in_one_file(tmp_path: Path, tower: Path) -> None:
    original = save_original(tmp_path / "original", n_files=2, tower=False)
    save_file({"lm_head.weight": torch.ones(1)}, original / "model-00002-of-00002.safetensors")
    refused(original, tower, "holds lm_head.weight, as does model-00001")
    (original / "model.safetensors.index.json").unlink()
    refused(original, tower, "holds lm_head.weight, as does model-00001")


def test_shards_are_those_of_the_index(tmp_path: Path, tower: Path) -> None:
    original = save_original(tmp_path / "original", "bin", n_files=2, tower=False)
    index = original / "pytorch_model.bin.index.json"
    edit(index, weight_map={"x": "../secret.bin"})
    refused(original, tower, r"weight_map names '\.\./secret\.bin'")
    edit(index, weight_map={"x": "pytorch_model-00003-of-00003.bin"})
    refused(original, tower, "pytorch_model-00003-of-00003.bin: does not exist · .* names it")
    edit(index, weight_map={})
    refused(original, tower, "weight_map is missing")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["bin", "old bin"])
def test_pickles_are_read_as_tensors_only(form: Form, tmp_path: Path, tower: Path) -> None:
    original = save_original(tmp_path / "original", form, tower=False)
    path = original / "pytorch_model.bin"
    bomb = {"x": torch.ones(1), "y": Bomb(tmp_path / "exploded")}
    torch.save(bomb, path, _use_new_zipfile_serialization=form == "bin")
    refused(original, tower, "holds more than tensors, and unpickling that can run any code")
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded"), protocol=2))
    refused(original, tower, "pytorch_model.bin: ")
    assert not (tmp_path / "exploded").exists()
    torch.save([torch.ones(1)], path)
    refused(original, tower, "does not hold plain tensors under their names")
    torch.save({"state": {"x": torch.ones(1)}}, path)
    refused(original, tower, "does not hold plain tensors under their names")
    torch.save({"lm_head.weight": torch.ones(1, dtype=torch.int64)}, path)
    refused(original, tower, "stored as torch.int64")


@pytest.mark.parametrize("form", ["safetensors", "bin", "old bin"])
def test_torn_weights_are_refused(form: Form, tmp_path: Path, tower: Path) -> None:
    original = save_original(tmp_path / "original", form, tower=False)
    path = next(original.glob("*model*.[bs]*"))
    raw = path.read_bytes()
    for part in (raw[:-100], raw[: len(raw) // 2], raw[:50], b""):
        path.write_bytes(part)
        refused(original, tower, f"{path.name}: ")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(original, tower, "is a Git LFS pointer")
    path.unlink()
    refused(original, tower, r"holds no weights · expected a whole model in model\*\.safetensors")
    (original / "mm_projector.bin").touch()
    refused(original, tower, "holds a projector only")


@pytest.mark.parametrize("file", ["adapter_config.json", "non_lora_trainables.bin"])
def test_adapters_are_refused(file: str, original: Path, tower: Path) -> None:
    (original / file).write_text("{}")
    refused(original, tower, r"holds an adapter \(LoRA\)")


def test_what_is_missing_is_named(original: Path, tower: Path) -> None:
    (original / "tokenizer.json").write_text("{")
    refused(original, tower, r"tokenizer\.json: cannot be read as JSON")
    (original / "tokenizer.json").write_text("{}")
    refused(original, tower, r"tokenizer\.json: holds no vocabulary")
    (original / "tokenizer.json").unlink()
    refused(original, tower, "has no tokenizer · expected tokenizer.model or tokenizer.json")
    (original / "config.json").unlink()
    refused(original, tower, r"has no config\.json")
    refused(original.parent / "vip-llava-dmeo", tower, "did you mean 'vip-llava-demo'")
    refused(CHECKPOINT, tower, "is a VipLlava checkpoint already")


def test_a_tokenizer_without_llama_s_tokens_is_refused(original: Path, tower: Path) -> None:
    text = (original / "tokenizer.json").read_text()
    (original / "tokenizer.json").write_text(text.replace('"</s>"', '"<|eot|>"'))
    refused(original, tower, "the tokenizer has no eos_token")
    edit(original / "tokenizer_config.json", eos_token="<|eot|>")
    refused(original, tower, "the tokenizer has no </s>, which prompt format llava_v1 needs")


def test_files_of_the_original_that_matter_are_taken_over(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    (original / "generation_config.json").write_text('{"eos_token_id": [2, 7], "top_p": 0.6}')
    (original / "chat_template.jinja").write_text("{{ messages }}")
    edit(original / "config.json", rope_scaling={"type": "linear", "factor": 2.0})
    convert(original, tmp_path / "out", vision_tower=str(tower))
    generation = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "eos_token_id": [2, 7], "pad_token_id": 3}
    assert check_checkpoint(tmp_path / "out").chat_template == "{{ messages }}"
    text = json.loads((tmp_path / "out" / "config.json").read_text())["text_config"]
    assert text["rope_parameters"]["factor"] == 2.0
    assert not any(key.startswith("mm_") for key in text)


def test_an_existing_folder_is_not_touched(original: Path, tower: Path, tmp_path: Path) -> None:
    out = tmp_path / "full"
    out.mkdir()
    (out / "mine").touch()
    with pytest.raises(RunnerError, match="full: is not empty"):
        convert(original, out, vision_tower=str(tower))
    with pytest.raises(RunnerError, match="mine: is not empty"):
        convert(original, out / "mine", vision_tower=str(tower))
    (tmp_path / "other.part").mkdir()
    (tmp_path / "other.part" / "mine").touch()
    with pytest.raises(RunnerError, match=r"other\.part: is in the way"):
        convert(original, tmp_path / "other", vision_tower=str(tower))
    assert (tmp_path / "other.part" / "mine").exists()
    (out / "mine").unlink()
    convert(original, out, vision_tower=str(tower))  # an empty one is taken
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vipbench.json",
    ]
    assert not (tmp_path / "full.part").exists()


def test_two_conversions_do_not_write_to_one_folder(
    original: Path, tower: Path, tmp_path: Path
) -> None:
    def again(_: int) -> None:
        if refusals:
            return
        with pytest.raises(RunError, match=r"out\.part: another process is using it") as caught:
            convert(original, tmp_path / "out", vision_tower=str(tower))
        refusals.append(caught.value)

    refusals: list[RunError] = []
    convert(original, tmp_path / "out", vision_tower=str(tower), on_written=again)
    assert refusals
    assert check_checkpoint(tmp_path / "out")


def test_an_interrupt_leaves_nothing(original: Path, tower: Path, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(original, tmp_path / "out", vision_tower=str(tower), on_written=interrupt)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


PROGRAM = """
import os, signal, sys
from pathlib import Path
from vipbench.runners.conversion.convert import convert
def on_written(n_bytes, left=[60]):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
convert(sys.argv[1], Path(sys.argv[2]), vision_tower=sys.argv[3], on_written=on_written)
"""


def test_after_a_kill_the_same_command_works(
    original: Path, tower: Path, tmp_path: Path, expected: torch.Tensor
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", PROGRAM, *map(str, (original, out, tower))]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not out.exists()
    assert (tmp_path / "out.part").exists()
    convert(original, out, vision_tower=str(tower))
    assert torch.equal(logits(load(out)), expected)
    assert not (tmp_path / "out.part").exists()


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let every write beyond this size fail, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("limit", [1000, 1_000_000])
def test_a_full_disk_is_named_and_leaves_nothing(
    limit: int, original: Path, tower: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunnerError, match="File too large"), largest_file(limit):
        convert(original, tmp_path / "out", vision_tower=str(tower))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


def test_what_is_written_is_read_by_the_library(tmp_path: Path) -> None:
    values = {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,
        "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "c": torch.zeros((), dtype=torch.float16),
    }
    weights_module.write_weights(
        tmp_path,
        [
            weights_module.Written(name, tuple(tensor.shape), tensor.dtype, lambda t=tensor: t)  # type: ignore[misc]
            for name, tensor in values.items()
        ],
    )
    path = tmp_path / "model.safetensors"
    found = load_file(path)
    assert list(found) == ["a", "b", "c"]
    assert all(torch.equal(found[name], tensor) for name, tensor in values.items())
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] % 8 == 0


def test_the_names_are_the_official_ones() -> None:
    """The helper writes what the official classes hold (ViP-LLaVA, llava/model)."""
    names = set(official_weights())
    assert {
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.mm_projector.clip_layernorm.bias",
        "model.mm_projector.final_linear.0.weight",
        "model.mm_projector.final_linear.2.bias",
        "model.norm.weight",
        f"{TOWER}pre_layrnorm.weight",
        f"{TOWER}encoder.layers.3.self_attn.out_proj.bias",
    } <= names
