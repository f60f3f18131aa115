import contextlib
import hashlib
import os
import struct
import unicodedata
import warnings
import zlib
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from vipbench.digests import file_digest
from vipbench.errors import DataError
from vipbench.files import AmbiguousFile
from vipbench.images.decode import FORMATS, image_header, image_size, open_image, safe_path

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)
Form = Literal["NFC", "NFD"]


# --- paths


BELOW = " · expected a relative path that stays below the image root"
SLASHES = "backslashes · expected forward slashes"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", f"empty{BELOW}"),
        ("/etc/passwd", f"an absolute path{BELOW}"),
        ("C:/a.png", f"an absolute path{BELOW}"),
        ("C:\\a.png", f"an absolute path{BELOW}"),
        ("../a.png", f"'..'{BELOW}"),
        ("a/../../b.png", f"'..'{BELOW}"),
        ("a/..", f"'..'{BELOW}"),
        ("link/../a.png", f"'..'{BELOW}"),
        ("a\0.png", f"a NUL{BELOW}"),
        ("a\\b.png", SLASHES),
        ("..\\a.png", SLASHES),
    ],
)
def test_paths_that_leave_the_root_are_refused_by_what_they_are(
    tmp_path: Path, path: str, fault: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(DataError) as error:
        safe_path(tmp_path, path)
    assert str(error.value) == f"image path {path!r}: {fault}"


@pytest.mark.parametrize(
    "path", ["a.png", "a/b c.png", "a..b/c.png", "./a.png", "é/…png", "a" * 999]
)
def test_paths_below_the_root_are_joined(tmp_path: Path, path: str) -> None:
    assert safe_path(tmp_path, path) == tmp_path / path


def test_of_several_roots_the_first_that_has_the_file_counts(tmp_path: Path) -> None:
    roots = (tmp_path / "one", tmp_path / "two")
    for root in roots:
        root.mkdir()
    (roots[0] / "same").write_bytes(b"1")
    (roots[1] / "same").write_bytes(b"1")
    (roots[1] / "second").write_bytes(b"2")
    (tmp_path / "outside").write_bytes(b"3")
    (roots[1] / "link").symlink_to(tmp_path / "outside")
    assert safe_path(roots, "same") == roots[0] / "same"
    assert safe_path(roots, "second") == roots[1] / "second"
    assert safe_path(roots, "link") == roots[1] / "link"
    with pytest.raises(DataError, match=f"gone: in none of the folders {roots[0]}, {roots[1]}"):
        safe_path(roots, "gone")
    for path in ("../outside", str(tmp_path / "outside"), ""):
        with pytest.raises(DataError, match="below the image root"):
            safe_path(roots, path)
    (roots[0] / "second").write_bytes(b"3")
    with pytest.raises(AmbiguousFile, match=f"{roots[0]}/second and {roots[1]}/second"):
        safe_path(roots, "second")


def test_links_of_the_user_are_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "real", outside):
        folder.mkdir(parents=True)
        RGB.save(folder / "a.png")
    (root / "inner.png").symlink_to("real/a.png")
    (root / "inner").symlink_to(root / "real")
    (root / "file.png").symlink_to(outside / "a.png")
    (root / "folder").symlink_to(outside)
    (root / "gone.png").symlink_to("nowhere.png")
    (root / "loop").symlink_to("loop")
    for name in ("inner.png", "inner/a.png", "file.png", "folder/a.png"):
        assert image_size(safe_path(root, name)) == (30, 20)
    with pytest.raises(DataError, match=r"gone\.png: does not exist"):
        image_size(safe_path(root, "gone.png"))
    with pytest.raises(DataError, match="expected a relative path that stays below"):
        safe_path(root, "folder/../a.png")
    with pytest.raises(DataError):
        image_size(safe_path(root, "loop/a.png"))
    (tmp_path / "root_link").symlink_to(root)
    assert image_size(safe_path(tmp_path / "root_link", "real/a.png")) == (30, 20)


def test_links_to_what_never_ends_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.png").symlink_to("pipe")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match="not a file"):
            image_size(safe_path(tmp_path, name))
        with pytest.raises(DataError, match="not a regular file"):
            open_image(safe_path(tmp_path, name))


