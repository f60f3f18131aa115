"""A base lends what a checkpoint lacks, as if its files lay in the folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.models import IMAGE_SIZE, save_family
from tests.runners.checkpoints.breaking import edit
from tests.runners.vipllava.asking import pictures, questions
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import Hints, check_checkpoint, check_model
from vipbench.runners.checkpoints.lending import lend, own_names
from vipbench.runners.hf.runner import HfRunner
from vipbench.runners.vipllava.runner import VipLlavaRunner

HINTS = {"prompt_format": "chat_template", "fit": "squash", "converted_from": "official"}


@pytest.fixture
def base(checkpoint: Path, tmp_path: Path) -> Path:
    base = Path(shutil.copytree(checkpoint, tmp_path / "base"))
    (base / "vipbench.json").write_text(json.dumps(HINTS))
    return base


@pytest.fixture
def trained(base: Path, tmp_path: Path) -> Path:
    """Weights and config alone, as a trainer leaves them."""
    return bare(base, tmp_path / "runs" / "checkpoint-500")


def bare(whole: Path, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        shutil.copy(whole / name, folder)
    (folder / "training_args.bin").write_bytes(b"")
    return folder


def test_a_checkpoint_without_a_tokenizer_names_the_option(trained: Path) -> None:
    with pytest.raises(RunnerError, match=r"checkpoint-500: has no tokenizer .* by --base"):
        check_checkpoint(trained)


def test_the_digests_are_those_of_a_folder_with_the_files(
    base: Path, trained: Path, tmp_path: Path
) -> None:
    lent = check_checkpoint(trained, str(base))
    assert lent.name == "checkpoint-500"
    assert lent.lent is not None
    assert set(lent.lent.parts) == {"tokenizer", "processor", "chat template", "vipbench.json"}
    assert lent.hints == Hints(prompt_format="chat_template", fit="squash")  # not converted itself
    assert lent.hints_from == "vipbench.json of base, by --base"
    copied = Path(shutil.copytree(trained, tmp_path / "copied" / "checkpoint-500"))
    for path in base.iterdir():
        if not (copied / path.name).exists():
            shutil.copy(path, copied)
    whole = check_checkpoint(copied)
    assert (lent.weights, lent.settings, lent.parts) == (whole.weights, whole.settings, whole.parts)
    assert whole.hints_from == "vipbench.json of checkpoint-500"
    assert [path.name for path in trained.iterdir() if path.is_symlink()] == []
    requests, images = questions(3), pictures(3)
    answers = VipLlavaRunner(trained, base=str(base), device="cpu").generate(requests, images)
    assert answers == VipLlavaRunner(copied, device="cpu").generate(requests, images)


def test_a_file_of_its_own_wins(base: Path, trained: Path) -> None:
    (trained / "vipbench.json").write_text('{"prompt_format": "hf"}')
    (trained / "chat_template.jinja").write_text("{{ own }}")
    shutil.copy(base / "processor_config.json", trained)
    edit(
        trained / "processor_config.json",
        lambda c: c["image_processor"].update(image_std=[2.0] * 3),
    )
    info = check_checkpoint(trained, str(base))
    assert info.lent is not None
    assert info.lent.parts == ("tokenizer",)
    assert (info.chat_template, info.hints.prompt_format) == ("{{ own }}", "hf")
    assert info.image_std == (2.0, 2.0, 2.0)
    assert lend(base, str(base)).folder == base
    assert lend(base, str(base)).parts == ()


def test_a_vocabulary_is_never_mixed(base: Path, trained: Path) -> None:
    shutil.copy(base / "tokenizer.json", trained)
    together = lend(trained, str(base)).folder
    assert not (together / "tokenizer_config.json").exists()


@pytest.mark.parametrize("name", ["tokenizer_config.json", "processor_config.json"])
def test_a_template_is_lent_from_whichever_file_holds_it(
    base: Path, trained: Path, name: str
) -> None:
    template = (base / "chat_template.jinja").read_text()
    (base / "chat_template.jinja").unlink()
    edit(base / name, lambda c: c.update(chat_template=template))
    alone = check_model(trained, base=str(base))
    for own in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        shutil.copy(base / own, trained)
        edit(trained / own, lambda c: c.pop("chat_template", None))
    info = check_checkpoint(trained, str(base))
    assert info.chat_template == template
    assert info.parts["template"] == alone.parts["template"]


def test_the_template_of_the_checkpoint_wins_in_whichever_file_it_stands(
    base: Path, trained: Path
) -> None:
    edit(base / "processor_config.json", lambda c: c.update(chat_template="{{ base }}"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, trained)
    edit(trained / "tokenizer_config.json", lambda c: c.update(chat_template="{{ own }}"))
    info = check_checkpoint(trained, str(base))
    assert info.chat_template is None  # the processor brings none, and the tokenizer's is taken
    (own := trained / "chat_template.jinja").write_text("{{ own }}")
    edit(trained / "tokenizer_config.json", lambda c: c.pop("chat_template"))
    assert check_checkpoint(trained, str(base)).parts["template"] == info.parts["template"]
    assert own.exists()


def test_messages_name_the_files_themselves(base: Path, trained: Path, tmp_path: Path) -> None:
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(RunnerError, match="holds no vocabulary") as caught:
        check_checkpoint(trained, str(base))
    assert "vipbench-base-" not in str(caught.value)
    (base / "processor_config.json").write_text("[]")
    with pytest.raises(RunnerError, match=r"base/processor_config\.json: holds a list"):
        check_checkpoint(trained, str(base))
    with pytest.raises(RunnerError, match=r"--base .*nowhere: does not exist"):
        check_checkpoint(trained, str(tmp_path / "nowhere"))
    with pytest.raises(RunnerError, match=r"^told$"), own_names():
        raise RunnerError("told")


def test_a_base_runs_no_code(base: Path, trained: Path) -> None:
    edit(base / "tokenizer_config.json", lambda c: c.update(auto_map={"AutoTokenizer": "x.Y"}))
    with pytest.raises(RunnerError, match=r"base/tokenizer_config\.json: auto_map asks for remote"):
        check_checkpoint(trained, str(base))


def test_runner_hf_takes_a_base_too(tmp_path: Path) -> None:
    whole = save_family(tmp_path / "whole", "llava", [2])
    trained = bare(whole, tmp_path / "checkpoint-1")
    lent = HfRunner(trained, base=str(whole), device="cpu")
    assert lent.info.parts == check_model(whole).parts
    assert lent.info.settings == check_model(whole).settings
    images = [np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 90, np.uint8)]
    answers = lent.generate(questions(1), images)
    assert answers == HfRunner(whole, device="cpu").generate(questions(1), images)
    (trained / "tokenizer.json").write_bytes((whole / "tokenizer.json").read_bytes())
    (trained / "chat_template.jinja").write_text("<image>")
    with pytest.raises(RunnerError, match=r"no preprocessor_config\.json: .* by --base"):
        HfRunner(trained, device="cpu")
