"""Where the chat template of a checkpoint stands."""

import json
import shutil
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from vipbench.demo.embedded import CHECKPOINT
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint
from vipbench.runners.checkpoints.spec import CheckpointSpec
from vipbench.runners.checkpoints.template_files import find_template, template_of
from vipbench.runners.hf.spec import HfSpec
from vipbench.runners.spec import ModelChoice, RunContext
from vipbench.runners.templates import ChatTemplate
from vipbench.runners.vipllava.spec import VipLlavaSpec
from vipbench.schema import PromptFormat


def test_the_first_file_that_has_one_counts(tmp_path: Path) -> None:
    assert find_template(tmp_path) is None
    for name in ("tokenizer_config.json", "processor_config.json", "chat_template.json"):
        (tmp_path / name).write_text(json.dumps({"chat_template": name}))
        assert find_template(tmp_path) == ChatTemplate(name, str(tmp_path / name))
    path = tmp_path / "chat_template.jinja"
    path.write_text("own")
    assert find_template(tmp_path) == ChatTemplate("own", str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(RunnerError, match=r"chat_template\.jinja: cannot be read"):
        find_template(tmp_path)


def test_named_templates_of_a_tokenizer(tmp_path: Path) -> None:
    named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"chat_template": named}))
    assert find_template(tmp_path) == ChatTemplate("a", str(path))
    path.write_text(json.dumps({"chat_template": named[1:]}))
    with pytest.raises(RunnerError, match=r"tokenizer_config\.json: chat_template is a list of"):
        find_template(tmp_path)


def test_only_the_format_that_takes_it_looks_at_it(tmp_path: Path) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "c")
    (folder / "chat_template.jinja").write_text("{{ 1/0 }}")
    info = check_checkpoint(folder)
    assert template_of(info, "hf") is None
    assert template_of(info, "chat_template") == find_template(folder)


@pytest.mark.parametrize(
    ("kind", "prompt_format", "expected"),
    [
        (VipLlavaSpec, "chat_template", "2024-07-26"),
        (VipLlavaSpec, "hf", None),
        (HfSpec, "chat_template", "2024-07-26"),
    ],
)
def test_the_date_is_part_of_what_answers_depend_on(
    tmp_path: Path,
    kind: type[CheckpointSpec],
    prompt_format: PromptFormat,
    expected: str | None,
) -> None:
    folder = shutil.copytree(CHECKPOINT, tmp_path / "c")
    template = folder / "chat_template.jinja"
    choice = ModelChoice(runner="x", model=str(folder), prompt_format=prompt_format)
    context = RunContext(None, MagicMock(), {}, MagicMock())
    dates = []
    for _ in range(2):
        spec = kind(choice)
        spec.check()
        dates.append(spec.describe(context).settings.template_date)
        template.write_text("{{ strftime_now('%d %b %Y') }} " + template.read_text())
    assert dates == [None, expected]
