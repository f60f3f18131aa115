"""What is not as it was packed, by the member's name; and what is no archive at all."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.made import content, forged, in_json
from vipbench.errors import RunError
from vipbench.kit.archive import Tampered, opened
from vipbench.kit.members import CONTENTS, MODE, RUN_ANSWERS, RUN_SCORES, RUN_SUMMARY, TIME


def check(path: Path) -> None:
    with opened(path):
        pass


def test_members_come_as_they_were_packed(archive: Path) -> None:
    with opened(archive) as (contents, folder):
        for name in contents.members:
            assert (folder / name).read_bytes() == content(archive)[name]
    assert not folder.exists()


@pytest.mark.parametrize("name", [RUN_ANSWERS, RUN_SCORES, RUN_SUMMARY, "run/manifest.json"])
def test_a_changed_member_is_named(archive: Path, name: str) -> None:
    path = forged(archive, {name: lambda data: data.replace(b'"', b" ", 1)}, bind=False)
    with pytest.raises(Tampered, match=f"{name}: is not what was packed, by its digest") as raised:
        check(path)
    assert (raised.value.member, raised.value.exit_code) == (name, 1)


def test_a_member_that_is_longer_or_shorter_is_named(archive: Path) -> None:
    for change in (lambda data: data + b"\n", lambda data: data[:-1]):
        with pytest.raises(Tampered, match=f"{RUN_SCORES}: is not what was packed"):
            check(forged(archive, {RUN_SCORES: change}, bind=False))


def test_a_further_member_is_named(archive: Path) -> None:
    path = forged(archive, {"run/extra.txt": lambda _: b"x"}, bind=False)
    with pytest.raises(Tampered, match=r"run/extra\.txt: is not listed in kit\.json"):
        check(path)


def test_a_further_member_that_is_listed_is_named(archive: Path) -> None:
    import json

    entry = {"bytes": 1, "sha256": "0" * 64}
    members = json.loads(content(archive)[CONTENTS])["members"] | {"virus.exe": entry}
    changes = {CONTENTS: in_json(members=members), "virus.exe": lambda _: b"x"}
    with pytest.raises(Tampered, match=r"virus\.exe: is nothing that a kit packs"):
        check(forged(archive, changes))


def rewritten(archive: Path, change: Callable[[zipfile.ZipInfo], str | None]) -> Path:
    """Write an archive again, with what is said of its members changed; None: left out."""
    path = archive.with_name("rewritten.zip")
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content(archive).items():
            info = zipfile.ZipInfo(name, TIME)
            info.external_attr = MODE
            named = change(info)
            if named is not None:
                info.filename = named
                file.writestr(info, data)
    return path


def test_a_missing_member_is_named(archive: Path) -> None:
    path = rewritten(archive, lambda info: None if info.filename == RUN_SUMMARY else info.filename)
    with pytest.raises(Tampered, match=f"{RUN_SUMMARY}: is missing"):
        check(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil", "leads out of the archive"),
        ("run/../../evil", "leads out of the archive"),
        ("/etc/passwd", "leads out of the archive"),
        ("C:/evil", "leads out of the archive"),
        ("run/", "is a folder"),
    ],
)
def test_unsafe_names_are_refused(archive: Path, name: str, said: str) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"")
    with pytest.raises(Tampered, match=said) as raised:
        check(archive)
    assert raised.value.member == name


def test_what_was_packed_again_is_refused(archive: Path) -> None:
    def dated(info: zipfile.ZipInfo) -> str:
        info.date_time = (2026, 1, 1, 0, 0, 0)
        return info.filename

    with pytest.raises(Tampered, match="has another time"):
        check(rewritten(archive, dated))


def test_a_link_is_refused(archive: Path) -> None:
    info = zipfile.ZipInfo("run/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(Tampered, match="run/link: is a link"):
        check(archive)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_there_twice_is_refused(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(RUN_SCORES, b"")
    with pytest.raises(Tampered, match=f"{RUN_SCORES}: stands there twice"):
        check(archive)


def test_bytes_of_no_member_are_refused(archive: Path) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(b"MZ" + whole)
    with pytest.raises(Tampered, match=r"kit\.json: has bytes before it"):
        check(archive)
    archive.write_bytes(whole)
    with zipfile.ZipFile(archive, "a") as file:
        file.comment = b"hello"
    with pytest.raises(Tampered, match="has a comment"):
        check(archive)


def test_a_member_that_says_it_is_huge_is_refused(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vipbench.kit.archive.LARGEST", 100)
    with pytest.raises(Tampered, match="bytes, more than 100"):
        check(archive)


def test_flipped_bytes_are_found(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(RUN_ANSWERS)
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(Tampered, match=RUN_ANSWERS):
        check(archive)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_what_is_cut_off_is_broken(archive: Path, share: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RunError, match="is not a whole zip archive") as raised:
        check(archive)
    assert raised.value.exit_code == 2


def test_what_is_no_archive_of_a_kit_is_broken(archive: Path, tmp_path: Path) -> None:
    without = rewritten(archive, lambda info: None if info.filename == CONTENTS else info.filename)
    with pytest.raises(RunError, match=r"has no kit\.json · expected an archive"):
        check(without)
    with pytest.raises(RunError, match=r"its kit\.json cannot be read"):
        check(forged(archive, {CONTENTS: lambda _: b"{"}, bind=False))
    with pytest.raises(RunError, match="does not exist"):
        check(tmp_path / "nowhere.zip")
    with pytest.raises(RunError, match="cannot be read"):
        check(tmp_path)


def test_contents_of_another_format_or_digest(archive: Path) -> None:
    with pytest.raises(RunError, match="format 9 is unknown · expected 1 · use the version"):
        check(forged(archive, {CONTENTS: in_json(format=9)}, bind=False))
    with pytest.raises(Tampered, match=r"kit\.json: does not have the digest that it names"):
        check(forged(archive, {CONTENTS: in_json(run_id="x")}, bind=False))
