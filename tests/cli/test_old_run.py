"""Run folders of vipbench 0.1.0 (see tests/make_old_runs.py) are read, scored and resumed today.

They keep their name, the keys of their requests and their settings digest, whatever fields were
added since.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.make_old_runs import CHECKPOINTS, command
from vipbench import digests
from vipbench.prompts.request import request_key
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import FILES, MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.summary import read_summary

DATA = Path(__file__).parents[1] / "data"
OLD = DATA / "old_run"
IMAGES = {"vcr_qa": "vcr", "vcr_qar": "vcr", "pointqa_local": "pointqa"}
FINISHED, EARLY = OLD / "finished", OLD / "early"
LATE_SETTINGS = "7c85b43d5512ad975465b05773d98752685e8b8e3e127247b686717a76911882"
EARLY_SETTINGS = "343dec0311042ad9e1b6143e4cdf64a5cd4e8ce82be493d54e7d6b6eceaa1e90"
IDENTITIES = {
    "finished": ("custom-vipllava-demo-fe3dd9e8", LATE_SETTINGS),
    "early": ("custom-vipllava-demo-early-5aff225b", EARLY_SETTINGS),
    "interrupted": ("custom-vipllava-demo-fe3dd9e8", LATE_SETTINGS),
}
"""`run_id` and `settings_digest` as they were written."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the old runs into a folder that may be written to."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


@pytest.mark.parametrize("run", IDENTITIES)
def test_the_identity_has_the_digests_of_then(run: str) -> None:
    manifest = manifests.read(OLD / run)
    assert (manifest.run_id, manifest.settings_digest) == IDENTITIES[run]
    assert manifests.run_id(manifest.identity) == manifest.run_id
    assert manifests.settings_digest(manifest.identity.settings) == manifest.settings_digest


def test_the_requests_have_the_keys_of_then() -> None:
    trials = trials_file.open_trials(FINISHED / REQUESTS)
    for trial in trials:
        assert trial.request is not None
        image = DATA / IMAGES[trial.task] / trial.request.image
        key = request_key(trial.request, 1, digests.file_digest(image))
        assert key == trial.request.key


def test_every_file_is_read() -> None:
    manifest = manifests.read(FINISHED)
    trials = trials_file.open_trials(FINISHED / REQUESTS)
    assert len(trials) == manifest.n_requests == 12
    assert answers_file.Answered(trials, FINISHED / RESPONSES).n_missing == 0
    assert {row.task for row in read_summary(FINISHED)} == manifest.tasks.keys()


@pytest.mark.parametrize("run", CHECKPOINTS)
def test_its_scores_are_the_same_bytes(vipbench: Vipbench, copy: Path, run: str) -> None:
    for name in (SCORES, SUMMARY):
        (copy / run / name).unlink()
    assert vipbench("score", copy / run).code == 0
    for name in FILES:
        assert (copy / run / name).read_bytes() == (OLD / run / name).read_bytes(), name


def test_it_stands_in_a_leaderboard(vipbench: Vipbench) -> None:
    assert vipbench("leaderboard", FINISHED, EARLY, "-o", "out").code == 0
    rows = json.loads(Path("out/leaderboard.json").read_text())
    assert {row["model"] for row in rows} == set(CHECKPOINTS.values())


def test_it_is_compared(vipbench: Vipbench) -> None:
    assert vipbench("compare", FINISHED, EARLY, "-o", "out").code == 0
    assert json.loads(Path("out/compare.json").read_text())


def test_it_passes_the_gate_against_itself(vipbench: Vipbench) -> None:
    assert vipbench("gate", FINISHED, FINISHED).code == 0
    ran = vipbench("gate", FINISHED, EARLY, "--summary", "gate.md")
    assert ran.code in (0, 1), ran.err
    assert "pointqa_local" in Path("gate.md").read_text()


def test_it_is_shown_on_a_page(vipbench: Vipbench) -> None:
    assert vipbench("report", FINISHED, EARLY, "-o", "out").code == 0
    assert "vipllava-demo-early" in Path("out/report.html").read_text()


def test_the_same_command_prints_a_finished_run(vipbench: Vipbench, copy: Path) -> None:
    before = (copy / "finished" / MANIFEST).read_bytes()
    ran = vipbench(*command(CHECKPOINTS["finished"], DATA, copy / "finished"))
    assert ran.code == 0, ran.err
    assert (copy / "finished" / MANIFEST).read_bytes() == before


def test_an_interrupted_run_is_resumed(vipbench: Vipbench, copy: Path) -> None:
    folder = copy / "interrupted"
    answered = (folder / RESPONSES).read_bytes()
    assert 0 < answered.count(b"\n") < 12
    ran = vipbench(*command(CHECKPOINTS["finished"], DATA, folder))
    assert ran.code == 0, ran.err
    assert (folder / RESPONSES).read_bytes().startswith(answered)
    for name in (SCORES, SUMMARY):
        assert (folder / name).read_bytes() == (FINISHED / name).read_bytes(), name
    manifest = manifests.read(folder)
    assert (manifest.run_id, manifest.settings_digest) == IDENTITIES["finished"]
    assert manifest.n_starts == 2
    assert manifest.finished is not None
    asked, old = (trials_file.open_trials(path / REQUESTS) for path in (folder, FINISHED))
    assert [entry.key for entry in asked.entries] == [entry.key for entry in old.entries]
