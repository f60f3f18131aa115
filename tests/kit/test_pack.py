"""What an archive holds, and what it does not."""

import json
import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from tests.kit.made import content, settings, small_kit
from tests.run.asking import spoil
from tests.runs import make_task
from vipbench.kit import pack
from vipbench.kit.make import Kit, make_kit
from vipbench.kit.members import (
    CONTENTS,
    MODE,
    RUN_ANSWERS,
    RUN_JUDGE,
    RUN_MANIFEST,
    RUN_SCORES,
    TIME,
    Contents,
    PackedAnswer,
)
from vipbench.kit.verify import verify
from vipbench.runfolder.folder import JUDGE, REQUESTS, SCORES
from vipbench.schema import Trial


def texts_of(run: Path) -> set[str]:
    """Return all that was written to the model."""
    trials = map(Trial.model_validate_json, (run / REQUESTS).read_text("utf-8").splitlines())
    return {turn for trial in trials if trial.request for turn in trial.request.turns}


def test_nothing_of_the_machine_and_no_question_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "alice"
    work = home / "work"
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "alice")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-gpu-7")
    monkeypatch.chdir(work)
    make_task(work, n=10)
    spoil(work, 3)  # an error, whose words name the file
    asked = settings(work, max_errors=1.0, n_certificate=1)
    made = make_kit(asked)
    everything = b"".join(content(made.archive).values()) + made.submission.read_bytes()
    for private in (str(tmp_path), str(work), str(home), "alice", "lab-gpu-7"):
        assert private.encode() not in everything
        assert private.encode() not in made.archive.read_bytes()
    texts = texts_of(work / "kit" / "run")
    assert len(texts) == 10
    assert not [text for text in texts if text.encode() in everything]
    assert b"What is" not in everything
    assert verify(made.archive).confirmed


def test_the_embedded_checkpoints_archive_holds_no_path_and_no_question(whole: Kit) -> None:
    everything = b"".join(content(whole.archive).values())
    folder = whole.archive.parent
    private = {str(folder.parent), str(Path.cwd()), str(Path.home()), socket.gethostname()}
    words = everything.replace(b'"', b" ").replace(b"/", b" ").split()
    assert not [path for path in private if len(path) > 5 and path.encode() in everything]
    assert socket.gethostname().encode() not in words
    texts = {text.split("\n")[0] for text in texts_of(folder / "run")}
    assert len(texts) > 4
    assert not [text for text in texts if text.encode() in everything]


def test_members_stand_in_one_order_at_one_time(small: Kit) -> None:
    with zipfile.ZipFile(small.archive) as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == [
        CONTENTS,
        RUN_MANIFEST,
        RUN_ANSWERS,
        RUN_SCORES,
        "run/summary.json",
        "reproduce.json",
    ]
    assert {info.date_time for info in infos} == {TIME}
    assert {info.external_attr for info in infos} == {MODE}


def test_contents_bind_every_member_and_the_run(small: Kit) -> None:
    contents = Contents.model_validate_json(content(small.archive)[CONTENTS])
    assert contents.members.keys() == content(small.archive).keys() - {CONTENTS}
    assert contents.digest == contents.computed_digest() == small.digest
    manifest = json.loads((small.archive.parent / "run" / "manifest.json").read_text("utf-8"))
    assert {name: entry.sha256 for name, entry in contents.run_files.items()} == {
        name: entry["sha256"] for name, entry in manifest["files"].items()
    }
    assert contents.plan.tasks == ("own",)


def test_answers_have_what_scoring_needs(small: Kit) -> None:
    members = content(small.archive)
    lines = [PackedAnswer.model_validate_json(line) for line in members[RUN_ANSWERS].splitlines()]
    assert {line.options for line in lines} == {("A", "B", "C")}
    assert all(line.trial.request is None for line in lines)
    assert all(line.answer is not None and line.answer.key == line.key for line in lines)
    assert members[RUN_SCORES] == (small.archive.parent / "run" / SCORES).read_bytes()


def test_a_judges_report_goes_without_its_address(tmp_path: Path) -> None:
    made = small_kit(tmp_path)
    judge = {"url": "http://lab:8000", "prompt_source": "/x/y.py", "ledger": "/x", "judge": None}
    (tmp_path / "kit" / "run" / JUDGE).write_text(json.dumps(judge), encoding="utf-8")
    stage = tmp_path / "stage"
    from vipbench.kit.scrub import Scrubber

    pack.write_run(tmp_path / "kit" / "run", stage, Scrubber.of_machine())
    packed = json.loads((stage / RUN_JUDGE).read_text(encoding="utf-8"))
    assert packed == judge | {"url": "", "prompt_source": "", "ledger": None}
    assert made.archive.exists()


def test_a_member_that_is_too_large_is_refused(
    small: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vipbench.errors import RunError

    monkeypatch.setattr(pack, "LARGEST", 10)
    stage = shutil.copytree(small.archive.parent / "archive", tmp_path / "archive")
    with pytest.raises(RunError, match="expected at most 10 · pack fewer --tasks"):
        pack.zipped(stage, tmp_path / "kit.zip", (CONTENTS,))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive"]
