"""How far runs have come, and which of several are finished."""

import os
from pathlib import Path

import pytest

from tests.runs import make_task, settings
from tests.small_runs import line, manifest, save, task
from vipbench.errors import RunError
from vipbench.run.loop import run
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import IMPORTED, Manifest
from vipbench.runfolder.progress import (
    command,
    finished_runs,
    last_change,
    progress,
    states,
    why_left_out,
)
from vipbench.runfolder.shard import Shard


def unfinish(folder: Path, n_answered: int) -> Path:
    """Take a run back to where it was after some answers."""
    made = manifests.read(folder).model_copy(update={"finished": None})
    for name in (SCORES, SUMMARY):
        (folder / name).unlink()
    lines = (folder / RESPONSES).read_text().splitlines(keepends=True)
    (folder / RESPONSES).write_text("".join(lines[:n_answered]))
    manifests.write(folder, bound.without(made, (RESPONSES, SCORES, SUMMARY)))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a run that stopped after 12 of its 20 answers."""
    place = tmp_path_factory.mktemp("progress")
    return unfinish(run(settings(make_task(place), limit=20)).path, 12)


def test_how_far_a_run_has_come(folder: Path, tmp_path: Path) -> None:
    made = manifests.read(folder)
    known = progress(folder, made)
    assert known == (12, 20, False)
    assert states(made, known, is_subset=True) == ["unfinished 12/20", "subset"]
    done = save(tmp_path / "done", manifest({"own": task(1)}), [line("1")])
    assert progress(done, manifests.read(done)).is_finished
    merged = made.model_copy(update={"n_shards": 4})
    ended = known._replace(is_finished=True)
    assert states(merged, ended, is_subset=False) == ["finished", "4 shards"]
    shard = made.model_copy(update={"shard": Shard(index=2, count=3)})
    assert states(shard, known, is_subset=False) == ["shard 2/3", "unfinished, 12 answered"]


def test_the_last_change_is_that_of_an_extension_or_of_the_last_answer(folder: Path) -> None:
    made = manifests.read(folder)
    os.utime(folder / RESPONSES, (0, 1_900_000_000))
    assert last_change(folder, made) == "2030-03-17T17:46:40+00:00"
    day = "2031-01-0{}T00:00:00+00:00".format
    ended = made.model_copy(update={"started": day(1), "finished": day(2)})
    assert last_change(folder, ended) == day(2)
    segment = ended.all_segments[0].model_copy(update={"started": day(3), "finished": None})
    extended = ended.model_copy(update={"segments": (*ended.all_segments, segment)})
    assert last_change(folder, extended) == day(3)
    (folder / RESPONSES).rename(folder / "elsewhere")
    assert last_change(folder, made) == made.started
    (folder / "elsewhere").rename(folder / RESPONSES)


def test_what_is_unfinished_is_left_out_with_the_command_that_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    done = save(tmp_path / "done", manifest({"own": task(1)}), [line("1")])
    (seeds := tmp_path / "x-3-seeds.json").write_text("[]")
    said: list[str] = []
    assert finished_runs([folder, done, done, seeds], said.append) == [done]
    unfinished, table = said
    assert f"{folder}: left out: is unfinished, 12 of 20 requests are answered · " in unfinished
    assert f"--limit 20 … -o {folder}`" in unfinished
    assert table == f"{seeds}: left out: is the table of several seeds, and no run folder"
    with pytest.raises(RunError, match=r"no finished run is left · expected at least one · "):
        finished_runs([folder], said.append)


def test_a_shard_is_left_out_and_merged(folder: Path) -> None:
    shard = manifests.read(folder).model_copy(update={"shard": Shard(index=1, count=2)})
    said = why_left_out(folder, shard)
    assert said is not None
    assert "is shard 1/2 of a run" in said
    assert "`vipbench merge SHARD... -o RUN`" in said


def test_what_is_no_run_is_an_error_that_names_the_nearest_run_inside(folder: Path) -> None:
    with pytest.raises(RunError, match=rf": holds no run · .* · did you mean {folder}\?"):
        finished_runs([folder.parent], lambda _: None)
    with pytest.raises(RunError, match=r"nothing: no such folder · expected the folder of a run$"):
        finished_runs([folder / "nothing"], lambda _: None)


@pytest.mark.parametrize(
    ("changes", "settings_", "words"),
    [
        ({}, {"model_path": "/a b/c"}, "run --runner vipllava --model '/a b/c' --tasks own"),
        ({"suite": "demo", "seed": 3}, {}, "--model vip --suite demo --tasks own --styles demo"),
        ({"runner": IMPORTED}, {}, "vipbench import own=FILE … -o run"),
    ],
)
def test_the_command_is_what_the_manifest_tells(
    changes: dict[str, object], settings_: dict[str, object], words: str
) -> None:
    made: Manifest = manifest({"own": task(1)})
    identity = made.identity.model_copy(update=changes)
    text = command(Path("run"), made.model_copy(update={"identity": identity, **settings_}))
    assert words in text
    assert text.endswith(" … -o run")


def test_an_adapter_is_named_as_one() -> None:
    made = manifest({"own": task(1)}, settings={"adapter": 64 * "a"})
    text = command(Path("run"), made.model_copy(update={"model_path": "/lora"}))
    assert "--adapter /lora" in text
    assert "--model" not in text
