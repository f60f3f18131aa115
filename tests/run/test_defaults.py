"""What is asked where the user does not say so, by every way in."""

from pathlib import Path
from typing import Any

import pytest

from vipbench import demo
from vipbench.console import Console
from vipbench.demo import embedded
from vipbench.demo.generate import make
from vipbench.errors import RunError
from vipbench.run.defaults import with_defaults
from vipbench.run.settings import RunSettings
from vipbench.schema import DataSource
from vipbench.validation import checked

KEYS = {"visual7w", "pointqa", "vcr", "vip_bench"}


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "N", 2)


def filled(**fields: Any) -> RunSettings:
    return with_defaults(checked(RunSettings, fields, "test"))


def real(folder: Path) -> DataSource:
    folder.mkdir(exist_ok=True)
    return DataSource(folder, folder)


@pytest.mark.parametrize("fields", [{}, {"suite": "demo"}])
def test_without_anything_named_it_is_the_embedded_checkpoint_on_the_embedded_benchmark(
    fields: dict[str, Any],
) -> None:
    settings = filled(**fields)
    assert (settings.suite, settings.model) == ("demo", str(embedded.CHECKPOINT))
    assert settings.data.keys() == KEYS
    assert filled(**fields, runner="oracle").model is None


def test_a_model_on_the_embedded_benchmark_is_told_so() -> None:
    messages: list[str] = []
    settings = with_defaults(RunSettings(model="mine"), Console(messages.append))
    assert (settings.model, set(settings.data)) == ("mine", KEYS)
    assert len(messages) == 1
    assert "embedded benchmark, which is synthetic" in messages[0]
    with_defaults(RunSettings(model="mine", suite="demo"), Console(messages.append))
    live = with_defaults(RunSettings(live_model=object(), suite="demo"), Console(messages.append))
    assert (live.model, len(messages)) == (None, 1)


@pytest.mark.parametrize("given", [{"tasks": ("visual7w_pointing",)}, {"suite": "paper"}])
def test_named_tasks_get_neither_data_nor_checkpoint(given: dict[str, Any], tmp_path: Path) -> None:
    data = {"visual7w": real(tmp_path / "v7w")}
    settings = filled(**given, data=data)
    assert (settings.model, settings.data) == (None, data)


def test_a_replay_is_about_the_published_protocols() -> None:
    assert filled(replay="official").suite == "paper"


def test_real_data_are_not_mixed_with_synthetic_ones(tmp_path: Path) -> None:
    data = {"visual7w": real(tmp_path / "v7w")}
    with pytest.raises(RunError, match=r"data of visual7w are not .* --data pointqa=DIR") as caught:
        filled(data=data, model="mine")
    assert "\n" not in str(caught.value)
    alone = filled(suite="demo", tasks=("visual7w_pointing",), data=data)
    assert (alone.data, alone.model) == (data, None)  # nor is the embedded checkpoint asked
    own = {key: real(tmp_path / key) for key in KEYS}
    assert filled(data=own, model="mine").data == own


def test_the_embedded_checkpoint_answers_other_synthetic_data_too(tmp_path: Path) -> None:
    made = demo.sources(make(tmp_path / "made", 2))
    some = filled(data={"vcr": made["vcr"]})
    assert some.model == str(embedded.CHECKPOINT)
    assert some.data["vcr"] == made["vcr"]
    assert some.data.keys() == KEYS
