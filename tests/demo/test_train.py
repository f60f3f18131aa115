"""Training: stopped and resumed it gives the weights of an uninterrupted one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vipbench.demo import lessons, train
from vipbench.demo.lessons import Phase
from vipbench.runners.checkpoints.checkpoint import check_checkpoint

PHASES = (Phase(2, {"lookup": 1.0}), Phase(2, {"reverse": 0.5, "visual7w_pointing": 0.5}))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lessons, train):
        monkeypatch.setattr(module, "PHASES", PHASES)
        monkeypatch.setattr(module, "LOOKING", 2)
    monkeypatch.setattr(train, "N_TRAINING", 8)
    monkeypatch.setattr(train, "BATCH", 6)
    monkeypatch.setattr(train, "MICRO_BATCH", 4)


def test_a_resumed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.train(tmp_path / "whole", snapshot_every=2)
    look, learn = train.Trainer.look, train.Trainer.learn

    def look_once(self: train.Trainer, batch: train.LookBatch) -> None:
        if self.looked == 1:
            raise KeyboardInterrupt
        look(self, batch)

    def learn_twice(self: train.Trainer, batches: list[train.Batch], steps: int) -> None:
        if self.step == 2:
            raise KeyboardInterrupt
        learn(self, batches, steps)

    for name, stopped in (("look", look_once), ("learn", learn_twice)):
        with monkeypatch.context() as patch:
            patch.setattr(train.Trainer, name, stopped)
            with pytest.raises(KeyboardInterrupt):
                train.train(tmp_path / "parts", save_minutes=0)
    train.train(tmp_path / "parts")
    whole, parts = (
        load_file(tmp_path / name / "checkpoint" / "model.safetensors")
        for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    early = load_file(tmp_path / "whole" / "snapshots" / "step-00002" / "model.safetensors")
    assert any(not torch.equal(whole[name], early[name]) for name in whole)


def test_a_checkpoint_is_a_vipllava_with_its_prompt_format(tmp_path: Path) -> None:
    train.train(tmp_path, tmp_path / "out")
    info = check_checkpoint(tmp_path / "out")
    assert (info.image_size, info.n_image_tokens) == (64, 16)
    assert info.hints.prompt_format == "chat_template"
    assert info.hints.fit == "pad"


def test_the_learning_rate_rises_stays_and_falls() -> None:
    steps = train.WARMUP + 500 + train.COOLDOWN
    rates = [train.learning_rate(step, steps) for step in range(steps)]
    assert rates[0] == train.LEARNING_RATE / train.WARMUP
    assert rates[train.WARMUP : -train.COOLDOWN] == [train.LEARNING_RATE] * 500
    falling = rates[-train.COOLDOWN :]
    assert falling == sorted(falling, reverse=True)
    assert 0 < rates[-1] <= 0.011 * train.LEARNING_RATE
