"""`vipbench verify` as a user meets it: what is printed where, and the exit code."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.kit.made import forged, small_kit
from vipbench.kit.members import RUN_SCORES


@pytest.fixture
def archive(vipbench: Vipbench) -> Path:
    """Make a small kit in the current folder."""
    return small_kit(Path(), n=3).archive


def test_a_whole_archive(vipbench: Vipbench, archive: Path) -> None:
    code, out, err = vipbench("verify", archive)
    assert (code, err) == (0, "")
    assert out.startswith("No published number is comparable with what was run.\n")
    assert "\nConfirmed:\n  5 members as packed" in out
    assert "\nNot checked:\n  questions and images: are not in the archive" in out
    code, out, _ = vipbench("verify", archive, "--json")
    assert code == 0
    assert set(json.loads(out)) == {
        *("digest", "run_id", "about", "confirmed", "unchecked", "verdict")
    }


def test_a_tampered_archive_exits_1_and_names_the_member(vipbench: Vipbench, archive: Path) -> None:
    path = forged(archive, {RUN_SCORES: lambda data: data + b"\n"}, bind=False)
    code, out, err = vipbench("verify", path)
    assert (code, out) == (1, "")
    assert err == (
        f"error: {path}: run/scores.jsonl: is not what was packed, by its digest in kit.json\n"
    )


def test_a_broken_archive_exits_2(vipbench: Vipbench, archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:1000])
    code, out, err = vipbench("verify", archive)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "is not a whole zip archive" in err
    assert vipbench("verify", "nowhere.zip").code == 2
    assert vipbench("verify").code == 2


def test_another_archive_than_the_one_that_was_sent(vipbench: Vipbench, archive: Path) -> None:
    code, _, err = vipbench("verify", archive, "--digest", "0" * 64)
    assert code == 1
    assert "it is another archive" in err