@pytest.mark.parametrize(("stored", "other"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_in_another_unicode_form_is_named(tmp_path: Path, stored: Form, other: Form) -> None:
    RGB.save(tmp_path / unicodedata.normalize(stored, "café.png"))
    folder = tmp_path / unicodedata.normalize(stored, "Größe")
    folder.mkdir()
    RGB.save(folder / "a.png")
    asked = unicodedata.normalize(other, "café.png")
    with pytest.raises(DataError) as error:
        image_size(tmp_path / asked)
    assert str(error.value) == (
        f"{tmp_path / asked}: does not exist · there is a file of that name in another Unicode form"
        f" ({stored}) · rename it, or write its name so in the data file"
    )
    with pytest.raises(DataError, match=rf"a folder of that name in .* \({stored}\)"):
        image_size(tmp_path / unicodedata.normalize(other, "Größe") / "a.png")
    for name in ("ñ.png", "a.png"):
        with pytest.raises(DataError, match=r"does not exist$"):
            image_size(tmp_path / name)


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    for read in (image_size, open_image):
        with pytest.raises(DataError) as error:
            read(path)
        assert (
            str(error.value) == f"{path}: is a Git LFS pointer · fetch the file with git lfs pull"
        )


# --- images


def saved(path: Path, image: Image.Image, **options: Any) -> tuple[Image.Image, str]:
    """Save and open again; no warning may escape, and the header must tell the same."""
    image.save(path, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened, mode = open_image(path)
    assert opened.mode == "RGB"
    assert image_header(path)[:2] == (opened.size, mode)
    return opened, mode


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_modes_are_converted_and_returned(tmp_path: Path, mode: str) -> None:
    image = RGB.convert(mode)
    opened, stored = saved(tmp_path / "a.png", image)
    assert stored == mode
    assert np.array_equal(np.asarray(opened), np.asarray(image.convert("RGB")))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    rgba = RGB.copy()
    rgba.putalpha(0)
    opened, _ = saved(tmp_path / "a.png", rgba)
    assert np.array_equal(np.asarray(opened), PIXELS)
    palette = RGB.convert("P")
    opened, mode = saved(tmp_path / "b.png", palette, transparency=bytes(range(256)))
    assert mode == "P"
    assert np.array_equal(np.asarray(opened), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (30, 20), (200, 40, 90)).convert("CMYK")
    opened, mode = saved(tmp_path / name, image)
    assert mode == "CMYK"
    assert np.abs(np.asarray(opened).astype(int) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)
    levels[-1, -1] = 65535
    kind = np.int32 if name == "a.pgm" else np.uint16
    opened, mode = saved(tmp_path / name, Image.fromarray(levels.astype(kind)))
    assert mode.startswith("I")
    grey = np.asarray(opened)[:, :, 1]
    assert np.abs(grey - levels / 257).max() <= 0.5
    assert (grey[0, 0], grey[-1, -1], len(np.unique(grey))) == (0, 255, 256)


def test_16_bit_color_is_scaled(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">6H", 65535, 257, 0, 512, 32896, 300) for _ in range(2))

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    opened, _ = open_image(path)
    assert opened.getpixel((0, 1)) == (255, 1, 0)
    assert opened.getpixel((1, 1)) == (2, 128, 1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.full((4, 4), 0.5, np.float32), "floating-point pixels of unknown range"),
        (np.full((4, 4), 70_000, np.int32), "its levels go from 70000 to 70000"),
        (np.full((4, 4), -1, np.int32), "its levels go from -1 to -1"),
    ],
)
def test_levels_of_unknown_range_are_refused(tmp_path: Path, values: Any, said: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=said):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.mpo", "a.tif"])
def test_the_first_frame_of_an_animation_is_used(tmp_path: Path, name: str) -> None:
    first = Image.new("RGB", (30, 20), (250, 20, 30))
    others = [Image.new("RGB", (30, 20), (0, 0, 0))] * 2
    opened, _ = saved(tmp_path / name, first, save_all=True, append_images=others)
    assert np.abs(np.asarray(opened).astype(int) - (250, 20, 30)).max() <= 10


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_not_applied(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if name == "a.jpg" else {"lossless": True}
    opened, _ = saved(tmp_path / name, RGB, exif=exif, **options)
    assert opened.size == (30, 20)
    close = 255 * 0.1 if name == "a.jpg" else 0
    assert np.abs(np.asarray(opened).astype(int) - PIXELS).mean() <= close


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_applied_where_that_is_said(
    tmp_path: Path, name: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    RGB.save(path, exif=exif, quality=100, subsampling=0, lossless=True)
    with Image.open(path) as image:
        viewed = ImageOps.exif_transpose(image).convert("RGB")
    upright, _ = open_image(path, "apply")
    assert upright.tobytes() == viewed.tobytes()
    header = image_header(path)
    assert header.turned_size == upright.size
    assert header.size == (30, 20)
    assert header.orientation == (orientation if 2 <= orientation <= 8 else 1)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0MM\0*\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12",
        b"Exif\0\0nothing",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x02six\0",
    ],
)
def test_a_broken_orientation_is_none(tmp_path: Path, exif: bytes) -> None:
    saved(tmp_path / "a.jpg", RGB, exif=exif)
    assert image_header(tmp_path / "a.jpg").orientation == 1


