import json
import shutil
from pathlib import Path

import pytest

from tests.runs import FATES, INTERRUPT_AT, bind_again, make_joint, make_task, settings
from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.errors import RunError, RunInterrupted, TooManyErrors
from vipbench.files import read_lines
from vipbench.judge.settings import JUDGE, JudgeSettings
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.merge import merge
from vipbench.run.score import score
from vipbench.run.seeds import run_seeds
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine
from vipbench.runfolder.name_file import Name, read_name, write_name
from vipbench.runfolder.shard import Shard

ALL = (REQUESTS, RESPONSES, SCORES, SUMMARY)


def files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ALL}


def ask(folder: Path, index: int, count: int, **fields: object) -> Path:
    """Run a shard, and return its folder."""
    given: dict[str, object] = {"shard": Shard(index=index, count=count), "out": folder / "out"}
    return run(settings(folder, **(given | fields))).path


def both(folder: Path, **fields: object) -> list[Path]:
    return [ask(folder, index, 2, **fields) for index in (1, 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_merged_shards_are_the_run_of_one_machine(tmp_path: Path, count: int) -> None:
    make_joint(tmp_path)
    fields: dict[str, object] = {"tasks": ("both",), "styles": "demo,blind"}
    whole = run(settings(tmp_path, **fields))
    shards = [ask(tmp_path, index + 1, count, **fields) for index in range(count)]
    assert [path.name for path in shards] == [f"shard-{i + 1}-of-{count}" for i in range(count)]
    write_name(shards[-1], "expA", 600)
    merged = merge(shards[::-1], tmp_path / "merged")
    assert read_name(merged.path) == Name(name="expA", step=600)
    assert files(merged.path) == files(whole.path)
    assert merged.rows == whole.rows
    manifest = manifests.read(merged.path)
    assert manifest == merged.manifest
    assert manifest.identity == whole.manifest.identity
    assert (manifest.run_id, manifest.shard, manifest.n_shards) == (
        *(whole.manifest.run_id, None),
        count,
    )
    assert manifest.finished is not None
    assert manifest.times.n_answered == whole.manifest.times.n_answered
    # It is an ordinary run: the command of one is done at once.
    again = run(settings(tmp_path, out=merged.path, **fields))
    assert again.n_answered == 0
    assert score(merged.path).rows == whole.rows


def test_shards_of_version_1_become_a_run_of_version_2(tmp_path: Path) -> None:
    make_task(tmp_path)
    shards = both(tmp_path)
    expected = files(merge(shards, tmp_path / "new").path)
    for folder in shards:
        manifest = manifests.read(folder)
        manifests.write(folder, manifest.model_copy(update={"format": 1, "files": {}}))
    before = [(folder / "manifest.json").read_bytes() for folder in shards]
    merged = merge(shards, tmp_path / "merged")
    assert files(merged.path) == expected
    assert merged.manifest.format == 2
    assert merged.manifest.files.keys() == set(ALL)
    assert [(folder / "manifest.json").read_bytes() for folder in shards] == before


def test_a_shard_answers_its_batches_and_has_no_scores(tmp_path: Path) -> None:
    make_task(tmp_path)
    plan = dry_run(settings(tmp_path, shard=Shard(index=2, count=2), out=tmp_path / "out"))
    folder = ask(tmp_path, 2, 2)
    lines = list(read_lines(folder / RESPONSES, ResponseLine))
    assert sorted({line.batch for line in lines}) == [1, 3]
    assert (plan.path, plan.n_left) == (folder, len(lines))
    assert folder == tmp_path / "out" / "shard-2-of-2"
    assert not (folder / SCORES).exists()
    assert not (folder / SUMMARY).exists()
    manifest = manifests.read(folder)
    assert str(manifest.shard) == "2/2"
    assert manifest.finished is not None
    with pytest.raises(RunError, match=r"is shard 2/2 of a run, and has no scores · .*merge"):
        score(folder)
    messages: list[str] = []
    shard = Shard(index=2, count=2)
    again = run(
        settings(tmp_path, shard=shard, out=tmp_path / "out"), console=Console(messages.append)
    )
    assert again.n_answered == 0
    assert "was already finished" in messages[0]


def test_a_shard_without_out_is_named_by_what_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks", n=8)
    folder = ask(tmp_path / "tasks", 1, 2, out=None)
    manifest = manifests.read(folder)
    assert folder == Path("results/runs") / f"{manifest.run_id}-shard-1-of-2"


def test_a_stopped_shard_goes_on_and_is_not_merged_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path)
    whole = run(settings(tmp_path))
    second = ask(tmp_path, 2, 2)
    monkeypatch.setenv(INTERRUPT_AT, "1")
    with pytest.raises(RunInterrupted):
        ask(tmp_path, 1, 2)
    monkeypatch.delenv(INTERRUPT_AT)
    first = second.with_name("shard-1-of-2")
    with pytest.raises(
        RunError, match=r"3 of 5 batches have no answers \(0, 2, 4\): shard 1/2 is unfinished \("
    ):
        merge([first, second], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    messages: list[str] = []
    shard = Shard(index=1, count=2)
    result = run(
        settings(tmp_path, shard=shard, out=tmp_path / "out"), console=Console(messages.append)
    )
    assert messages == [f"{first}: resuming: 1 of 3 batches already answered"]
    assert result.n_answered == 8
    assert files(merge([first, second], tmp_path / "merged").path) == files(whole.path)


def test_workers_in_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fates").mkdir()
    monkeypatch.setenv(FATES, str(tmp_path / "fates"))
    make_task(tmp_path)
    fields: dict[str, object] = {"runner": "tests.runs:Fated"}
    whole = run(settings(tmp_path, **fields))
    first, second = ask(tmp_path, 1, 2, workers=2, **fields), ask(tmp_path, 2, 2, **fields)
    merged = merge([first, second], tmp_path / "merged")
    assert files(merged.path) == files(whole.path)
    assert merged.manifest.workers == 3


def test_a_shard_that_was_run_twice_is_merged_once(tmp_path: Path) -> None:
    make_task(tmp_path)
    shards = both(tmp_path)
    again = shutil.copytree(shards[0], tmp_path / "again")
    expected = files(merge(shards, tmp_path / "merged").path)
    assert files(merge([*shards, again], tmp_path / "twice").path) == expected
    text = (again / RESPONSES).read_text()
    (again / RESPONSES).write_text(text.replace('"text":"', '"text":"un', 1))
    bind_again(again)
    with pytest.raises(RunError, match=r"again: answers batch 0 differently from .*shard-1-of-2"):
        merge([*shards, again], tmp_path / "differing")
    assert not (tmp_path / "differing").exists()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    make_task(tmp_path)
    shards = [ask(tmp_path, index, 3) for index in (1, 3)]
    with pytest.raises(
        RunError,
        match=r"2 of 5 batches have no answers \(1, 4\): shard 2/3 is not given · run what",
    ):
        merge(shards, tmp_path / "merged")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"seed": 1}, "seed: 0 → 1"),
        ({"batch_size": 5}, "batch size: 4 requests → 5 requests"),
        ({"shard": Shard(index=2, count=3)}, "shards: 2 → 3"),
        ({"metrics": ("stated",)}, "metrics"),
        ({"limit": 9}, "limit: none → 9"),
    ],
    ids=str,
)
def test_shards_of_different_runs_are_refused(
    tmp_path: Path, fields: dict[str, object], fault: str
) -> None:
    make_task(tmp_path)
    first = ask(tmp_path, 1, 2)
    other = ask(tmp_path, 2, 2, **(fields | {"out": tmp_path / "other"}))
    with pytest.raises(RunError, match="is a shard of another run than") as end:
        merge([first, other], tmp_path / "merged")
    assert fault in str(end.value)
    assert "\n" not in str(end.value)


