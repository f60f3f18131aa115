"""The committed leaderboard of the demo suite: this machine reaches it too."""

import json
from pathlib import Path
from typing import Any

import pytest

import vipbench
from vipbench import demo
from vipbench.report.leaderboard import leaderboard

COMMITTED = Path(__file__).parents[2] / "results" / "demo"
BASELINES = ("oracle", "majority", "random", "constant")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demo suite with both checkpoints and all baselines, and write their leaderboard."""
    folder = tmp_path_factory.mktemp("leaderboard")
    runs = [
        vipbench.evaluate(checkpoint, out=folder / checkpoint.name, device="cpu").path
        for checkpoint in (demo.CHECKPOINT, demo.CHECKPOINT_EARLY)
    ]
    runs += [vipbench.evaluate(runner=name, out=folder / name).path for name in BASELINES]
    leaderboard(runs, folder)
    return folder


def rows(folder: Path, name: str) -> dict[tuple[str, ...], dict[str, Any]]:
    keys = ("model", "task", "style", "metric", "group")
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    return {tuple(row[key] for key in keys): row for row in content}


@pytest.mark.parametrize("name", ["leaderboard.json", "breakdown.json"])
def test_every_row_is_reached_within_one_answer(written: Path, name: str) -> None:
    committed, found = rows(COMMITTED, name), rows(written, name)
    assert committed.keys() == found.keys()
    for key, row in committed.items():
        other = found[key]
        exact = row["model"] in BASELINES
        most = 0 if exact else 1 / row["n"] + 1e-9
        assert abs(row["accuracy"] - other["accuracy"]) <= most, key
        for field in ("n", "n_expected", "n_clusters", "n_errors", "synthetic", "task_version"):
            assert row[field] == other[field], (key, field)


def test_the_markdown_says_what_the_json_says(written: Path) -> None:
    text = (COMMITTED / "leaderboard.md").read_text(encoding="utf-8")
    assert "synthetic" in text
    for (model, *_), row in rows(COMMITTED, "leaderboard.json").items():
        lines = [line for line in text.splitlines() if line.startswith(f"| {model} ")]
        assert any(f"{100 * row['accuracy']:.1f}" in line for line in lines), row
    assert text.splitlines()[0] == (written / "leaderboard.md").read_text().splitlines()[0]