def test_a_header_without_orientation_needs_no_pixels(tmp_path: Path) -> None:
    write_header(tmp_path / "a.png", 10_000, 10_000)
    assert image_header(tmp_path / "a.png") == ((10_000, 10_000), "L", 1)


def test_100_megapixels_are_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_header(path, 10_000, 10_000)
        assert image_size(path) == (10_000, 10_000)
        for width, height in ((10_000, 10_001), (100_000_001, 1), (2**31 - 1, 2**31 - 1)):
            write_header(path, width, height)
            with pytest.raises(DataError, match="expected at most 100 megapixels"):
                image_size(path)
            with pytest.raises(DataError, match="expected at most 100 megapixels"):
                open_image(path)


def write_header(path: Path, width: int, height: int) -> None:
    """Write a PNG that says how large it is, and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [body, b"IDAT" + zlib.compress(b"\0")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
        )
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.tif", "a.bmp"])
def test_a_truncated_image(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    RGB.resize((200, 150)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{name}: "):
        open_image(path)


def test_damaged_images_are_errors_of_the_data_and_of_nothing_else(tmp_path: Path) -> None:
    rng = Random("damage")
    names = ["a.png", "a.jpg", "a.gif", "a.tif", "a.bmp", "a.ppm", "a.jp2", "a.webp"]
    n_intact = 0
    for name in names:
        path = tmp_path / name
        RGB.save(path)
        whole = path.read_bytes()
        for n in range(60):
            damaged = bytearray(whole)
            for _ in range(rng.choice([1, 3, 20])):
                offset = rng.randrange(rng.choice([40, len(damaged)]))
                damaged[offset % len(damaged)] = rng.randrange(256)
            path = tmp_path / f"{n}{name}"
            path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
            with contextlib.suppress(DataError):
                image_header(path)
                open_image(path)
                n_intact += 1
    assert 30 < n_intact < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an image, or a broken one · expected an image"),
        (b"hello", "not an image, or a broken one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image, or a"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image, or a broken one"),
    ],
)
def test_what_is_not_an_image_is_not_opened(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for opened in (image_header, image_size, open_image):
        with pytest.raises(DataError, match=said):
            opened(path)


def test_all_formats_are_there_and_none_starts_a_program() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
    assert features.check("webp")
    assert "EPS" not in FORMATS


def test_paths_that_are_not_files(tmp_path: Path) -> None:
    RGB.save(tmp_path / "a.png")
    for path in (tmp_path / "b.png", tmp_path / "a.png" / "b.png"):
        for opened in (image_header, open_image):
            with pytest.raises(DataError, match=r"b\.png: does not exist"):
                opened(path)
    for path in (tmp_path, tmp_path / ("a" * 300)):
        for opened in (image_header, open_image):
            with pytest.raises(DataError, match="cannot be opened"):
                opened(path)
        with pytest.raises(DataError, match="cannot be read"):
            file_digest(path)


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for size, stamp in (((30, 20), 1), ((20, 30), 2)):
        Image.new("RGB", size).save(path)
        os.utime(path, ns=(stamp, stamp))
        for _ in range(2):
            assert image_size(path) == size
            assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be opened"):
        image_header(tmp_path / "a.png")
