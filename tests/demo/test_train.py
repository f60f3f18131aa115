"""Training: stopped and resumed it gives the weights of an uninterrupted one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vipbench.demo import lessons, train
from vipbench.demo.lessons import Phase
from vipbench.runners.checkpoints.checkpoint import check_checkpoint

PHASES = (Phase(2, {"lookup": 1.0}), Phase(2, {"reverse": 0.5, "visual7w_pointing": 0.5}))


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (lessons, train):
            patch.setattr(module, "PHASES", PHASES)
            patch.setattr(module, "LOOKING", 2)
        patch.setattr(train, "N_TRAINING", 8)
        patch.setattr(train, "BATCH", 6)
        patch.setattr(train, "MICRO_BATCH", 4)
        yield


@pytest.fixture(scope="module")
def whole(small: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train without a break; the checkpoint is written to `out`."""
    folder = tmp_path_factory.mktemp("whole")
    train.train(folder, folder / "out", snapshot_every=2)
    return folder


def test_a_resumed_training_ends_with_the_same_weights(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
                train.train(tmp_path, save_minutes=0)
    train.train(tmp_path)
    weights, resumed, early = (
        load_file(folder / "model.safetensors")
        for folder in (whole / "out", tmp_path / "checkpoint", whole / "snapshots" / "step-00002")
    )
    assert weights.keys() == resumed.keys()
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)
    assert any(not torch.equal(weights[name], early[name]) for name in weights)


def test_a_checkpoint_is_a_vipllava_with_its_prompt_format(whole: Path) -> None:
    info = check_checkpoint(whole / "out")
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
