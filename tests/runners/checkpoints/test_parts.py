"""The digests by part say which part of a checkpoint was changed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.models import build_model, build_processor, build_tokenizer
from tests.runners.checkpoints.breaking import edit
from vipbench import digests
from vipbench.runners.checkpoints.checkpoint import check_checkpoint, check_model
from vipbench.runners.checkpoints.parts import digest_live_parts


def _set(path: Path, **values: object) -> None:
    edit(path, lambda content: content.update(values))


def _touch_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def _template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text() + " ")


CHANGES: dict[str, Callable[[Path], object]] = {
    "weights": _touch_weights,
    "config": lambda folder: _set(folder / "config.json", initializer_range=0.5),
    "tokenizer": lambda folder: _set(folder / "tokenizer_config.json", padding_side="none"),
    "processor": lambda folder: _set(folder / "processor_config.json", patch_size=99),
    "template": _template,
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_changed_file_changes_its_part_alone(part: str, folder: Path) -> None:
    before = check_checkpoint(folder)
    assert list(before.parts) == ["weights", "config", "tokenizer", "processor", "template"]
    assert before.parts["weights"] == before.weights
    CHANGES[part](folder)
    after = check_checkpoint(folder)
    assert [name for name in after.parts if after.parts[name] != before.parts[name]] == [part]
    assert check_model(folder).parts == after.parts


def test_a_template_in_the_files_of_others_is_a_part_of_its_own(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    without = check_checkpoint(folder)
    assert "template" not in without.parts
    for name in ("tokenizer_config.json", "processor_config.json"):
        _set(folder / name, chat_template="{{ 1 }}")
        brought = check_checkpoint(folder).parts
        assert brought == without.parts | {"template": digests.digest("{{ 1 }}")}
        edit(folder / name, lambda content: content.pop("chat_template"))


def test_of_a_model_in_memory_there_is_what_can_be_told(folder: Path) -> None:
    model, processor = build_model(), build_processor()
    parts = digest_live_parts("w", model, processor)
    assert list(parts) == ["weights", "config", "tokenizer", "processor", "template"]
    assert parts["template"] == check_checkpoint(folder).parts["template"]
    model.config._name_or_path = "elsewhere"
    assert digest_live_parts("w", model, processor) == parts
    alone = digest_live_parts("w", model, build_tokenizer())
    assert set(alone) == {"weights", "config", "tokenizer"}
    assert json.dumps(parts)