def test_a_whole_run_is_no_shard(tmp_path: Path) -> None:
    whole = run(settings(make_task(tmp_path))).path
    with pytest.raises(RunError, match="is a whole run · expected"):
        merge([whole], tmp_path / "merged")
    shard = Shard(index=1, count=2)
    shutil.move(whole, tmp_path / "out" / shard.folder)
    with pytest.raises(RunError, match=r"holds a whole run, not shard 1/2 · give another -o"):
        ask(tmp_path, 1, 2)


def test_other_requests_than_those_that_were_answered_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    first, second = both(tmp_path)
    lines = (first / REQUESTS).read_text().splitlines(keepends=True)
    (first / REQUESTS).write_text("".join(lines[1:]))
    bind_again(first)
    with pytest.raises(RunError, match="which this run does not ask in batch"):
        merge([first, second], tmp_path / "merged")


def test_answers_in_other_batches_than_those_that_were_planned_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path)
    first, second = both(tmp_path)
    lines = (first / RESPONSES).read_text().splitlines(keepends=True)
    (first / RESPONSES).write_text("".join([lines[1], lines[0], *lines[2:]]))
    bind_again(first)
    with pytest.raises(RunError, match="the answers are not in the batches that were planned"):
        merge([first, second], tmp_path / "merged")


def test_what_is_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    make_task(tmp_path)
    shards = both(tmp_path)
    merged = merge(shards, tmp_path / "out")  # beside its shards
    with pytest.raises(RunError, match=r"holds manifest\.json already · give another -o"):
        merge(shards, tmp_path / "out")
    assert merge(shards, tmp_path / "out", fresh=True).rows == merged.rows


def test_too_many_errors_are_told_after_merging(tmp_path: Path) -> None:
    make_task(tmp_path)
    shards = both(tmp_path)
    for path in shards:
        lines = [json.loads(line) for line in (path / RESPONSES).read_text().splitlines()]
        lines[0] |= {"text": None, "error": "broken", "finish": "error"}
        (path / RESPONSES).write_text("".join(json.dumps(line) + "\n" for line in lines))
        bind_again(path)
    with pytest.raises(TooManyErrors, match="2 of 20 samples failed"):
        merge(shards, tmp_path / "merged")
    row = merge(shards, tmp_path / "merged", fresh=True, max_errors=0.1).rows[0]
    assert (row.n, row.n_errors) == (18, 2)


def test_what_needs_scores_is_refused_for_a_shard(tmp_path: Path) -> None:
    make_task(tmp_path)
    judge = JudgeSettings(endpoint=Endpoint(purpose=JUDGE, url="http://localhost:9", model="any"))
    shard = Shard(index=1, count=2)
    with pytest.raises(RunError, match="--shard 1/2 with --judge-url"):
        ask(tmp_path, 1, 2, judge=judge)
    with pytest.raises(RunError, match="--seeds with --shard 1/2"):
        run_seeds(settings(tmp_path, shard=shard), 2)
