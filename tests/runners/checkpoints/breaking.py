"""Checkpoints that are broken, and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import check_checkpoint


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refused(path: Path | str, message: str) -> None:
    with pytest.raises(RunnerError, match=message) as caught:
        check_checkpoint(path)
    assert "\n" not in str(caught.value)
