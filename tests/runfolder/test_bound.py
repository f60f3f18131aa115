import hashlib
import os
from pathlib import Path

import pytest

from tests.runfolder.made import answer, responses
from tests.small_runs import line, manifest, save, task
from vipbench.errors import RunError
from vipbench.runfolder import bound
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.answers_file import Appending
from vipbench.runfolder.bound import Changed
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.manifest import Manifest, Written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of version 2 with answers and a summary, both bound."""
    made = manifest({"own": task(1)}).model_copy(update={"format": 2})
    save(tmp_path, made, [line("q1")])
    responses(tmp_path)
    manifests.write(tmp_path, bound.bind(tmp_path, made, bound.BOUND))
    return tmp_path


def test_a_file_is_told_by_length_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * bound.BLOCK)
    entry = bound.written(path)
    assert entry == Written(
        bytes=3 * bound.BLOCK, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    digest, n_bytes = bound.hashed(path, bound.BLOCK + 1)
    assert n_bytes == bound.BLOCK + 1
    assert digest.hexdigest() == hashlib.sha256(path.read_bytes()[:n_bytes]).hexdigest()


def test_what_is_there_is_bound(folder: Path) -> None:
    made = bound.read(folder)
    assert list(made.files) == [RESPONSES, SUMMARY]
    (folder / SUMMARY).unlink()
    assert list(bound.bind(folder, made, bound.BOUND).files) == [RESPONSES]
    known = {REQUESTS: Written(bytes=1, sha256="a")}
    assert list(bound.bind(folder, made, (), known).files) == [REQUESTS, RESPONSES, SUMMARY]


def test_answers_may_follow_those_that_are_bound_and_nothing_else(folder: Path) -> None:
    with (folder / RESPONSES).open("a") as file:
        file.write("more")
    bound.read(folder)
    with (folder / SUMMARY).open("a") as file:
        file.write(" ")
    with pytest.raises(Changed, match=r"summary\.json: is not what the run has written"):
        bound.read(folder)


def test_what_is_made_anew_is_not_looked_at(folder: Path) -> None:
    (folder / SUMMARY).write_text("[]")
    with pytest.raises(Changed, match=r"holds 2 bytes of the .*`vipbench score .*` makes it again"):
        bound.read(folder)
    assert bound.read(folder, replaced=(SUMMARY,)).files.keys() == {RESPONSES, SUMMARY}
    (folder / SUMMARY).unlink()
    with pytest.raises(Changed, match="does not exist any more"):
        bound.read(folder)


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / SUMMARY).unlink()
    (folder / SUMMARY).mkdir()
    with pytest.raises(RunError, match="cannot be read"):
        bound.read(folder)
    (folder / SUMMARY).rmdir()
    os.mkfifo(folder / SUMMARY)
    with pytest.raises(RunError, match="not a regular file"):
        bound.read(folder)


def test_an_entry_goes_before_the_file_is_replaced(folder: Path) -> None:
    before = manifests.read(folder)
    left = bound.unbind(folder, before, (SCORES, SUMMARY))
    assert left.files.keys() == {RESPONSES}
    assert manifests.read(folder) == left
    with pytest.raises(RunError, match="is left of a command that was stopped while it scored"):
        bound.read(folder)
    written = (folder / MANIFEST).stat().st_mtime_ns
    assert bound.unbind(folder, left, (SCORES, SUMMARY)) is left
    assert (folder / MANIFEST).stat().st_mtime_ns == written


def test_version_1_binds_nothing_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = manifest({"own": task(1)})
    save(tmp_path, made, [line("q1")])
    assert bound.bind(tmp_path, made, bound.BOUND) is made
    assert bound.read(tmp_path) == made
    assert '"format"' not in (tmp_path / MANIFEST).read_text()
    [record] = caplog.records
    assert record.getMessage().startswith(f"{tmp_path}: was written before files were bound")


def test_the_digest_of_answers_grows_with_them(tmp_path: Path) -> None:
    path = responses(tmp_path)
    growing = Appending(path)
    assert growing.written == bound.written(path)
    for id_ in "xy":
        growing.append([answer(id_, 2)])
        assert growing.written == bound.written(path)


def test_a_manifest_of_version_2_comes_back(folder: Path) -> None:
    made = manifests.read(folder)
    assert Manifest.model_validate_json(made.model_dump_json()) == made
