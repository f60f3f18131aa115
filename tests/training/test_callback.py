"""The callback in a real Trainer: it evaluates, and the training is the same as without it."""

import logging
import random
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerControl

import vipbench
from tests.trackers.test_session import Kept
from tests.training.conftest import MakeTrainer
from vipbench.errors import RunError, RunnerError, VipbenchError
from vipbench.runfolder.name_file import read_name
from vipbench.trackers import registry
from vipbench.training.callback import check_whole

pytest.importorskip("accelerate")


class Draws(vipbench.TrainerCallback):
    """Draws from every global generator after each step, as dropout and augmentation do."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.drawn: list[tuple[float, float, float]] = []
        self.modes: list[bool] = []

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        super().on_step_end(*args, **kwargs)
        self.modes.append(all(module.training for module in kwargs["model"].modules()))
        legacy = np.random.random_sample()  # noqa: NPY002  # the one that a training seeds
        self.drawn.append((random.random(), float(legacy), float(torch.rand(()))))


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_a_training_goes_on_as_without_it(
    make_trainer: MakeTrainer, model: Any, task: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    before = weights(model)
    seen, ends = [], []
    for every in (2, 100):
        model.load_state_dict(before)
        callback = Draws(every, "own", include=(task,))
        make_trainer(callback).train()
        seen.append(callback)
        ends.append(weights(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in before)
    assert not all(torch.equal(ends[0][name], before[name]) for name in before)
    assert seen[0].drawn == seen[1].drawn
    assert seen[0].modes == seen[1].modes == [True] * 4
    found = seen[0].evaluated
    assert [(each.step, each.path.name) for each in found] == [(2, "step-2"), (4, "step-4")]
    assert found[0].path.parent == tmp_path / "out" / "vipbench"
    assert read_name(found[1].path).step == 4
    assert found[0].accuracy.keys() == {"own@demo"}
    assert (seen[0].failures, seen[1].evaluated) == ([], [])
    assert list(Path.cwd().iterdir()) == []


def test_the_start_is_what_the_gate_holds_the_others_against(
    make_trainer: MakeTrainer, task: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    callback = vipbench.TrainerCallback(
        "save", "own", gate="start", out=tmp_path / "runs", include=(task,)
    )
    make_trainer(callback, max_steps=2, save_strategy="steps", save_steps=1).train()
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "step-0",
        "step-1",
        "step-2",
    ]
    assert [each.step for each in callback.evaluated] == [1, 2]
    assert all(each.gate and each.passed for each in callback.evaluated)


def test_trackers_are_told_each_evaluation(
    make_trainer: MakeTrainer, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kept, "told", [])
    for name in ("Kept", "Full"):
        path = f"tests.trackers.test_session:{name}"
        monkeypatch.setitem(registry.BUILT_IN, name.lower(), path)
    callback = vipbench.TrainerCallback(1, "own", log=["kept", "full"], include=(task,))
    make_trainer(callback, max_steps=1).train()
    assert [each.step for each in callback.evaluated] == [1]
    assert [told[0] for told in Kept.told] == ["open", "open", 1, Kept.told[3][0], *2 * ["closed"]]
    assert [failure.partition(":")[0] for failure in callback.failures] == ["step 1 was not logged"]
    unknown = make_trainer(vipbench.TrainerCallback(1, "own", log="wand", include=(task,)))
    with pytest.raises(VipbenchError, match="did you mean 'wandb'"):
        unknown.train()


def test_a_failed_gate_stops_the_training_where_asked(
    make_trainer: MakeTrainer, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = vipbench.TrainerCallback(1, "own", gate="start", stop=True, include=(task,))
    levels = []

    def failing(base: str, new: str, thresholds: Any) -> Any:
        levels.append(thresholds.alpha)
        failures = ["own -9.0 points"] if len(levels) == 2 else []
        return types.SimpleNamespace(failures=failures)

    monkeypatch.setattr("vipbench.training.callback.gate", failing)
    monkeypatch.setattr("vipbench.training.callback.verdict", lambda gate: f"FAIL {gate.failures}")
    trainer = make_trainer(callback)
    trainer.train()
    assert trainer.state.global_step == 2
    assert [each.passed for each in callback.evaluated] == [True, False]
    assert levels == pytest.approx([0.05 / 2, 0.05 / 6])


def test_what_goes_wrong_later_does_not_end_the_training(
    make_trainer: MakeTrainer, task: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = vipbench.TrainerCallback(2, "own", include=(task,))
    trainer = make_trainer(callback, max_steps=2)
    in_the_way = tmp_path / "out" / "vipbench"
    in_the_way.parent.mkdir(exist_ok=True)
    callback.on_epoch_begin = lambda *args, **kwargs: in_the_way.touch()  # type: ignore[method-assign]
    trainer.train()
    assert trainer.state.global_step == 2
    assert len(callback.failures) == 1
    assert "step 2 was not evaluated, and the training goes on" in caplog.text


def test_a_mistake_is_refused_before_the_first_step(
    make_trainer: MakeTrainer, task: Path, tmp_path: Path
) -> None:
    for callback, word in (
        (vipbench.TrainerCallback(1, gate=tmp_path / "none"), "none"),
        (vipbench.TrainerCallback(1, "owm", include=(task,)), "did you mean 'own'"),
    ):
        trainer = make_trainer(callback)
        with pytest.raises(VipbenchError, match=word):
            trainer.train()
        assert trainer.state.global_step == 0
        assert not (tmp_path / "out" / "vipbench").exists()


def test_a_step_that_an_earlier_training_evaluated_keeps_its_run(
    make_trainer: MakeTrainer, model: Any, task: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        callback = vipbench.TrainerCallback(1, "own", include=(task,))
        make_trainer(callback, max_steps=1).train()
        assert callback.failures == []
    assert callback.evaluated[0].path.name == "step-1-2"


@pytest.mark.parametrize("every", [0, -1, True, "saves", 2.5])
def test_an_occasion_that_there_is_not_is_refused(every: Any) -> None:
    with pytest.raises(RunError, match=r"every = .* · expected a number of steps from 1, or one"):
        vipbench.TrainerCallback(every)


@pytest.mark.parametrize("name", ["model", "step", "workers", "taskz"])
def test_a_setting_that_is_not_the_users_is_refused(name: str) -> None:
    given: dict[str, Any] = {name: 1}
    with pytest.raises(RunError, match=f"TrainerCallback: {name}: cannot be given · expected"):
        vipbench.TrainerCallback(1, **given)


def test_sharded_parameters_are_refused_with_the_way_to_evaluate_them(tmp_path: Path) -> None:
    callback = vipbench.TrainerCallback(1)
    whole = torch.nn.Linear(1, 1)
    sharded = torch.nn.Linear(1, 1)
    sharded.weight.ds_status = "not available"  # type: ignore[attr-defined]  # of DeepSpeed
    inside = type("FullyShardedDataParallel", (torch.nn.Sequential,), {})(whole)

    def begin(model: Any, **arguments: Any) -> None:
        args: Any = types.SimpleNamespace(output_dir=str(tmp_path), **arguments)
        state: Any = types.SimpleNamespace(global_step=0)
        callback.on_train_begin(args, state, TrainerControl(), model=model)

    for model, arguments, what in (
        (sharded, {}, "ZeRO-3"),
        (torch.nn.Sequential(inside), {}, "FSDP"),
        (whole, {"fsdp": ["full_shard"]}, "FSDP"),
        (whole, {"deepspeed_plugin": types.SimpleNamespace(zero_stage=3)}, "ZeRO-3"),
    ):
        with pytest.raises(RunnerError, match=rf"sharded \({what}\).*`vipbench watch {tmp_path}"):
            begin(model, **arguments)
    zero2: Any = types.SimpleNamespace(deepspeed_plugin=types.SimpleNamespace(zero_stage=2))
    check_whole(zero2, whole)
