"""Runs, scorings and merges that die between any two writes go on with the same command."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from tests.deaths import deaths
from tests.runs import make_joint, make_task, settings
from vipbench.errors import RunError
from vipbench.report import read_summary
from vipbench.run.loop import run
from vipbench.run.merge import merge
from vipbench.run.score import score
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import IMPORTED
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.shard import Shard

ALL = (REQUESTS, RESPONSES, SCORES, SUMMARY)


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ALL}


def bound_files(folder: Path) -> dict[str, object]:
    """Return what binds the files of a run that has ended, which has to be all of them."""
    manifest = open_run(folder)
    assert manifest.files.keys() == set(ALL)
    assert (manifest.format, manifest.finished is not None) == (2, True)
    return dict(manifest.files)


@pytest.mark.parametrize("what", ["run", "import"])
def test_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    make_task(tmp_path, n=8)
    answers = tmp_path / "answers.jsonl"
    lines = [{"id": f"q{i}", "text": "A"} for i in range(8)]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fields: dict[str, object] = {"metrics": ("text_match",)}
    if what == "import":
        fields = {"answers": {"own": answers}, "runner": IMPORTED, "model": "any"}
    whole = run(settings(tmp_path, out=tmp_path / "whole", **fields))
    expected, entries = files(whole.path), bound_files(whole.path)
    folder = tmp_path / "run"

    def work() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        run(settings(tmp_path, **fields))

    n_deaths = 0
    for _ in deaths(monkeypatch, work):
        run(settings(tmp_path, **fields))
        assert files(folder) == expected
        assert bound_files(folder) == entries
        n_deaths += 1
    assert n_deaths > 12
    assert files(folder) == expected


def test_a_run_that_dies_again_and_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=8)
    whole = run(settings(tmp_path, out=tmp_path / "whole"))
    for _ in deaths(monkeypatch, lambda: run(settings(tmp_path))):
        pass  # each start goes on with what the one before has left
    assert files(tmp_path / "run") == files(whole.path)


def test_a_fresh_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(tmp_path, n=8)
    expected = files(run(settings(tmp_path)).path)
    for _ in deaths(monkeypatch, lambda: run(settings(tmp_path, fresh=True))):
        run(settings(tmp_path, fresh=True))
        assert files(tmp_path / "run") == expected


def test_a_scoring_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_joint(tmp_path, n=6)
    before = run(settings(tmp_path, tasks=("both",))).path
    again = shutil.copytree(before, tmp_path / "again")
    expected = files(score(again, ["text_match"]).path)
    folder = tmp_path / "scored"

    def work() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        score(folder, ["text_match"])

    n_deaths = n_read = 0
    for _ in deaths(monkeypatch, work):
        with contextlib.suppress(RunError):
            open_run(folder)
            n_read += 1
        score(folder, ["text_match"])
        assert files(folder) == expected
        bound_files(folder)
        n_deaths += 1
    assert 0 < n_read < n_deaths - 4  # before anything is replaced, and after all is
    # The command of the run ends the scoring, too.
    for _ in deaths(monkeypatch, work):
        run(settings(tmp_path, tasks=("both",), out=folder))
        open_run(folder)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_merge_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    make_task(tmp_path, n=10)
    whole = run(settings(tmp_path, out=tmp_path / "whole"))
    shards = [
        run(settings(tmp_path, shard=Shard(index=i, count=2), out=tmp_path / "out")).path
        for i in (1, 2)
    ]
    expected = files(merge(shards, tmp_path / "unkilled").path)
    entries = bound_files(tmp_path / "unkilled")
    assert expected == files(whole.path)
    out = tmp_path / "merged"

    def work() -> None:
        shutil.rmtree(out, ignore_errors=True)
        if fresh:
            shutil.copytree(tmp_path / "unkilled", out)
        merge(shards, out, fresh=fresh)

    n_deaths = 0
    for _ in deaths(monkeypatch, work):
        merge(shards, out, fresh=fresh)
        assert files(out) == expected
        assert bound_files(out) == entries
        n_deaths += 1
    assert n_deaths > 10
    for _ in deaths(monkeypatch, work):
        merge(shards, out, fresh=fresh)
        with pytest.raises(RunError, match=r"holds manifest\.json already"):
            merge(shards, out)
        break


def test_what_another_merge_has_left_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=10)
    out = tmp_path / "merged"

    def shards(seed: int) -> list[Path]:
        fields = {"seed": seed, "out": tmp_path / f"seed-{seed}"}
        return [
            run(settings(tmp_path, shard=Shard(index=i, count=2), **fields)).path for i in (1, 2)
        ]

    first, other = shards(0), shards(1)
    for n in deaths(monkeypatch, lambda: merge(first, out)):
        if n >= 2:
            break
    left = (out / "manifest.json").read_bytes()
    with pytest.raises(RunError, match=r"holds manifest\.json already"):
        merge(other, out)
    assert (out / "manifest.json").read_bytes() == left


def test_a_stopped_run_binds_what_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    monkeypatch.setenv("VIPBENCH_TEST_INTERRUPT_AT", "2")
    with pytest.raises(Exception, match="interrupted"):
        run(settings(tmp_path))
    monkeypatch.delenv("VIPBENCH_TEST_INTERRUPT_AT")
    manifest = manifests.read(tmp_path / "run")
    assert manifest.files == {
        name: bound.written(tmp_path / "run" / name) for name in (REQUESTS, RESPONSES)
    }
    path = tmp_path / "run" / RESPONSES
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    with pytest.raises(RunError, match=r"responses\.jsonl: holds .* bytes of the .* has written"):
        run(settings(tmp_path))
    path.write_text(text)
    run(settings(tmp_path))
    assert read_summary(tmp_path / "run")
