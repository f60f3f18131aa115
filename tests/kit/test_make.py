"""A kit from its first start to its archive, and killed between any two writes."""

import json
from pathlib import Path

import pytest

from tests.deaths import deaths
from tests.kit.made import ASKED, content, settings, small_kit
from tests.runs import INTERRUPT_AT, make_task
from vipbench.console import Console
from vipbench.errors import RunError, RunInterrupted
from vipbench.kit import make, plan
from vipbench.kit.make import Kit, make_kit
from vipbench.kit.members import BENCH, CERTIFICATE, CONTENTS, MEMBERS, RUN_JUDGE
from vipbench.kit.verify import verify
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import RESPONSES


def answered(folder: Path) -> set[str]:
    path = folder / "kit" / "run" / RESPONSES
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return {json.loads(line)["key"] for line in lines if line.endswith(b"\n")}


def test_the_embedded_checkpoint_makes_a_whole_kit(whole: Kit) -> None:
    assert whole.missing == {}
    assert set(content(whole.archive)) == {CONTENTS, *MEMBERS} - {RUN_JUDGE}
    found = verify(whole.archive)
    assert found.contents.digest == whole.digest
    assert found.about.startswith("vipllava-demo, cpu, vipbench ")
    assert any(line.startswith("certificate: of the same settings") for line in found.confirmed)


def test_a_kit_that_dies_again_and_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=6)
    ASKED.clear()
    n_deaths, before = 0, set[str]()
    for _ in deaths(monkeypatch, lambda: make_kit(settings(tmp_path))):
        assert not before & set(ASKED)  # what was answered is not asked again
        ASKED.clear()
        before = answered(tmp_path)
        n_deaths += 1
    assert n_deaths > 12
    assert len(before) == 6
    assert verify(tmp_path / "kit" / "kit.zip").confirmed


def test_the_same_command_packs_the_same_archive_and_asks_nothing(tmp_path: Path) -> None:
    first = small_kit(tmp_path)
    packed = first.archive.read_bytes()
    ASKED.clear()
    again = make_kit(settings(tmp_path))
    assert (ASKED, again.digest) == ([], first.digest)
    assert again.archive.read_bytes() == packed


def test_ctrl_c_keeps_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(tmp_path, n=12)
    monkeypatch.setenv(INTERRUPT_AT, "2")
    with pytest.raises(RunInterrupted, match="what is answered is kept"):
        make_kit(settings(tmp_path))
    assert len(answered(tmp_path)) == 8
    monkeypatch.delenv(INTERRUPT_AT)
    ASKED.clear()
    make_kit(settings(tmp_path))
    assert len(ASKED) == 4


def test_a_certificate_that_is_interrupted_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path, n=4)

    def interrupted(*_: object) -> None:
        raise RunInterrupted("certify: interrupted")

    monkeypatch.setattr(make, "_certify", interrupted)
    with pytest.raises(RunInterrupted):
        make_kit(settings(tmp_path, n_certificate=2))
    assert not (tmp_path / "kit" / "kit.zip").exists()


def test_what_cannot_be_made_is_left_out_and_said(tmp_path: Path) -> None:
    make_task(tmp_path, n=4)
    said: list[str] = []
    asked = settings(tmp_path, n_certificate=2, n_bench=2)
    made = make_kit(asked, Console(said.append))
    assert set(made.missing) == {CERTIFICATE, BENCH}
    assert "has no rounding to certify" in made.missing[CERTIFICATE]
    assert "is not measured · expected vipllava" in made.missing[BENCH]
    assert any("certificate.json: cannot be made, and is left out" in line for line in said)
    assert "bench.json: is not there: " in "\n".join(verify(made.archive).unchecked)


def test_fresh_begins_again_and_leaves_files_of_others(tmp_path: Path) -> None:
    small_kit(tmp_path)
    (tmp_path / "kit" / "mine.txt").write_text("mine")
    ASKED.clear()
    make_kit(settings(tmp_path, fresh=True, limit=2))
    assert len(ASKED) == 2
    assert (tmp_path / "kit" / "mine.txt").read_text() == "mine"


def test_two_commands_do_not_share_a_folder(tmp_path: Path) -> None:
    from vipbench import files

    make_task(tmp_path)
    with files.locked(tmp_path / "kit"), pytest.raises(RunError, match="another process"):
        make_kit(settings(tmp_path))


@pytest.mark.parametrize(("n", "tasks"), [(30, ("own",)), (4, ("own", "more"))])
def test_what_the_probe_has_asked_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, tasks: tuple[str, ...]
) -> None:
    for seed, task in enumerate(tasks):
        make_task(tmp_path, task, n=n, seed=seed)
    asked = settings(tmp_path, tasks=tasks, hours=100)
    ASKED.clear()
    monkeypatch.setattr(make, "run", interrupted_at_once)
    with pytest.raises(RunInterrupted):
        make_kit(asked)
    monkeypatch.undo()
    kit = make_kit(asked)
    assert len(ASKED) == len(set(ASKED)) == n * len(tasks)
    manifest = manifests.read(tmp_path / "kit" / "run")
    assert (manifest.identity.limit, manifest.n_requests) == (None, n * len(tasks))
    assert verify(kit.archive).confirmed
    assert make_kit(asked).digest == kit.digest
    assert len(ASKED) == n * len(tasks)


def test_samples_that_the_probe_has_asked_are_the_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "choose", lambda measured, _: plan.Choice(tuple(measured), 3))
    make_task(tmp_path, n=30)
    ASKED.clear()
    kit = make_kit(settings(tmp_path, hours=1))
    assert len(ASKED) == len(set(ASKED)) == plan.PROBE
    assert verify(kit.archive).contents.plan.limit == plan.PROBE


def interrupted_at_once(*_: object) -> None:
    raise RunInterrupted("run: interrupted")
