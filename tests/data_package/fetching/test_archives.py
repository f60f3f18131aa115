import hashlib
import io
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vipbench.data.fetching import archives
from vipbench.data.fetching.archives import tree, tree_size, unpack
from vipbench.errors import DataError

FILES = {"top/a.jpg": b"one", "top/deep/b.jpg": b"two" * 1000, "top/c.json": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # A name in ZipInfo stays as it is, whatever it holds.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def make_tar(path: Path, files: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    return path


def refused(archive: Path, said: str) -> None:
    """Check that nothing of an archive is left, and nothing was written beside it."""
    folder = archive.parent / "into"
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(DataError, match=said) as caught:
        unpack(archive, folder)
    assert str(archive) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(archive.parent.rglob("*")) == before


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_what_is_packed_comes_out(tmp_path: Path, kind: str) -> None:
    make = make_zip if kind == "zip" else make_tar
    archive = make(tmp_path / f"a.{kind}", FILES)
    told: list[int] = []
    found = unpack(archive, tmp_path / "into", told.append)
    assert found.root == tmp_path / "into/top"
    assert (found.root / "deep/b.jpg").read_bytes() == FILES["top/deep/b.jpg"]
    assert found.tree[:2] == (3, 3003) == tree_size(found.root)
    assert sum(told) == 3003
    assert tree(found.root) == found.tree
    modes = {path.stat().st_mode & 0o7111 for path in found.root.rglob("*") if path.is_file()}
    assert modes == {0}  # no rights but those of new files


def test_the_digest_of_a_tree_is_that_of_the_list_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("a", b"one"), ("b/x", b"two"))
    )
    assert tree(tmp_path).sha256 == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / ".DS_Store").write_bytes(b"a desktop was here")
    assert tree(tmp_path)[:2] == (2, 6)
    (tmp_path / "a").write_bytes(b"eno")
    assert tree(tmp_path).sha256 != hashlib.sha256(lines.encode()).hexdigest()


def test_what_a_desktop_adds_is_left_out(tmp_path: Path) -> None:
    more = {"__MACOSX/top/._a.jpg": b"x", "top/.DS_Store": b"y", "top/": b""}
    found = unpack(make_zip(tmp_path / "a.zip", FILES | more), tmp_path / "into")
    assert found.tree.n_files == 3
    assert found.root.name == "top"


def test_a_folder_that_an_earlier_try_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into/old").write_bytes(b"half")
    found = unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "into")
    assert not list(tmp_path.rglob("old"))
    assert found.tree.n_files == 3


OUTSIDE = [
    "../x",
    "a/../../x",
    "a/..",
    "/elsewhere/x",
    "//server/x",
    "..\\x",
    "a\\..\\..\\x",
    "C:\\x",
    "C:x",
    "a\nb",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_paths_that_lead_outside_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    make = make_zip if kind == "zip" else make_tar
    (tmp_path / "below").mkdir()
    archive = make(tmp_path / "below" / f"a.{kind}", {"fine.jpg": b"1", name: b"2"})
    refused(archive, "would be written outside the folder")


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "a.jpg"),
        (tarfile.LNKTYPE, "../../secret"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, link: str) -> None:
    archive = make_tar(tmp_path / "a.tar", {"a.jpg": b"1"}, special("odd", kind, link))
    refused(archive, "'odd' is a link or a device")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, mode: int) -> None:
    info = zipfile.ZipInfo("odd")
    info.create_system, info.external_attr = 3, (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "'odd' is a link or a device")


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"a": b"1"}).read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flag, in the table of contents
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "'a' is encrypted")


@pytest.mark.parametrize(
    "names",
    [("a/x.jpg", "A/y.jpg"), ("x.jpg", "X.JPG"), ("a", "a/b"), ("a/b", "a"), ("é", "e\u0301")],
)
def test_names_that_are_one_on_some_disks_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for kind, make in (("zip", make_zip), ("tar", make_tar)):
        (tmp_path / kind).mkdir()
        archive = make(tmp_path / kind / f"a.{kind}", dict.fromkeys(names, b"1"))
        refused(archive, "are one file on some disks")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "2")
    refused(tmp_path / "a.zip", "are one file on some disks")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = make_zip if kind == "zip" else make_tar
    archive = make(tmp_path / f"a.{kind}", {"zeros": bytes(2_000_000)})
    assert archive.stat().st_size * archives.MAX_RATIO < 2_000_000
    assert unpack(archive, tmp_path / "small").tree.n_bytes == 2_000_000  # no danger
    monkeypatch.setattr(archives, "NO_BOMB", 1000)
    (tmp_path / "below").mkdir()
    refused(archive.rename(tmp_path / "below" / archive.name), "that unpack to 2 MB")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    refused(make_zip(tmp_path / "a.zip", FILES), "holds over 2 members")


def test_a_disk_without_room_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "a.zip", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    refused(archive, "unpacks to 3 kB, and 1 kB are free")


def test_a_member_that_lies_about_its_size(tmp_path: Path) -> None:
    content = bytearray(make_zip(tmp_path / "a.zip", {"a": b"1" * 5000}).read_bytes())
    at = content.index(b"PK\1\2") + 24
    for size in (10, 6000):
        content[at : at + 4] = size.to_bytes(4, "little")
        (tmp_path / "a.zip").write_bytes(content)
        refused(tmp_path / "a.zip", "cannot be unpacked|has 5,000 bytes but declares 6,000")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", b"PK\3\4 and no more", b"\x1f\x8b broken"],
    ids=["empty", "page", "zip", "gz"],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    refused(tmp_path / "a.zip", "cannot be unpacked .* expected an intact zip or tar archive")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
def test_a_truncated_or_damaged_archive(tmp_path: Path, kind: str) -> None:
    make = make_zip if kind == "zip" else make_tar
    archive = make(tmp_path / f"a.{kind}", {"a": bytes(range(256)) * 400, "b": b"2"})
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    refused(archive, "cannot be unpacked")
    if kind == "zip":
        damaged = bytearray(whole)
        damaged[60] ^= 0xFF
        archive.write_bytes(damaged)
        refused(archive, "cannot be unpacked")


def test_a_disk_that_fills_up_keeps_the_archive(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a": bytes(100), "b": bytes(50_000)})
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vipbench.data.fetching.archives import unpack\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, -1))\n"
        "unpack(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(archive), str(tmp_path / "into")],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "DataError" in last
    assert "the archive is kept · make room, then give the same command again" in last
    assert list(tmp_path.iterdir()) == [archive]


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="gone: cannot be read"):
        tree(tmp_path)
