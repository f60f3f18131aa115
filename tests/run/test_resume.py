"""What is left of a run: killed anywhere, it ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.run.asking import SCORED, files, said, with_model
from tests.runs import INTERRUPT_AT, KILL_AT, make_task, settings
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.score import score
from vipbench.runfolder import answers_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import FILES, MANIFEST, RESPONSES, SUMMARY
from vipbench.runners import contract
from vipbench.runners.contract import Runner, RunnerSettings


def test_killed_at_every_batch_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    make_task(tmp_path)
    whole = run(settings(tmp_path, out=tmp_path / "whole", styles="demo,blind"))
    n_batches = 10
    for kill_at in (0, 1, 5, n_batches - 1):
        folder = tmp_path / f"killed-{kill_at}"
        program = (
            "import sys\n"
            "from pathlib import Path\n"
            "from tests.runs import settings\n"
            "from vipbench.run.loop import run\n"
            "run(settings(Path(sys.argv[1]), out=Path(sys.argv[2]), styles='demo,blind'))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), str(folder)],
            cwd=Path(__file__).parent.parent.parent,
            env=os.environ | {KILL_AT: str(kill_at)},
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        assert not (folder / SUMMARY).exists()
        with pytest.raises(RunError, match="have no answer yet"):
            score(folder)
        results, messages = said(tmp_path, out=folder, styles="demo,blind")
        assert results.n_answered == 40 - 4 * kill_at
        assert messages == [f"{folder}: resuming: {kill_at} of 10 batches already answered"]
        assert files(folder) == files(whole.path)
        assert results.manifest.n_starts == 2
        assert list(folder.parent.glob(".requests*")) == []
        assert [path for path in folder.iterdir() if path.name not in FILES] == []


def test_torn_in_the_middle_of_a_line_the_batch_is_redone(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    folder = tmp_path / "run"
    expected, responses = files(folder), (folder / RESPONSES).read_bytes()
    for share in (0.1, 0.5, 0.93):
        (folder / RESPONSES).write_bytes(responses[: int(len(responses) * share)])
        for name in SCORED:
            (folder / name).unlink()
        manifest = manifests.read(folder)
        manifests.write(folder, manifest.model_copy(update={"finished": None, "files": {}}))
        run(settings(tmp_path))
        assert files(folder) == expected
        assert (folder / RESPONSES).read_bytes() == responses


def test_killed_between_answers_and_scores_nothing_is_asked_again(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    expected = files(tmp_path / "run")
    (tmp_path / "run" / SUMMARY).unlink()
    results = run(settings(tmp_path))
    assert results.n_answered == 0
    assert files(tmp_path / "run") == expected


@pytest.mark.parametrize("kept", [(), (RESPONSES,)])
def test_killed_between_manifest_and_requests_it_goes_on(
    tmp_path: Path, kept: tuple[str, ...]
) -> None:
    make_task(tmp_path)
    run(settings(tmp_path, out=tmp_path / "whole"))
    (tmp_path / "run").mkdir()
    manifest = json.loads((tmp_path / "whole" / MANIFEST).read_text())
    (tmp_path / "run" / MANIFEST).write_text(json.dumps(manifest | {"finished": None, "files": {}}))
    for name in kept:
        (tmp_path / "run" / name).write_text("")
    results, messages = said(tmp_path)
    assert results.n_answered == 20
    assert messages == [f"{tmp_path / 'run'}: resuming: 0 of 5 batches already answered"]
    assert files(tmp_path / "run") == files(tmp_path / "whole")


def test_a_finished_run_is_told_again_without_a_model(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    again, messages = said(tmp_path)
    assert (again.n_answered, again.rows) == (0, first.rows)
    assert "was already finished" in messages[0]
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == before


def test_fresh_asks_again_and_leaves_other_files_alone(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = run(settings(tmp_path))
    (first.path / "notes.txt").write_text("mine")
    expected = files(first.path)
    again = run(settings(tmp_path, fresh=True))
    assert again.n_answered == 20
    assert files(first.path) == expected
    assert (first.path / "notes.txt").read_text() == "mine"
    other = run(settings(tmp_path, fresh=True, seed=5))
    assert other.manifest.identity.seed == 5


def test_a_run_keeps_the_batches_of_its_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        run(settings(tmp_path))
    monkeypatch.delenv(INTERRUPT_AT)
    results, messages = said(tmp_path, batch_size=7)
    assert any(
        "keeps the batches of 4 requests of its first start, not 7" in each for each in messages
    )
    assert results.manifest.batch_size == 4
    batches = [
        line.batch for line in answers_file.read_responses(results.path / RESPONSES).values()
    ]
    assert batches == [batch for batch in range(5) for _ in range(4)]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"seed": 1}, "seed: 0 → 1"),
        ({"limit": 5}, "limit: none → 5"),
        ({"styles": "demo,none"}, "style none of own: in one of them only"),
        ({"fit": "crop"}, "fit of own: pad → crop"),
        ({"runner": "constant"}, "runner: tests.runs:Brightness → constant"),
        ({"model": "another"}, "; weights: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_run_in_the_same_folder_is_refused(
    tmp_path: Path, fields: dict[str, object], shown: str
) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    expected = files(tmp_path / "run")
    for task in (run, dry_run):
        with pytest.raises(RunError, match="holds another run") as caught:
            task(settings(tmp_path, **fields))
        assert shown in str(caught.value)
    assert files(tmp_path / "run") == expected


def test_other_data_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    Image.new("RGB", (48, 32), (1, 2, 3)).save(tmp_path / "0.png")
    with pytest.raises(RunError, match=r"requests of own: \w{8} → \w{8}"):
        run(settings(tmp_path))


def test_answers_of_nobody_knows_what_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    run(settings(tmp_path))
    (tmp_path / "run" / MANIFEST).unlink()
    with pytest.raises(RunError, match=r"without manifest\.json"):
        run(settings(tmp_path))
    assert run(settings(tmp_path, fresh=True)).n_answered == 20


def test_a_budget_that_does_not_fit_into_memory_is_planned_anew(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=10)
    expected = run(with_model(tmp_path, checkpoint, batch_size="auto", out=tmp_path / "whole"))

    def settings_of(runner: Runner, name: str) -> RunnerSettings:
        return contract.settings_of(runner, name).model_copy(update={"token_budget": 640})

    monkeypatch.setattr("vipbench.run.ask.settings_of", settings_of)  # as a runner on a GPU tells
    messages: list[str] = []
    small = run(
        with_model(tmp_path, checkpoint, batch_size="auto"), console=Console(messages.append)
    )
    assert any(
        "batches of 2,048 tokens do not fit into memory · using 640 tokens instead" in m
        for m in messages
    )
    assert small.manifest.token_budget == 640
    assert small.manifest.n_batches > expected.manifest.n_batches
    assert small.manifest.plan_digest != expected.manifest.plan_digest
    assert files(small.path) == files(expected.path)


def test_other_weights_or_settings_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    make_task(tmp_path, n=2)
    run(with_model(tmp_path, checkpoint))
    with pytest.raises(RunError, match=r"prompt format: hf → llava_v1"):
        run(with_model(tmp_path, checkpoint, prompt_format="llava_v1"))
    with pytest.raises(RunError, match=r"dtype: float32 → bfloat16"):
        run(with_model(tmp_path, checkpoint, dtype="bf16"))
    from safetensors.torch import load_file, save_file

    other = tmp_path / "tiny-vip"
    other.mkdir()
    for path in checkpoint.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    weights = load_file(other / "model.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] + 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"weights: \w{8} → \w{8}"):
        run(with_model(tmp_path, other))
