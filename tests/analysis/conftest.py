"""Two runs that differ."""

from pathlib import Path

import pytest

from tests.analysis.test_pairs import V7W, run
from tests.results import line
from vipbench.schema import Tags

ELLIPSE: Tags = {"shape": ("ellipse",)}
ARROW: Tags = {"shape": ("arrow",)}


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """Two runs of 80 samples: 12 are lost, all of them arrows, and 2 gained."""
    shapes = [ARROW] * 40 + [ELLIPSE] * 40
    before = [1.0] * 70 + [0.0] * 10
    after = [0.0] * 12 + [1.0] * 60 + [0.0] * 8
    folders = []
    for name, values in (("base", before), ("new", after)):
        scores = [
            line(V7W, f"q{i}", value, group=f"image{i // 2}", tags=tags)
            for i, (value, tags) in enumerate(zip(values, shapes, strict=True))
        ]
        folders.append(run(tmp_path / name, scores, model=name))
    return folders[0], folders[1]
