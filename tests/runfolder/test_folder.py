from pathlib import Path

import pytest

from tests.runfolder.made import trials
from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import MANIFEST, REQUESTS, check_run, remove_run


def test_a_missing_run_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        trials_file.open_trials(tmp_path / REQUESTS)
    with pytest.raises(RunError, match="does not exist"):
        files.read_json(tmp_path / MANIFEST)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        files.read_json(tmp_path / MANIFEST)


def test_only_files_of_a_run_are_removed(tmp_path: Path) -> None:
    trials(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    remove_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("content", ['{"name": "a web app"}', "[]", "null"])
def test_the_manifest_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(RunError, match="is not the manifest of a run"):
        remove_run(tmp_path)
    assert (tmp_path / MANIFEST).read_text() == content


def test_what_is_no_run_is_said_by_its_folder_and_not_by_a_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "step-200").mkdir()
    with pytest.raises(RunError, match=r"step-200: holds no run · .*, with manifest.json$"):
        check_run(tmp_path / "step-200")
    (tmp_path / "step-200" / MANIFEST).write_text("{}")
    check_run(tmp_path / "step-200")
    with pytest.raises(RunError, match=r"nope: no such folder · expected the folder of a run$"):
        check_run(tmp_path / "nope")
    with pytest.raises(RunError, match=r"step-20: no such folder · .* · did you mean 'step-200'"):
        check_run(tmp_path / "step-20")
    with pytest.raises(RunError, match=r"manifest.json: is not a folder · expected the folder"):
        check_run(tmp_path / "step-200" / MANIFEST)
