"""A task of our own with two images, and the synthetic releases."""

from pathlib import Path

import pytest
from PIL import Image

from tests.trials.made import question, write
from vipbench.demo.generate import make

TASK = """\
name: own
version: 1
title: Our own
kind: choice
data: own
reader: jsonl
template: "{question}\\n{choices}"
styles: [red_rectangle]
reference: {samples: 3}
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("released"), 8)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a folder with a task, three questions, and the two images that they are about."""
    (tmp_path / "own.yaml").write_text(TASK)
    Image.new("RGB", (60, 40), "white").save(tmp_path / "a.png")
    Image.new("RGB", (60, 40), "gray").save(tmp_path / "b.jpg")
    write(tmp_path, question("q1", "a.png"), question("q2", "a.png"), question("q3", "b.jpg"))
    return tmp_path
