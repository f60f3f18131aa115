"""What runners say of themselves, and how one more is added: one file and one line."""

from pathlib import Path
from typing import Any

import pytest

from tests import toy_runner
from tests.models import save_checkpoint
from tests.runs import make_task, settings
from vipbench.errors import RunnerError
from vipbench.run.loop import run
from vipbench.runfolder import manifest as manifests
from vipbench.runners.registry import (
    BUILT_IN,
    UNLISTED,
    find_spec,
    list_runners,
    make_runner,
    with_checkpoint,
)
from vipbench.runners.spec import ModelChoice, RunContext


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, "toy", "tests.toy_runner:ToySpec")


@pytest.mark.usefixtures("toy")
def test_a_built_in_runner_is_one_file_and_one_line(tmp_path: Path) -> None:
    assert len(Path(toy_runner.__file__).read_text().splitlines()) <= 40
    assert list_runners()["toy"] == "a toy: always the last option"
    make_task(tmp_path)
    done = run(settings(tmp_path, runner="toy", batch_size="auto"))
    assert set(done.scores.answer.dropna()) == {"C"}
    manifest = manifests.read(done.path)
    assert (manifest.identity.model, manifest.batch_size) == ("toy", 5)
    assert manifest.path is None


@pytest.mark.usefixtures("toy")
def test_it_says_itself_what_it_does_not_do(tmp_path: Path) -> None:
    spec = find_spec("toy")(ModelChoice(runner="toy", dtype="float16", path="reference"))
    assert spec.unused(None) == ["runner toy: does not use --dtype, --path"]
    make_task(tmp_path)
    with pytest.raises(RunnerError, match="runner toy does not count tokens · give --batch-size N"):
        run(settings(tmp_path, runner="toy", token_budget=100, batch_size="auto"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_built_in_runner_is_described(name: str) -> None:
    assert find_spec(name).summary
    assert find_spec(name)(ModelChoice(runner=name)).name == name


def test_runners_with_a_checkpoint_are_found_by_what_they_say() -> None:
    assert with_checkpoint() == ["vipllava", "hf"]


def test_an_unknown_runner_gets_the_nearest_name() -> None:
    with pytest.raises(RunnerError, match="'vipllave' is unknown · did you mean 'vipllava'"):
        find_spec("vipllave")


@pytest.mark.parametrize("name", [*BUILT_IN, *UNLISTED])
@pytest.mark.parametrize("is_live", [False, True])
def test_every_built_in_runner_can_be_chosen(name: str, is_live: bool) -> None:
    spec = find_spec(name, is_live=is_live)(ModelChoice(runner=name))
    assert spec.name == name


def test_answers_made_elsewhere_are_no_runner_to_be_built_alone() -> None:
    with pytest.raises(RunnerError, match="cannot be built without a run"):
        make_runner("imported")


def test_a_suite_asks_in_the_official_conversation_of_the_checkpoint(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "phi")
    (folder / "vipbench.json").write_text('{"prompt_format": "llava_phi_3"}')
    found = []
    for asked in (None, "llava_v1"):
        choice = ModelChoice(runner="vipllava", model=str(folder), prompt_format=asked)
        spec: Any = find_spec("vipllava")(choice)
        spec.check()
        for suite_format in ("llava_v1", "hf", None):
            taken = spec.with_format(suite_format).prompt_format
            origin = spec.find_origin(RunContext(suite_format, (), (), None, "s"))  # type: ignore[arg-type]
            assert origin.prompt_format == taken or (taken is None and origin.source != "suite s")
            found.append(taken)
    # None: the loader takes the checkpoint's own.
    assert found == ["llava_phi_3", "hf", None, "llava_v1", "llava_v1", "llava_v1"]
