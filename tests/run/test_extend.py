"""A finished run that grows: it ends as if all had been asked at once, and asks nothing twice."""

import json
from pathlib import Path

import pytest

from tests.run.asking import SCORED, files
from tests.runs import INTERRUPT_AT, make_joint, make_task, settings
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted
from vipbench.run.defaults import with_defaults
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.score import Results, score
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.shard import Shard


def asked(folder: Path, **fields: object) -> Results:
    """Run as the commands do, which fill in what the user leaves out."""
    return run(with_defaults(settings(folder, **fields)))


def extended(folder: Path, **fields: object) -> Results:
    return asked(folder, extend=True, **({"tasks": ()} | fields))


def without_segments(folder: Path) -> dict[str, bytes]:
    """Return the files of a run, its requests without the segments that ask them."""
    lines = (folder / REQUESTS).read_text().splitlines()
    plain = [{k: v for k, v in json.loads(line).items() if k != "segment"} for line in lines]
    return files(folder) | {REQUESTS: "".join(json.dumps(each) for each in plain).encode()}


def test_styles_tasks_and_samples_are_added_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    make_joint(tmp_path)
    folder = tmp_path / "run"
    asked(tmp_path, tasks=("first",), styles="demo", limit=5)
    before = (folder / RESPONSES).read_bytes()
    assert extended(tmp_path, styles="blind").n_answered == 5
    assert extended(tmp_path, tasks=("both",)).n_answered == 2 * 5
    assert extended(tmp_path, limit=8).n_answered == 4 * 3
    assert extended(tmp_path, limit="all").n_answered == 4 * 4
    assert (folder / RESPONSES).read_bytes().startswith(before)
    whole = asked(
        tmp_path, tasks=("first", "second", "both"), styles="demo;blind", out=tmp_path / "whole"
    )
    assert without_segments(folder) == without_segments(whole.path)
    manifest = open_run(folder)
    assert manifests.identity_digest(manifest.identity) == manifests.identity_digest(
        whole.manifest.identity
    )
    assert [segment.added for segment in manifest.segments] == [
        (), ("styles",), ("tasks",), ("samples",), ("samples",),
    ]  # fmt: skip
    assert [segment.n_requests for segment in manifest.segments] == [5, 5, 10, 12, 16]
    assert [segment.first_batch for segment in manifest.segments] == [0, 2, 4, 7, 10]
    assert all(segment.finished for segment in manifest.segments)
    batches = [json.loads(line)["batch"] for line in (folder / RESPONSES).read_text().splitlines()]
    assert sorted(set(batches)) == list(range(10 + 4))
    assert manifest.tasks == whole.manifest.tasks
    kept = files(folder)
    score(folder)
    assert files(folder) == kept


def test_its_name_stays_and_each_command_that_it_came_from_means_it(tmp_path: Path) -> None:
    make_task(tmp_path)
    first = asked(tmp_path, styles="demo")
    grown = extended(tmp_path, styles="blind")
    assert grown.manifest.run_id == first.manifest.run_id
    messages: list[str] = []
    again = run(with_defaults(settings(tmp_path, styles="demo")), Console(messages.append))
    assert again.n_answered == 0
    assert again.rows == grown.rows
    assert messages == [
        f"{tmp_path / 'run'}: was already finished, and holds more · nothing is asked again"
    ]
    for same in (extended(tmp_path, styles="blind"), asked(tmp_path, styles="demo;blind")):
        assert same.n_answered == 0
        assert len(same.manifest.segments) == 2


