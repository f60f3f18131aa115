"""A model in memory: its folder's hints, what a base lends, and what it must not be wrapped in."""

import json
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import CHAT_TEMPLATE, build_model, build_processor, build_tokenizer
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import Hints
from vipbench.runners.checkpoints.loading import check_live
from vipbench.runners.registry import find_spec
from vipbench.runners.spec import ModelChoice, RunContext
from vipbench.runners.vipllava.live import find_hints, lend_live, unwrapped


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    import shutil

    folder = Path(shutil.copytree(checkpoint, tmp_path / "base"))
    hints = {"prompt_format": "chat_template", "fit": "squash", "converted_from": "x"}
    (folder / "vipbench.json").write_text(json.dumps(hints))
    return folder


def described(**fields: Any) -> Any:
    spec = find_spec("vipllava", is_live=True)(ModelChoice(runner="vipllava", **fields))
    spec.check()
    spec.size(None)
    return spec, spec.describe(RunContext(None, None, {}, None, "custom"))  # type: ignore[arg-type]


def test_the_hints_are_those_of_the_folder_that_it_was_loaded_from(folder: Path) -> None:
    model, processor = build_model(), build_processor()
    assert find_hints(model, None)[0] == Hints()
    plain = described(live_model=model, processor=processor)[1]
    assert (plain.settings.prompt_format, plain.prompt_format_from) == (
        "hf",
        "default of runner vipllava",
    )
    assert "the checkpoint's chat template writes another prompt" in plain.notes[0]
    model.config._name_or_path = str(folder)
    spec, found = described(live_model=model, processor=processor)
    assert (spec.fit_hint, found.settings.prompt_format) == ("squash", "chat_template")
    assert found.prompt_format_from == "vipbench.json of base, the model's folder"
    assert found.notes == ()
    asked = described(live_model=model, processor=processor, prompt_format="llava_v1")[1]
    assert (asked.prompt_format_from, asked.notes) == ("--prompt-format", ())
    model.config._name_or_path = "owner/name"
    assert find_hints(model, None)[0] == Hints()


def test_a_base_lends_what_the_processor_lacks(folder: Path) -> None:
    base, processor = str(folder), build_processor()
    whole = lend_live(base, None)
    assert whole.parts == ("tokenizer", "processor", "chat template", "vipbench.json")
    assert whole.processor.chat_template == CHAT_TEMPLATE
    assert len(whole.processor.tokenizer) == len(build_tokenizer())
    has_all = lend_live(base, processor)
    assert (has_all.parts, has_all.digest) == (("vipbench.json",), None)
    alone = lend_live(base, build_tokenizer())
    assert alone.parts == ("processor", "chat template", "vipbench.json")
    assert len({whole.digest, alone.digest}) == 2


def test_what_was_lent_is_part_of_what_an_answer_depends_on(folder: Path) -> None:
    model = build_model()
    lent = described(live_model=model, base=str(folder))[1]
    assert lent.notes == ("--base base: lends tokenizer, processor, chat template, vipbench.json",)
    assert lent.prompt_format_from == "vipbench.json of base, by --base"
    given = described(live_model=model, processor=build_processor())[1]
    assert lent.settings.weights != given.settings.weights
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    other = described(live_model=model, base=str(folder))[1]
    assert other.settings.weights != lent.settings.weights


def wrapped(**inner: Any) -> torch.nn.Module:
    module = torch.nn.Module()
    for name, value in inner.items():
        object.__setattr__(module, name, value)
    return module


def test_a_wrapped_model_is_the_model_inside() -> None:
    model, processor = build_model(), build_processor()
    adapter = wrapped(merge_and_unload=lambda: model, base_model=types.SimpleNamespace(model=model))
    for what in (
        model,
        wrapped(module=model),
        wrapped(_orig_mod=model),
        wrapped(module=wrapped(_orig_mod=model)),
        wrapped(module=adapter),
    ):
        assert unwrapped(what) is model
    asked = described(live_model=wrapped(module=model), processor=processor)[1]
    assert asked.settings == described(live_model=model, processor=processor)[1].settings
    with pytest.raises(RunnerError, match="expected a path, a hub id or a VipLlava"):
        check_live(wrapped(module=torch.nn.Linear(1, 1)), processor)


def test_a_model_in_shards_is_refused() -> None:
    model, processor = build_model(), build_processor()
    fsdp = type("FullyShardedDataParallel", (torch.nn.Module,), {})()
    fsdp.module = model
    with pytest.raises(RunnerError, match=r"sharded \(FSDP\).*· expected a whole model · save it"):
        check_live(unwrapped(fsdp), processor)
    next(model.parameters()).ds_status = "not available"  # type: ignore[attr-defined]
    with pytest.raises(RunnerError, match=r"sharded \(ZeRO-3\)"):
        check_live(unwrapped(model), processor)


def test_what_is_given_with_a_model_is_part_of_what_an_answer_depends_on(folder: Path) -> None:
    model, processor = build_model(), build_processor()
    first = described(live_model=model, processor=processor)[1].settings
    processor.tokenizer("a question", padding="max_length", max_length=20)  # a use changes nothing
    assert described(live_model=model, processor=processor)[1].settings == first
    others = []
    for name in ("pad_token", "chat_template"):
        other = build_processor()
        owner = other.tokenizer if name == "pad_token" else other
        setattr(owner, name, "</s>" if name == "pad_token" else CHAT_TEMPLATE + " ")
        others.append(described(live_model=model, processor=other)[1].settings)
    dark: Any = build_processor()
    dark.image_processor.image_mean = [0.9, 0.9, 0.9]
    others.append(described(live_model=model, processor=dark)[1].settings)
    assert len({first.processor, *(other.processor for other in others)}) == 4
    assert {other.weights for other in others} == {first.weights}
    assert described(live_model=model, base=str(folder))[1].settings.processor is None


def test_a_model_in_memory_is_left_as_it_is() -> None:
    for option in ({"adapter": "x"}, {"quantize": "int4"}):
        with pytest.raises(RunnerError, match="a model in memory is left as it is"):
            described(live_model=build_model(), processor=build_processor(), **option)
