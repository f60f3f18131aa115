"""What commands say when the disk is full: each speaks of what it was doing."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SUMMARY

DATA = Path(__file__).parents[1] / "data"
RUN = DATA / "old_run" / "finished"
PLAIN = "(File too large) · make room, then give the same command again\n"
OF_A_RUN = (
    "(File too large) · nothing that was answered is lost · make room, then give the same command"
    " again to resume\n"
)


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Let every write beyond this size fail, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("command", ["leaderboard", "report"])
def test_commands_that_answer_nothing_speak_of_no_answers(vipbench: Vipbench, command: str) -> None:
    with largest_file(100):
        ran = vipbench(command, RUN, "-o", "out")
    assert ran.code == 2
    assert ran.err.endswith(PLAIN)
    assert "answered" not in ran.err


def test_a_run_says_what_is_kept_and_is_resumed(vipbench: Vipbench) -> None:
    command = ["run", "--runner", "majority", "--tasks", "vcr_q2ar", "--styles", "demo"]
    command += ["--data", f"vcr={DATA / 'vcr'}", "-o", "run"]
    assert vipbench(*command).code == 0
    summary = Path("run", SUMMARY).read_bytes()
    largest = max(Path("run", name).stat().st_size for name in (REQUESTS, RESPONSES))
    with largest_file((largest + len(summary)) // 2):
        ran = vipbench(*command, "--fresh")
    assert ran.code == 2
    assert ran.err.endswith(f"run/{SUMMARY}: cannot be written {OF_A_RUN}")
    assert not Path("run", SUMMARY).exists()
    assert vipbench(*command).code == 0
    assert Path("run", SUMMARY).read_bytes() == summary


def test_data_fetch_speaks_of_no_answers(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    ran = vipbench("data", "fetch", "pointqa", "-o", tmp_path / "new")
    assert ran.code == 2
    assert ran.err.endswith(
        "cannot be written (No space left on device) · make room, then give the same command "
        "again\n"
    )