@pytest.mark.parametrize("at", [0, 1])
def test_stopped_on_the_way_it_goes_on_with_the_same_command(
    tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo", limit=7)
    monkeypatch.setenv(INTERRUPT_AT, str(at))
    with pytest.raises(RunInterrupted):
        extended(tmp_path, styles="blind", limit=12)
    with pytest.raises(RunError, match="is being extended · give the command that extends it"):
        asked(tmp_path, styles="demo", limit=7)
    with pytest.raises(RunError, match="have no answer yet"):
        score(tmp_path / "run")
    with pytest.raises(RunError, match="is not finished · give the command that began it"):
        extended(tmp_path, styles="none")
    monkeypatch.delenv(INTERRUPT_AT)
    results = extended(tmp_path, styles="blind", limit=12)
    assert results.n_answered == 5 + 12 - 4 * at
    assert len(results.manifest.segments) == 2
    whole = asked(tmp_path, styles="demo,blind", limit=12, out=tmp_path / "whole")
    assert without_segments(results.path) == without_segments(whole.path)


def test_the_bar_counts_what_is_asked_now_and_what_was_before_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo", limit=7)
    said: list[str] = []
    more = with_defaults(settings(tmp_path, extend=True, tasks=(), styles="blind", limit=12))
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        run(more, Console(said.append, shows_bars=True))
    assert any(each.endswith("17 requests more · 7 answered before") for each in said)
    assert "answering: 4 of 17 samples (23 %)" in capfd.readouterr().err
    monkeypatch.delenv(INTERRUPT_AT)
    run(more, Console(said.append, shows_bars=True))
    assert "answering: 17 of 17 samples (100 %)" in capfd.readouterr().err


def test_killed_before_its_requests_are_there_it_goes_on(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo")
    requests = (tmp_path / "run" / REQUESTS).read_bytes()
    extended(tmp_path, styles="blind")
    folder = tmp_path / "run"
    kept, manifest = files(folder), manifests.read(folder)
    *first, last = manifest.segments
    lost = {"finished": None, "segments": (*first, last.model_copy(update={"finished": None}))}
    manifests.write(folder, manifest.model_copy(update=lost | {"files": {}}))
    (folder / REQUESTS).write_bytes(requests)
    lines = (folder / RESPONSES).read_bytes().splitlines(keepends=True)
    (folder / RESPONSES).write_bytes(b"".join(lines[:20]))
    for name in SCORED:
        (folder / name).unlink()
    assert extended(tmp_path, styles="blind").n_answered == 20
    assert files(folder) == kept


def test_a_dry_run_tells_what_is_left_and_writes_nothing(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo", limit=7)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    fields = {"extend": True, "tasks": (), "styles": "blind", "limit": 12}
    plan = dry_run(with_defaults(settings(tmp_path, **fields)))
    assert (plan.n_left, sum(plan.counts.values())) == (5 + 12, 24)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == kept


def test_ids_are_added_to_ids(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo", ids=("q3", "q1"))
    results = extended(tmp_path, ids=("q2",))
    assert results.n_answered == 1
    assert results.manifest.identity.ids == ("q1", "q2", "q3")


def test_another_metric_is_reported_from_then_on(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo")
    results = extended(tmp_path, styles="blind", metrics=("text_match",))
    shown = [(row.style, row.metric) for row in results.rows if row.group == "all"]
    assert len(shown) == 4
    assert {("demo", "text_match"), ("blind", "text_match")} < set(shown)


def test_what_would_change_the_run_is_refused_and_named(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo", limit=7)
    kept = (tmp_path / "run" / MANIFEST).read_bytes()
    for fields, message in (
        ({"seed": 3}, "changes seed: 0 → 3 · expected further styles, tasks or samples"),
        ({"limit": 5}, "--limit 5 with --extend: .* asks 7 samples .* expected more, or --limit"),
        ({"ids": ("q1",)}, "--ids q1 with --extend: .* asks 7 samples by --limit"),
        ({"suite": "demo"}, "--suite demo with --extend: .* a run of tasks without a suite"),
        ({"fresh": True}, "--extend with --fresh: cannot be combined"),
        ({"out": None}, "--extend: no -o · expected the folder of a finished run"),
        ({"out": tmp_path / "no"}, "--extend: -o .*no, which holds no run"),
    ):
        with pytest.raises(RunError, match=message):
            extended(tmp_path, **({"styles": "blind"} | fields))
        assert (tmp_path / "run" / MANIFEST).read_bytes() == kept
    asked(tmp_path, styles="demo", out=tmp_path / "all")
    with pytest.raises(RunError, match=r"--limit 5 with --extend: .* asks all samples"):
        extended(tmp_path, styles="blind", limit=5, out=tmp_path / "all")


def test_data_that_have_changed_are_named(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo")
    path = tmp_path / "own.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"answer": "A"', '"answer": "B"', 1))
    with pytest.raises(RunError, match=r"own demo q\d+ was asked or scored otherwise before"):
        extended(tmp_path, styles="blind")
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))
    with pytest.raises(RunError, match="own demo q19 was asked before and is not now"):
        extended(tmp_path, styles="blind")


def test_a_shard_is_merged_first(tmp_path: Path) -> None:
    make_task(tmp_path)
    done = asked(tmp_path, styles="demo", shard=Shard(index=1, count=2), out=tmp_path / "shards")
    with pytest.raises(RunError, match=r"is shard 1/2 of a run · expected a whole run"):
        extended(tmp_path, styles="blind", out=done.path)
    with pytest.raises(RunError, match=r"--extend with --shard 1/2"):
        extended(tmp_path, styles="blind", out=done.path, shard=Shard(index=1, count=2))


def test_segments_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    asked(tmp_path, styles="demo")
    extended(tmp_path, styles="blind")
    path = tmp_path / "run" / MANIFEST
    content = json.loads(path.read_text())
    content["segments"][-1]["identity"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match="segments: the last one has not the identity of the run"):
        manifests.read(path.parent)
