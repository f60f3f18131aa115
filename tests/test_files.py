import errno
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder.folder import SUMMARY


def test_a_disk_that_is_full_midway_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / SUMMARY
    files.write_text(path, ["former"])
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vipbench import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "files.write_text(Path(sys.argv[1]), ['x' * 1000] * 100)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert "RunError" in done.stderr
    assert "cannot be written" in done.stderr
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_the_caller_says_what_to_do(tmp_path: Path) -> None:
    advice = files.Advice(full="sell something", broken="mend it", missing="look elsewhere")
    path = tmp_path / "x.json"
    with pytest.raises(RunError, match=r"does not exist$"):
        files.read_json(path)
    with pytest.raises(RunError, match=r"does not exist · look elsewhere$"):
        files.read_json(path, advice)
    path.write_text("{")
    with pytest.raises(RunError, match=r"not JSON \(.*\)$"):
        files.read_json(path)
    with pytest.raises(RunError, match=r"not JSON \(.*\) · mend it$"):
        files.read_json(path, advice)
    full = OSError(errno.ENOSPC, "full")
    assert str(files.write_error(path, full, advice)).endswith("(full) · sell something")
    plain = str(files.write_error(path, full))
    assert plain.endswith("(full) · make room, then give the same command again")


def test_what_cannot_be_put_in_json_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"accuracy": float("nan")})


def test_two_processes_do_not_share_a_run_folder(tmp_path: Path) -> None:
    with files.locked(tmp_path / "run"):  # noqa: SIM117  # the second is the one that must fail
        with pytest.raises(RunError, match="another process"), files.locked(tmp_path / "run"):
            pass
    with files.locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("below", ["", "deep", "deep/deeper"])
def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path, below: str) -> None:
    (tmp_path / "run").write_text("mine")
    said = pytest.raises(RunError, match=r"run: is not a folder · expected one, or a new name")
    with said, files.locked(tmp_path / "run" / below):
        pass
    assert (tmp_path / "run").read_text() == "mine"


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    said = pytest.raises(RunError, match=r"cannot be written .*name another")
    with said as caught, files.locked(tmp_path / "new" / ("a" * 300)):
        pass
    assert "make room" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_stay_empty_are_removed_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), files.made(tmp_path / "a" / "b"):
        raise KeyError((tmp_path / "a" / "b").is_dir())
    assert list(tmp_path.iterdir()) == []
    with files.made(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept.txt").write_text("")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.txt"]
    (tmp_path / "own").mkdir()
    with files.made(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir()


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"accuracy": NaN}', b"\xff"])
def test_what_is_no_json_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SUMMARY).write_bytes(content)
    with pytest.raises(RunError, match="not JSON"):
        files.read_json(tmp_path / SUMMARY)


def test_files_that_are_ours_and_not_kept_are_removed(tmp_path: Path) -> None:
    pattern = re.compile(r"[0-9]+\.png")
    files.remove_others(tmp_path / "none", pattern, keep=())
    for name in ("1.png", "2.png", "12.png.txt", "a.png"):
        (tmp_path / name).write_text("")
    files.remove_others(tmp_path, pattern, keep=("2.png",))
    assert {path.name for path in tmp_path.iterdir()} == {"2.png", "12.png.txt", "a.png"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/of me/v7w/1.png: does not exist", "v7w/1.png: does not exist"),
        ("bad_image: /data/of me/sub/2.png: broken", "bad_image: 2.png: broken"),
        ("/elsewhere/3.png and (~/4.png)", "3.png and (4.png)"),
        ("prompt format a/b, 3/4, 1.png", "prompt format a/b, 3/4, 1.png"),
    ],
)
def test_what_others_read_holds_no_folder_of_the_machine(text: str, shown: str) -> None:
    roots = (Path("/data/of me"), Path("/data/of me/sub"), Path("/"))
    assert files.without_folders(text, roots) == shown
    assert files.without_folders(text, roots[1]).endswith(shown.rpartition(" ")[2])
