"""The token budget that is tried on a device."""

from pathlib import Path

import pytest

from tests.runners.vipllava.asking import SmallMemory
from vipbench.errors import RunnerError
from vipbench.runners.vipllava.runner import VipLlavaRunner


def test_a_token_budget_is_halved_until_a_batch_fits(checkpoint: Path) -> None:
    runner = SmallMemory(checkpoint)  # room for three rows of 16 image tokens and 128 of text
    assert runner.try_budget(3 * 144) == 3 * 144
    assert runner.try_budget(12 * 144) == 3 * 144
    assert runner.try_budget(10 * 144) == 10 * 144 // 4
    assert runner.settings.token_budget is None  # on a CPU nothing is tried while it is loaded
    assert VipLlavaRunner(checkpoint, token_budget=10).settings.token_budget is None
    runner.room = 0
    with pytest.raises(RunnerError, match=r"out of memory with one request of 272 tokens on cpu"):
        runner.try_budget(1 << 20)
